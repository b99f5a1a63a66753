"""PET: what the teachers are fitted on, how much each counts, what the student learns, and that it all is in the record."""

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prompt_lab import ensembling
from prompt_lab.answers.head import Head
from prompt_lab.answers.words import Words
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.encoding import Encoder
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.masked_text import MaskedText
from prompt_lab.paradigms.base import Paradigm, Stage
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.paradigms.pet import Pet
from prompt_lab.progress import Bars
from prompt_lab.reporting import files
from prompt_lab.running import execute
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.lora import Lora

import runs

TASK = load_task(TOY)


def data(k: Any = 2) -> FewShotData:
    return FewShotData(TOY, k=k, seed=13, batch_size=4, max_length=64)


def built(module: Pet) -> Pet:
    return Subject(lambda: module).built()  # type: ignore[return-value]


def driven(module: Paradigm, of: FewShotData, answers: Sequence[Tensor]) -> list[Stage]:
    """The stages, when those that score are answered so."""
    given, stages, result = iter(answers), module.stages(of), None
    found = []
    while True:
        try:
            stage = Stage(*stages.send(result))
        except StopIteration:
            return found
        found.append(stage)
        result = next(given) if stage.score else None


def test_the_algorithm() -> None:
    """Two patterns of accuracy 3/4 and 1/4 before training; two texts; the student gets their weighted mean at temperature 2."""
    module, of = built(Pet(patterns=[0, 1], unlabeled=2, student_steps=7)), data()
    labels = [e.label for e in of.drawn.train]
    right = torch.eye(2)[torch.tensor(labels)].clamp_min(1e-6)
    three, one = right.clone(), right.flip(-1).clone()
    three[0], one[0] = right[0].flip(-1), right[0]
    one_says, other_says = torch.tensor([[0.6, 0.4], [0.5, 0.5]]).log(), torch.tensor([[0.1, 0.9], [0.2, 0.8]]).log()
    stages = driven(module, of, [three.log(), one.log(), one_says, other_says])
    names = ["pattern 0 untrained", "pattern 1 untrained", "teacher 0", "teacher 1", ""]
    assert [s.name for s in stages] == names
    assert [s.data is None for s in stages] == [True, True, False, False, False]
    assert [len(s.score) for s in stages] == [4, 4, 2, 2, 0]
    assert stages[0].score == of.drawn.train
    assert stages[2].score == of.drawn.unlabeled[:2]
    assert [str(s.module.template) for s in stages[2:4]] == list(TASK.templates[:2])
    assert stages[2].data is not None
    assert stages[2].data.drawn.train == of.drawn.train
    assert module.facts()["weights"] == [0.75, 0.25]
    last = stages[-1]
    assert (last.module, last.steps) == (module, 7)
    assert last.data is not None
    expected = ((0.75 * one_says + 0.25 * other_says) / 2).softmax(-1)
    soft = torch.tensor([e.soft for e in last.data.drawn.train])
    torch.testing.assert_close(soft, expected)
    assert [e.label for e in last.data.drawn.train] == [None, None]
    assert last.data.drawn.validation == of.drawn.validation


def test_uniform_weights_need_no_scores_before_training() -> None:
    module = built(Pet(patterns=[0, 1], weighting="uniform", repetitions=2))
    stages = driven(module, data(), [torch.zeros(24, 2)] * 4)
    assert [s.name for s in stages] == ["teacher 0", "teacher 1", "teacher 2", "teacher 3", ""]
    orders = {s.data.order_seed for s in stages[:2] if s.data}
    assert len(orders) == 2, "repetitions see their examples in another order"


def test_every_pattern_goes_with_every_verbalizer() -> None:
    """As in the paper's MNLI: two patterns and two verbalizers are four teachers, each pair with a weight of its own."""
    other = PatternTuning(answer=Words(words={"negative": ["bad"], "positive": ["good"]}))
    module, of = built(Pet(teachers=[PatternTuning(), other], patterns=[0, 1])), data()
    right = torch.eye(2)[torch.tensor([e.label for e in of.drawn.train])].clamp_min(1e-6).log()
    stages = driven(module, of, [right, right.flip(-1), right.flip(-1), right, *[torch.zeros(24, 2)] * 4])
    teachers = [s.module for s in stages if s.name.startswith("teacher")]
    assert [(str(t.template), t.answer.word_of(1)) for t in teachers] == [
        (TASK.templates[0], "great"), (TASK.templates[0], "good"), (TASK.templates[1], "great"), (TASK.templates[1], "good"),
    ]  # fmt: skip
    assert module.facts()["weights"] == [1.0, 0.0, 0.0, 1.0]


def test_every_teacher_begins_with_the_pretrained_weights() -> None:
    module = built(Pet(patterns=[0, 1], weighting="uniform", teachers=[PatternTuning(tuning=Lora())]))
    before = {n: p.clone() for n, p in load_backbone("tiny-masked").named_parameters()}
    stages, seen, result = module.stages(data()), [], None
    for _ in range(2):
        stage = Stage(*stages.send(result))
        assert not any(p.requires_grad for n, p in stage.module.backbone.named_parameters() if "lora" not in n)
        for name, value in stage.module.backbone.named_parameters():
            plain = name.replace(".base_layer", "")
            if plain in before:
                assert torch.equal(value, before[plain])
                value.data.add_(1.0)  # what a fit might do
        seen.append(stage.module)
        result = torch.zeros(24, 2)
    assert seen[0] is not seen[1]


def test_the_loss_of_the_student() -> None:
    """KL divergence at temperature 2 times 4, by hand; validation examples have labels and the usual loss."""
    module = built(Pet(temperature=2.0))
    scores, soft = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.3, 0.7]])
    batch = Subject(Pet).batch(module, Subject(Pet).examples(1))
    q = torch.tensor([1.0, 0.0]).softmax(-1)
    expected = 4 * sum(float(p * (p / q).log()) for p, q in zip(soft[0], q, strict=True))
    assert float(module.loss(scores, replace(batch, soft=soft))) == pytest.approx(expected)
    label = int(batch.label[0])
    assert float(module.loss(scores, batch)) == pytest.approx(float(-scores.log_softmax(-1)[0, label]))


class Oracle(PatternTuning):
    """A teacher that knows which words are good, whatever it is fitted on."""

    def forward(self, batch: Encoded) -> Tensor:
        words = [self.reader.tokenizer.decode(row).replace(" ", "") for row in batch.input_ids]
        says = torch.tensor([float(any(w in text for w in ("bright", "rich", "lively"))) for text in words])
        return torch.stack([1 - says, says], 1) * 8 + 0 * super().forward(batch)


def test_the_student_learns_what_its_teachers_say(tmp_path: Path) -> None:
    """Taught by teachers that know, it names the label of texts whose label it was never told."""
    student, of = FineTuning(tuning=Full(learning_rate=5e-3, dropout=False)), data()
    module = Pet(teachers=[Oracle()], student=student, patterns=[0], weighting="uniform", student_steps=60)
    record = execute(runs.of(module, of, tmp_path, max_steps=1), Bars())
    truth = {e.key: e.label for e in TASK.source.read(TASK)["train"]}
    texts = list(of.drawn.unlabeled)
    found = Subject(Pet).scores(module.eval(), texts).softmax(-1)
    assert found.argmax(-1).tolist() == [truth[e.key] for e in texts]
    assert record["budget"]["unlabeled_texts"] == record["method"]["unlabeled"] == len(texts) == 24
    assert record["budget"]["labels_train"] == 4


class Ran:
    """A finished run of PET with two patterns."""

    def __init__(self, folder: Path) -> None:
        change = {"model": {"class_path": "Pet", "init_args": {"patterns": [0, 2], "unlabeled": 6, "student_steps": 4}}}
        self.experiment = runs.experiment(folder, change, {"score_stages": True, "save_model": True})
        self.record = execute(self.experiment, Bars())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return Ran(tmp_path_factory.mktemp("pet"))


def test_the_record_tells_every_stage(finished: Ran) -> None:
    record = finished.record
    assert record["strategy"] == "fixed-prompt LM tuning"
    assert record["template"] == f"{TASK.templates[0]} | {TASK.templates[2]}"
    assert record["answer"] == "Head"
    assert record["budget"]["unlabeled_texts"] == 6
    names = ["pattern 0 untrained", "pattern 1 untrained", "teacher 0", "teacher 1", "fit"]
    assert [s["name"] for s in record["stages"]] == names
    assert [s["examples"] for s in record["stages"]] == [0, 0, 4, 4, 6]
    assert [s["steps"] for s in record["stages"]] == [0, 0, 3, 3, 4]
    assert record["cost"]["steps"] == 10
    teachers = record["method"]["teachers"]
    assert [t["pattern"] for t in teachers] == [TASK.templates[0], TASK.templates[2]]
    assert all((t["labeled"], t["unlabeled"], t["generation"]) == (4, 0, 0) for t in teachers)


def test_teachers_are_tested_too_where_that_is_asked(finished: Ran) -> None:
    by_name = {s["name"]: s for s in finished.record["stages"]}
    rows = runs.lines(finished.experiment.folder / "stages.jsonl")
    assert [r["stage"] for r in rows] == ["teacher 0", "teacher 1"]
    labels = torch.tensor([e.label for e in finished.experiment.data.sealed_test()])
    for row in rows:
        logp = torch.tensor(row["log_probabilities"])
        assert by_name[row["stage"]]["scores"]["test/acc"] == pytest.approx(
            ensembling.accuracy(logp, labels.tolist()), abs=1e-6
        )
    assert "scores" not in by_name["pattern 0 untrained"]


def test_curves_of_teachers_have_names_of_their_own(finished: Ran) -> None:
    header = (finished.experiment.folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/loss", "teacher 0/train/loss", "teacher 1/train/loss"} <= set(header)


def test_nothing_is_kept_of_a_finished_run(finished: Ran) -> None:
    assert not (finished.experiment.folder / "stages").exists()
    assert (finished.experiment.folder / files.RECORD).exists()


def alive() -> int:
    gc.collect()
    own = [
        o for o in gc.get_objects() if issubclass(type(o), PatternTuning)
    ]  # isinstance takes weak references for the thing itself
    return sum(hasattr(one, "backbone") for one in own)


class Counted(PatternTuning):
    """Notes how many teachers with weights there are whenever one is fitted."""

    counts: list[int] = []  # noqa: RUF012

    def on_train_start(self) -> None:
        super().on_train_start()
        self.counts.append(alive())


def test_one_teacher_is_in_memory_at_a_time(tmp_path: Path) -> None:
    before = alive()
    patterns: list[int | str] = [0, 1, 2, "{text_a} {mask}", "{mask} {text_a}"]
    module = Pet(teachers=[Counted()], patterns=patterns, unlabeled=4)
    execute(runs.of(module, data(), tmp_path), Bars())
    assert Counted.counts == [before + 1] * 5


STUDENTS = [
    FineTuning(),
    FineTuning(template=0, answer=Head(pool="mask")),
    PatternTuning(),
    PatternTuning(tuning=Lora()),
]


@pytest.mark.parametrize("student", STUDENTS, ids=lambda s: type(s).__name__ + type(s.tuning).__name__)
def test_any_paradigm_of_one_fit_can_be_the_student(student: Paradigm, tmp_path: Path) -> None:
    module = Pet(student=student, patterns=[1], unlabeled=4)
    record = execute(runs.of(module, data(), tmp_path), Bars())
    assert record["stages"][-1]["examples"] == 4
    moved = sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert record["cost"]["trained_parameters"] == moved > 0
    assert record["tuning"] == type(student.tuning).__name__


# ------------------------------------------------------------------------------------------------- the auxiliary loss


def test_the_auxiliary_loss_hides_words_of_the_text_alone() -> None:
    """Neither special tokens nor the mask of the answer; 15 % of the rest, over many draws."""
    reader = load_backbone("tiny-masked").reader
    module = PatternTuning().prepare(TASK, reader)
    batch = collate(Encoder(module.template, module.answer.plan, reader, 64).encode(data().unlabeled()), reader)
    mask, seen = reader.mask_id, torch.zeros_like(batch.input_ids, dtype=torch.float)

    class Spy:
        """Counts the places that it is asked about, which it is told by the hidden states of their numbers."""

        def hidden(self, hidden: Encoded) -> Tensor:
            changed = hidden.input_ids != batch.input_ids
            assert (hidden.input_ids[changed] == mask).float().mean() > 0.5
            return torch.arange(changed.numel(), dtype=torch.float).view(*changed.shape, 1)

        def word_loss(self, places: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            assert torch.equal(batch.input_ids.flatten()[places[:, 0].long()], target)
            seen.view(-1)[places[:, 0].long()] += 1
            return torch.zeros(()), torch.zeros(len(target))

    torch.manual_seed(0)
    for _ in range(400):
        MaskedText(reader).loss(Spy(), batch)  # type: ignore[arg-type]
    special = torch.isin(batch.input_ids, torch.tensor(reader.tokenizer.all_special_ids))
    assert seen[special].sum() == 0
    assert float(seen[~special].mean() / 400) == pytest.approx(0.15, abs=0.01)


def test_the_auxiliary_loss_is_weighted_and_reads_as_many_texts_as_labels(tmp_path: Path) -> None:
    losses: list[tuple[float, float, float]] = []

    class Watched(PatternTuning):
        def training_step(self, batch: Encoded, batch_idx: int) -> Tensor:
            assert (batch.label < 0).sum() == (batch.label >= 0).sum() == 4
            total = super().training_step(batch, batch_idx)
            logged = self.trainer.callback_metrics
            losses.append((float(total.detach()), float(logged["train/loss"]), float(logged["train/auxiliary"])))
            return total

    module = Watched(auxiliary=0.25)
    record = execute(runs.of(module, data(), tmp_path, max_steps=3), Bars())
    assert len(losses) == 3
    for total, label, auxiliary in losses:
        assert auxiliary > 1, "a random model does not know the words"
        assert total == pytest.approx(0.75 * label + 0.25 * auxiliary, rel=1e-5)
    assert record["budget"]["unlabeled_texts"] == 24


def test_teachers_of_pet_read_no_more_texts_than_it_may(tmp_path: Path) -> None:
    module = Pet(teachers=[PatternTuning(auxiliary=1e-4)], patterns=[0], unlabeled=5)
    record = execute(runs.of(module, data(), tmp_path), Bars())
    assert record["budget"]["unlabeled_texts"] == 5


@pytest.mark.parametrize("backbone", ["tiny-causal", "tiny-seq2seq"])
def test_the_auxiliary_loss_needs_a_masked_model(backbone: str) -> None:
    with pytest.raises(LabError, match=r"is a (causal|seq2seq) model; set auxiliary to 0"):
        Subject(lambda: PatternTuning(template=2, auxiliary=1e-4), backbone).built()


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"repetitions": 0}, "repetitions must be at least 1; it was 0"),
        ({"unlabeled": 0}, "unlabeled must be at least 1"),
        ({"student_steps": 0}, "student_steps must be at least 1"),
        ({"temperature": 0.0}, "must be above 0; it was 0.0"),
        ({"patterns": [0, 0]}, "is given twice"),
        ({"patterns": [9]}, "template 9 does not exist"),
        ({"patterns": []}, "no pattern to use"),
        ({"student": Pet()}, "the student of Pet must be one fit; Pet consists of several"),
        ({"teachers": [Pet()]}, "the teacher of Pet must be one fit"),
        ({"teachers": [PatternTuning(answer=Words(words={"negative": ["bad"]}))]}, "has no label words"),
    ],
)
def test_wrong_settings_are_refused_before_weights_are_loaded(settings: dict[str, Any], message: str) -> None:
    reader = load_backbone("tiny-masked").reader
    with pytest.raises(LabError, match=message):
        Pet(**settings).prepare(TASK, reader)


def test_patterns_that_a_causal_model_cannot_read_are_left_out_unless_they_are_named() -> None:
    reader = load_backbone("tiny-causal").reader
    assert Pet().prepare(TASK, reader).shown == [TASK.templates[0], TASK.templates[2]]
    with pytest.raises(LabError, match="has its mask inside the text"):
        Pet(patterns=[1]).prepare(TASK, reader)


def test_no_unlabelled_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="has none left at k=full"):
        execute(runs.of(Pet(), data("full"), tmp_path), Bars())


def test_without_labels_the_student_learns_what_the_untrained_model_says(tmp_path: Path) -> None:
    record = execute(runs.of(Pet(patterns=[0, 1], unlabeled=4), data(0), tmp_path), Bars())
    assert [(s["name"], s["examples"]) for s in record["stages"]] == [("teacher 0", 0), ("teacher 1", 0), ("fit", 4)]
    assert record["method"]["weights"] == [1.0, 1.0]
    assert record["budget"]["labels_train"] == 0


def test_examples_keep_their_texts() -> None:
    module, of = built(Pet(patterns=[0], weighting="uniform", unlabeled=3)), data()
    last = driven(module, of, [torch.zeros(3, 2)])[-1]
    assert last.data is not None
    assert [e.fields for e in last.data.drawn.train] == [e.fields for e in of.drawn.unlabeled[:3]]
    assert all(isinstance(e, Example) for e in last.data.drawn.train)
