"""Multi-task prompts: what is learned together, that every task keeps its own labels and head, that this task is tuned last."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from prompt_lab.answers.words import Words
from prompt_lab.backbones.load import load_backbone, load_reader
from prompt_lab.batch import Example
from prompt_lab.data.by_task import TASK, marked
from prompt_lab.data.encoded import collate
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Stage, Stages
from prompt_lab.paradigms.multitask_prompt import MultitaskPrompt, Together
from prompt_lab.paradigms.p_tuning_v2 import PTuningV2
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.soft_prompt import SoftPrompt

import runs

CODE = """
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files

TASK = Task(
    source=Files(train={train!r}),
    labels={labels!r},
    label_words={words!r},
    templates=("It was {{mask}}: {{text_a}}",),
    bounds={bounds!r},
)
"""
MOODS = {"sad": ["terrible"], "middling": ["so so"], "glad": ["great"]}
"""Label words of one and of two tokens, which are read in rows of their own."""
VECTORS = "backbone.deep_prompt.vectors.weight"


def written(
    folder: Path, name: str, words: dict[str, list[str]], rows: Sequence[tuple[str, Any]], bounds: Any = None
) -> str:
    """A task file."""
    train = runs.write(folder / f"{name}.jsonl", "\n".join(json.dumps({"text_a": t, "label": c}) for t, c in rows))
    code = CODE.format(train=str(train), labels=tuple(words), words=words, bounds=bounds)
    return str(runs.write(folder / f"{name}.py", code))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Another task of three labels, one of numbers, and the toy task with its labels the other way round."""
    folder, labels, toy = tmp_path_factory.mktemp("tasks"), [*MOODS], load_task(TOY)
    moods = [(f"the day {i} is {labels[i % 3]}", labels[i % 3]) for i in range(24)]
    numbers = [(f"a story of {i} stars", i / 4) for i in range(1, 16)]
    same = [(e.fields["text_a"], toy.labels[e.label or 0]) for e in toy.source.read(toy)["train"]]
    return {
        "moods": written(folder, "moods", MOODS, moods),
        "stars": written(folder, "stars", {"low": ["terrible"], "high": ["great"]}, numbers, (0.0, 4.0)),
        "reversed": written(folder, "reversed", {c: [*toy.label_words[c]] for c in reversed(toy.labels)}, same),
    }


def data() -> FewShotData:
    return Subject(MultitaskPrompt).data()


def together(others: list[str], backbone: str = "tiny-masked", **settings: Any) -> tuple[Together, FewShotData]:
    """What is fitted first, without dropout, and what on."""
    module = Subject(lambda: MultitaskPrompt(others, **settings), backbone).built()
    stage = Stage(*next(module.stages(data())))
    assert isinstance(stage.module, Together)
    assert stage.data is not None
    stage.module.eval().log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
    return stage.module, stage.data


class Seen(MultitaskPrompt):
    """Remembers its stages, and what each moving tensor was when one began and at the end."""

    def stages(self, data: FewShotData) -> Stages:
        self.seen, self.states = list[Stage](), list[dict[str, Tensor]]()
        for stage in super().stages(data):
            self._look()
            self.seen.append(Stage(*stage))
            yield stage
        self._look()

    def _look(self) -> None:
        state = self.moved_state() | {
            f"{o.task.name} head": o.answer.linear.weight.detach() for o in self.others.values()
        }
        self.states.append({name: value.clone() for name, value in state.items()})


def test_without_other_tasks_it_is_p_tuning_v2() -> None:
    one, other = Subject(MultitaskPrompt).run_anew(), Subject(PTuningV2).run_anew()
    assert [s["name"] for s in one.record["stages"]] == ["fit"]
    assert one.record["scores"] == other.record["scores"]
    examples = Subject(PTuningV2).examples()
    assert torch.equal(*(Subject(PTuningV2).scores(r.module.eval(), examples) for r in (one, other)))


def test_all_tasks_and_then_this_one(tasks: dict[str, str], tmp_path: Path) -> None:
    """The toy task, named among its others too, has 2 * 2 examples and the other 2 * 3."""
    module = Seen([TOY, tasks["moods"]], tuning=DeepPrompt(length=3, learning_rate=0.1), shared_steps=5)
    experiment = runs.of(module, data(), tmp_path)
    record = execute(experiment, Bars())
    assert [(s["name"], s["examples"], s["steps"]) for s in record["stages"]] == [("all tasks", 10, 5), ("fit", 4, 3)]
    assert (record["budget"]["labels_train"], record["budget"]["external_labels"]) == (4, 6)
    assert record["method"]["tasks"] == ["moods"]
    first, last = (s.data for s in module.seen)
    assert first is not None
    assert last is not None
    elsewhere = FewShotData(tasks["moods"], k=2, seed=13).drawn
    assert first.drawn.train == (*marked(data().drawn.train, "toy"), *marked(elsewhere.train, "moods"))
    assert first.drawn.validation == (*marked(data().drawn.validation, "toy"), *marked(elsewhere.validation, "moods"))
    assert last.drawn == data().drawn
    before, shared, after = module.states
    assert (shared[VECTORS] - before[VECTORS]).norm() > 0.5 * before[VECTORS].norm()
    assert 0 < (after[VECTORS] - shared[VECTORS]).norm() < 0.9 * (after[VECTORS] - before[VECTORS]).norm()
    for name in ("answer.linear.weight", "moods head"):
        assert not torch.equal(before[name], shared[name]), name
    assert not torch.equal(shared["answer.linear.weight"], after["answer.linear.weight"])
    assert torch.equal(shared["moods head"], after["moods head"]), "its part is over"
    stored = load_file(experiment.folder / "delta.safetensors")
    assert {name: (*value.shape,) for name, value in stored.items()} == {
        "answer.linear.weight": (2, 32), "answer.linear.bias": (2,), VECTORS: (3, 2 * 2 * 32),
    }  # fmt: skip
    own = dict(module.backbone.model.named_parameters())
    for name, value in load_backbone("tiny-masked").model.named_parameters():
        assert torch.equal(own[name], value), name


def test_words_are_answers_too(tasks: dict[str, str], tmp_path: Path) -> None:
    module = MultitaskPrompt([tasks["moods"]], "mask", Words(), SoftPrompt(length=3))
    record = execute(runs.of(module, data(), tmp_path), Bars())
    assert [(s["name"], s["examples"], s["steps"]) for s in record["stages"]] == [("all tasks", 10, 3), ("fit", 4, 3)]
    assert record["budget"]["external_labels"] == 6


@pytest.mark.parametrize(("select", "own", "external"), [("fixed", 0, 6), ("dev_k", 4, 12)])
def test_labels_of_other_tasks_that_choose_the_state_are_counted(
    tasks: dict[str, str], tmp_path: Path, select: str, own: int, external: int
) -> None:
    """The other task has 2 * 3 training and 2 * 3 validation examples; what is learned from all tasks goes back by both tasks'."""
    experiment = runs.of(MultitaskPrompt([tasks["moods"]]), data(), tmp_path, run={"select": select})
    budget = execute(experiment, Bars())["budget"]
    assert (budget["labels_validation"], budget["external_labels"]) == (own, external)


@pytest.mark.parametrize("backbone", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
@pytest.mark.parametrize("answer", ["Head", "Words"])
@pytest.mark.parametrize("others", [["moods"], ["stars"], ["moods", "stars"]], ids="-".join)
def test_every_task_counts_as_it_does_alone(
    tasks: dict[str, str], others: list[str], answer: str, backbone: str
) -> None:
    """The loss of all together is the mean over examples, each read by its own task alone; so is the accuracy."""
    how = {"template": "mask", "answer": Words(), "tuning": SoftPrompt(length=3)} if answer == "Words" else {}
    module, given = together([tasks[name] for name in others], backbone, **how)
    if answer == "Words" and "moods" in others and backbone == "tiny-masked":
        assert len({len(p.answer.plan.rows) for p in module.own.values() if p.answer.plan}) > 1, "rows are not as many"
    batch = collate(module.encoder(given).encode(given.drawn.train), module.own["toy"].reader)
    assert len(batch) == 4 + sum({"moods": 6, "stars": 4}[name] for name in others)
    losses, right = [], []
    for example in given.drawn.train:
        part = module.own[example.fields[TASK]]
        alone = collate(part.encoder(given).encode([example]), part.reader)
        losses.append(part.loss(scores := part(alone), alone))
        right.append(float(scores.argmax(-1) == alone.label))
    torch.testing.assert_close(module.training_step(batch, 0), torch.stack(losses).mean(), atol=1e-4, rtol=1e-4)
    module.validation_step(batch, 0)
    assert float(module.val_acc.compute()) == pytest.approx(sum(right) / len(right))


def test_labels_the_other_way_round_mean_the_same(tasks: dict[str, str]) -> None:
    """The same texts with the same words, drawn by the same seed: the loss of both is that of one, though no index is the same."""
    module, given = together([tasks["reversed"]], template="mask", answer=Words(), tuning=SoftPrompt(length=3))
    own, other = ([e for e in given.drawn.train if e.fields[TASK] == name] for name in ("toy", "reversed"))
    assert {e.fields["text_a"]: e.label for e in own} == {e.fields["text_a"]: 1 - (e.label or 0) for e in other}
    encoder = module.encoder(given)

    def loss(examples: list[Example]) -> float:
        return float(module.training_step(collate(encoder.encode(examples), encoder.reader), 0).detach())

    wrong = [Example(e.fields, 1 - (e.label or 0)) for e in other]
    assert loss([*own, *other]) == pytest.approx(loss(own), abs=1e-5)
    assert abs(loss([*own, *wrong]) - loss(own)) > 0.01


def test_gradients_reach_every_head(tasks: dict[str, str]) -> None:
    """And the prompt from each task alone; nothing of the backbone moves."""
    module, given = together([tasks["moods"]])
    encoder = module.encoder(given)
    moving = {n for n, p in module.named_parameters() if p.requires_grad}
    assert len(moving) == 5, "two heads and one prompt"
    assert sum(p.numel() for p in nn.ModuleList([module.answers]).parameters()) == (2 + 3) * 33
    for name in ("toy", "moods"):
        module.zero_grad()
        own = [e for e in given.drawn.train if e.fields[TASK] == name]
        module.training_step(collate(encoder.encode(own), encoder.reader), 0).backward()
        reached = {n for n, p in module.named_parameters() if p.grad is not None and p.grad.any()}
        assert len(reached) == 3
        assert all(p.grad is not None for p in module.own[name].answer.parameters())


class TestRefused:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (
                {"tuning": Frozen()},
                "MultitaskPrompt shares a prompt, and Frozen trains none; use DeepPrompt or SoftPrompt",
            ),
            ({"tuning": Full()}, "and Full trains none"),
            ({"shared_steps": 0}, "shared_steps must be at least 1"),
            ({"tasks": ["sst"]}, "unknown task 'sst'. Did you mean 'sst[25]'"),
            ({"tasks": ["nowhere.py"]}, "no such file"),
        ],
    )
    def test_settings(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(LabError, match=message):
            MultitaskPrompt(**settings).prepare(load_task(TOY), load_reader("tiny-masked"))

    def test_words_without_a_mask(self, tasks: dict[str, str]) -> None:
        with pytest.raises(LabError, match="mask"):
            MultitaskPrompt([tasks["moods"]], answer=Words()).prepare(load_task(TOY), load_reader("tiny-masked"))
