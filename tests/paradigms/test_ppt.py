"""PPT: what its prompt is pretrained on, that it alone moves, that training goes on where pretraining ended, what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prompt_lab.backbones.load import load_backbone, load_reader
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Stage, Stages
from prompt_lab.paradigms.ppt import Ppt
from prompt_lab.pretraining.texts.text_files import TextFiles
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.soft_prompt import SoftPrompt
from prompt_lab.tuning.virtual import virtual_tokens

import runs

TASK = load_task(TOY)
PAIRS = """
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files

TASK = Task(
    source=Files(train="{folder}/train.jsonl", test="{folder}/test.jsonl"),
    labels=("other", "same"),
    label_words={{"other": ["no"], "same": ["yes"]}},
    templates=("{{text_a}} {{mask}}, {{text_b}}", "{{text_a}} {{text_b}} {{mask}}"),
    fields=("text_a", "text_b"),
)
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A task of two texts: 20 to draw from, 4 to test on."""
    folder = tmp_path_factory.mktemp("pairs")
    rows = [
        {"text_a": f"the film {i} is dull", "text_b": f"it is {'poor' if i % 2 else 'great'} {i}", "label": i % 2}
        for i in range(24)
    ]
    for split, part in (("train", rows[:20]), ("test", rows[20:])):
        runs.write(folder / f"{split}.jsonl", "\n".join(map(json.dumps, part)))
    return str(runs.write(folder / "pairs.py", PAIRS.format(folder=folder)))


class Seen(Ppt):
    """Remembers every stage, with the prompt and whether it had an encoder when it began, and at the end; may fail in the last."""

    breaks = False

    def stages(self, data: FewShotData) -> Stages:
        self.seen, self.prompts, self.encoded = list[Stage](), list[Tensor](), list[bool]()
        stages, result = super().stages(data), None
        while True:
            deep = hasattr(self.backbone, "deep_prompt")
            vectors: Any = (self.backbone.deep_prompt if deep else virtual_tokens(self.backbone)).vectors
            self.prompts.append(vectors().detach().clone())
            self.encoded.append(vectors.encoder is not None)
            try:
                stage = Stage(*stages.send(result))
            except StopIteration:
                return
            self.seen.append(stage)
            result = yield stage

    def training_step(self, batch: Encoded, batch_idx: int) -> Tensor:
        if self.breaks:
            raise RuntimeError("planted failure")
        return super().training_step(batch, batch_idx)


class Ran:
    """A run with five steps of pretraining and three of tuning."""

    def __init__(self, folder: Path, task: str = TOY, *, breaks: bool = False, **settings: Any) -> None:
        self.module = Seen(pretraining_steps=5, **{"tuning": SoftPrompt(length=3, learning_rate=0.1), **settings})
        self.module.breaks = breaks
        self.experiment = runs.of(self.module, Subject(Ppt).data(task), folder)
        self.record = execute(self.experiment, Bars())

    def check_prompt_alone_moved(self) -> None:
        """In both stages, the second of which began where the first ended, though its random numbers are others."""
        *_, before, pretrained, after = self.module.prompts
        assert (pretrained - before).norm() > 0.05 * before.norm()
        assert 0 < (after - pretrained).norm() < 0.9 * (after - before).norm()
        own = dict(self.module.backbone.model.named_parameters())
        for name, value in load_backbone("tiny-masked").model.named_parameters():
            assert torch.equal(own[name], value), name


def prepared(task: str = TOY, backbone: str = "tiny-masked", **settings: Any) -> Ppt:
    return Ppt(**settings).prepare(load_task(task), load_reader(backbone))


def driven(of: FewShotData, says: float = 0.5, backbone: str = "tiny-masked", **settings: Any) -> list[Stage]:
    """The stages, when the backbone gives every text that probability of its first label; nothing is trained."""
    settings = {"tuning": SoftPrompt(length=3), **settings}
    module = Ppt(**settings).prepare(of.task, load_reader(backbone)).build(load_backbone(backbone).fresh())
    found, stages, result = list[Stage](), module.stages(of), None
    while True:
        try:
            found.append(Stage(*stages.send(result)))
        except StopIteration:
            return found
        result = torch.tensor([[says, 1 - says]]).log().expand(len(found[-1].score), -1)


def patterns(stages: list[Stage]) -> list[str]:
    return [str(s.module.template) for s in stages]


class TestFormats:
    def test_single(self, tmp_path: Path) -> None:
        """Of 24 texts without labels 12 are learned from, 6 of each label; of these the 1st and the 11th validate."""
        ran = Ran(tmp_path, template=2)
        record, (annotated, own, tuned) = ran.record, ran.module.seen
        assert [(s["name"], s["examples"], s["steps"]) for s in record["stages"]] == [
            ("annotation", 0, 0), ("pretraining", 10, 5), ("fit", 4, 3),
        ]  # fmt: skip
        facts = {"format": "single", "texts": 24, "pretrained_on": 10, "labels": ["negative", "positive"]}
        assert facts.items() <= record["method"].items()
        assert record["method"]["prompt"]["vectors"] == 3
        assert (record["budget"]["unlabeled_texts"], record["budget"]["labels_train"]) == (24, 4)
        assert record["strategy"] == "fixed-LM prompt tuning"
        assert record["cost"]["trained_parameters"] == 3 * 32
        ran.check_prompt_alone_moved()
        of = Subject(Ppt).data()
        assert tuple(annotated.score) == of.drawn.unlabeled
        assert str(annotated.module.template) == TASK.templates[0], "whatever the prompt is trained with"
        assert not hasattr(annotated.module.backbone, "virtual"), "the backbone answers without a prompt"
        assert own.data is not None
        assert tuned.data is not None
        order = {e.key: i for i, e in enumerate(of.drawn.unlabeled)}
        train, held = own.data.drawn.train, own.data.drawn.validation
        both = sorted((*held, *train), key=lambda e: order[e.key])
        assert sorted(e.label for e in both if e.label is not None) == [0] * 6 + [1] * 6
        assert held == (both[0], both[10])
        assert patterns([own, tuned]) == ["{soft:3}Review: {text_a} Verdict: {mask}"] * 2
        assert (tuned.module, tuned.data.drawn) == (ran.module, of.drawn)

    def test_pair(self, pairs: str, tmp_path: Path) -> None:
        """Twelve texts are left: each is its two fields, so that none has three sentences, and the relations are two."""
        ran = Ran(tmp_path, pairs)
        record, own = ran.record, ran.module.seen[0]
        assert [(s["name"], s["examples"]) for s in record["stages"]] == [("pretraining", 10), ("fit", 4)]
        facts = {
            "format": "pair",
            "texts": 12,
            "pretrained_on": 10,
            "labels": ["another document", "the next sentence"],
        }
        assert facts.items() <= record["method"].items()
        assert record["budget"]["unlabeled_texts"] == 12
        assert patterns(ran.module.seen) == ["{soft:3}{text_a} {mask}. {text_b}"] * 2
        assert own.data is not None
        said = {(e.fields["text_a"], e.fields["text_b"]) for e in own.data.drawn.train if e.label == 1}
        assert said <= {(e.fields["text_a"], e.fields["text_b"]) for e in Subject(Ppt).data(pairs).drawn.unlabeled}
        ran.check_prompt_alone_moved()

    def test_choice(self, pairs: str, tmp_path: Path) -> None:
        ran = Ran(tmp_path, pairs, format="choice")
        assert [(s["name"], s["steps"]) for s in ran.record["stages"]] == [("pretraining", 5), ("fit", 3)]
        assert ran.record["method"]["labels"] == [*"ABCDEF"]
        asked = ["{text_a}? {text_b}", "{text_a} {text_b}? A. other B. same"]
        assert patterns(ran.module.seen) == [f"{{soft:3}}{a} Answer is {{mask}}." for a in asked]
        assert [ran.module.answer.word_of(label) for label in (0, 1)] == ["A", "B"]
        ran.check_prompt_alone_moved()

    def test_choice_of_one_text(self) -> None:
        module = prepared(format="choice")
        assert str(module.template) == "{soft:20}{text_a}? A. negative B. positive Answer is {mask}."
        braced = replace(TASK, labels=("{a}", "b"), label_words={})
        module = Ppt(format="choice").prepare(braced, load_reader("tiny-masked"))
        assert "? A. {a} B. b Answer is " in [p.text for p in module.template.pieces(Example({"text_a": "x"}))]

    def test_hybrid(self, pairs: str) -> None:
        """A pattern of the task's own beside the prompt; where the format is pairs, in the second stage."""
        one, two = (patterns(driven(Subject(Ppt).data(task), template=0)[-2:]) for task in (TOY, pairs))
        assert one == ["{soft:3}{text_a} It was {mask}."] * 2
        assert two == ["{soft:3}{text_a} {mask}. {text_b}", "{soft:3}{text_a} {mask}, {text_b}"]

    def test_a_causal_model_reads_pairs_from_left_to_right(self, pairs: str) -> None:
        stages = driven(Subject(Ppt).data(pairs), backbone="tiny-causal")
        assert patterns(stages) == ["{soft:3}{text_a} {text_b} {mask}"] * 2

    def test_fields_of_a_pair_may_have_any_names(self) -> None:
        task = replace(TASK, fields=("premise", "hypothesis"), templates=())
        module = Ppt().prepare(task, load_reader("tiny-masked"))
        assert str(module.template) == "{soft:20}{premise} {mask}. {hypothesis}"

    @pytest.mark.parametrize(("mechanism", "numbers"), [("key_values", 3 * 2 * 2 * 32), ("hidden_states", 3 * 2 * 32)])
    def test_a_deep_prompt(self, tmp_path: Path, mechanism: Any, numbers: int) -> None:
        ran = Ran(tmp_path, tuning=DeepPrompt(length=3, mechanism=mechanism, learning_rate=0.1))
        assert ran.record["cost"]["trained_parameters"] == numbers
        ran.check_prompt_alone_moved()


def test_a_run_that_broke_goes_on_after_pretraining_and_encoders_end_with_it(tmp_path: Path) -> None:
    def run(folder: str, **how: Any) -> Ran:
        tuning = SoftPrompt(length=3, encoder="lstm", learning_rate=0.1)
        return Ran(tmp_path / folder, tuning=tuning, **how)

    whole = run("whole")
    assert whole.module.encoded == [True, True, False, False]
    assert whole.record["cost"]["trained_parameters"] == 3 * 32
    whole.check_prompt_alone_moved()
    with pytest.raises(RuntimeError, match="planted failure"):
        run("broken", breaks=True)
    again = run("broken")
    assert [(s["name"], s["finished_before"]) for s in again.record["stages"]] == [
        ("annotation", True), ("pretraining", True), ("fit", False),
    ]  # fmt: skip
    one, other = ((r.experiment.folder / "predictions.jsonl").read_text() for r in (whole, again))
    assert one == other
    assert [again.record[key] for key in ("scores", "method", "budget")] == [
        whole.record[key] for key in ("scores", "method", "budget")
    ]
    assert again.record["cost"]["steps"] == whole.record["cost"]["steps"] == 8


class TestTexts:
    def test_as_many_as_it_may_read(self) -> None:
        of = Subject(Ppt).data()
        _, own, _ = driven(of, unlabeled=10)
        assert own.data is not None
        assert (len(own.data.drawn.train), len(own.data.drawn.validation)) == (3, 1), "two of each label"
        assert of.budget()["unlabeled_texts"] == 10

    def test_from_elsewhere_without_those_of_the_test(self, tmp_path: Path) -> None:
        of = Subject(Ppt).data()
        tested = of.sealed_test()[0].fields["text_a"]
        lines = [f"one {i} is rich. two {i} is poor" for i in range(9)]
        path = runs.write(tmp_path / "texts.txt", "\n".join([lines[0], tested, *lines[1:]]))
        stages = driven(of, texts=TextFiles([str(path)], unit="line"), unlabeled=8)
        assert [e.fields["text_a"] for e in stages[0].score] == lines[:8]
        assert of.budget()["unlabeled_texts"] == 8
        missing = TextFiles([str(tmp_path / "none.txt")])
        with pytest.raises(LabError, match="no such file"):
            prepared(texts=missing)


class TestRefused:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"tuning": Full()}, "Ppt pretrains a prompt, and Full trains none; use the tuning SoftPrompt"),
            ({"unlabeled": 0}, "unlabeled must be at least 1"),
            ({"pretraining_steps": 0}, "pretraining_steps must be at least 1"),
            ({"format": "pair"}, "pair is for tasks of two texts; task 'toy' has 1"),
        ],
    )
    def test_settings(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(LabError, match=message):
            prepared(**settings)

    def test_single_for_two_texts(self, pairs: str) -> None:
        with pytest.raises(LabError, match="single"):
            prepared(pairs, format="single")

    def test_more_labels_than_letters(self) -> None:
        many = replace(TASK, labels=tuple(f"label {i}" for i in range(27)), label_words={})
        with pytest.raises(LabError, match="at most 26 labels; there are 27"):
            Ppt(format="choice").prepare(many, load_reader("tiny-masked"))

    @pytest.mark.parametrize("format", ["pair", "choice"])
    def test_virtual_tokens_of_a_pattern(self, pairs: str, format: Any) -> None:
        with pytest.raises(LabError, match=r"do not belong to a pattern: .* leave \{soft\} out"):
            driven(Subject(Ppt).data(pairs), template="{soft:2}{text_a} {mask} {text_b}", format=format)

    def test_no_texts(self) -> None:
        with pytest.raises(LabError, match=r"task 'toy' has none left at k=full. Give some with --model.texts"):
            driven(FewShotData(TOY, k="full", seed=13))
