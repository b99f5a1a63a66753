"""LiST: what every fit learns and begins with, what a wrong soft label weighs, and that the record tells it."""

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prompt_lab.answers.head import Head
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Stage, Stages
from prompt_lab.paradigms.lite_self_training import LiteSelfTraining
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.soft_prompt import SoftPrompt

import runs

TASK = load_task(TOY)
TRUTH = {e.key: e.label for e in TASK.source.read(TASK)["train"]}


def data(k: Any = 2) -> FewShotData:
    return FewShotData(TOY, k=k, seed=13, batch_size=4, max_length=64)


def built(**settings: Any) -> LiteSelfTraining:
    return Subject(lambda: LiteSelfTraining(**settings)).built()  # type: ignore[return-value]


def test_the_algorithm() -> None:
    """Two rounds on two texts: every student learns what the last one said, then the labels; the last is tested."""
    module, of = built(rounds=2, unlabeled=2, student_steps=7), data()
    says = [torch.tensor([[0.6, 0.4], [0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log()]
    stages, found, result, given = module.stages(of), [], None, iter(says)
    while True:
        try:
            stage = Stage(*stages.send(result))
        except StopIteration:
            break
        found.append(stage)
        result = next(given) if stage.score else None
    assert [s.name for s in found] == ["teacher", "round 1 texts", "round 1 labels", "round 2 texts", ""]
    assert [s.steps for s in found] == [None, 7, None, 7, None]
    assert [len(s.score) for s in found] == [2, 0, 2, 0, 0]
    assert found[0].score == found[2].score == of.drawn.unlabeled[:2]
    assert all(s.module is module for s in found)
    for stage in (found[0], found[2], found[4]):
        assert stage.data is of, "teacher and students are tuned on the labelled examples"
    for stage, said in zip((found[1], found[3]), says, strict=True):
        assert stage.data is not None
        train = stage.data.drawn.train
        assert [e.fields for e in train] == [e.fields for e in of.drawn.unlabeled[:2]]
        assert [e.label for e in train] == [None, None]
        torch.testing.assert_close(torch.tensor([e.soft for e in train]), said.exp())
        assert stage.data.beside == of.drawn.train
    assert module.facts() == {"unlabeled": 2, "rounds": 2, "agreement": [0.5]}


def test_without_weights_no_labelled_example_stands_beside_the_texts() -> None:
    module = built(rounds=1, reweight=False)
    stages = module.stages(data())
    next(stages)
    stage = Stage(*stages.send(torch.zeros(24, 2)))
    assert stage.data is not None
    assert stage.data.beside == ()


def test_texts_that_are_weighed_are_read_three_times() -> None:
    """By the student, and on both sides of where it stands; labelled examples once."""
    module, drawn = built(), data().drawn
    encoder = module.encoder(data())
    texts = [Example(e.fields, soft=(0.6, 0.4)) for e in drawn.unlabeled[:3]]
    taught, both = (
        collate(encoder.encode(texts), module.reader),
        collate(encoder.encode([*texts, *drawn.train]), module.reader),
    )
    assert module.reads(both) == (3 * 3 + 4, both.tokens + 2 * taught.tokens)
    assert module.reads(collate(encoder.encode(drawn.train), module.reader))[0] == 4
    assert built(reweight=False).reads(taught) == (3, taught.tokens)


@pytest.mark.parametrize("tuning", [Lora(), Full(), SoftPrompt(length=3)], ids=lambda t: type(t).__name__)
def test_every_student_begins_with_the_pretrained_weights(tuning: Tuning) -> None:
    """Whatever the one before has come to; its own parameters are new, the head as well."""
    module = built(template="none", answer=Head(), tuning=tuning, rounds=2)
    before = {n: p.clone() for n, p in load_backbone("tiny-masked").named_parameters()}
    stages, result, heads = module.stages(data()), None, []
    for number in range(5):
        torch.manual_seed(number + 1)  # as a run does before every stage
        stage = Stage(*stages.send(result))
        if stage.name.endswith(("teacher", "texts")):
            for name, value in stage.module.backbone.named_parameters():
                plain = name.replace(".base_layer", "")
                assert plain not in before or torch.equal(value, before[plain]), name
            heads.append(module.answer.linear.weight.detach().clone())  # type: ignore[union-attr, operator]
        with torch.no_grad():
            for value in stage.module.parameters():
                value.add_(1.0)  # what a fit might do
        result = torch.zeros(24, 2) if stage.score else None
    assert len(heads) == 3
    assert not torch.equal(heads[0], heads[1])
    assert all(float(head.abs().max()) < 0.2 for head in heads), "drawn anew, not what was trained"


# ------------------------------------------------------------------------------------------------- weights


def fitted(**settings: Any) -> LiteSelfTraining:
    """A module that has begun to learn the labels, without Lightning."""
    module = built(**settings)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.train()
    module.backbone.train(module.tuning.dropout)
    return module


def encoded(module: LiteSelfTraining, examples: list[Example]) -> Encoded:
    return collate(module.encoder(data()).encode(examples), module.reader)


def soft(example: Example, label: int) -> Example:
    return Example(example.fields, None, soft=(0.9, 0.1) if label == 0 else (0.1, 0.9))


TUNINGS = [Lora(), Full(), SoftPrompt(length=3, learning_rate=1e-1)]


@pytest.mark.parametrize("backbone", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
@pytest.mark.parametrize("tuning", TUNINGS, ids=lambda t: type(t).__name__)
def test_weights_are_those_of_exact_gradients(tuning: Tuning, backbone: str) -> None:
    """One example at a time, by autograd: max(0, product of gradients), with mean 1. Dropout is off for both."""
    template = 2 if backbone == "tiny-causal" else 0
    module = Subject(lambda: LiteSelfTraining(template=template, tuning=tuning), backbone).built()
    assert isinstance(module, LiteSelfTraining)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    texts = [soft(e, i % 2) for i, e in enumerate(data().drawn.unlabeled[:12])]
    batch = encoded(module, [*texts, *data().drawn.train])
    is_taught = batch.label < 0
    taught, labelled = batch.take(is_taught), batch.take(~is_taught)
    moving = [p for p in module.parameters() if p.requires_grad]
    plain = encoded(module, list(data().drawn.train))
    known = torch.autograd.grad(module.loss(module(plain), plain), moving)
    exact = []
    for number in range(len(texts)):
        one = taught.take(torch.tensor([number]))
        assert one.soft is not None
        gap = torch.nn.functional.kl_div(module(one).log_softmax(-1), one.soft, reduction="sum")
        exact.append(sum(float((g * k).sum()) for g, k in zip(torch.autograd.grad(gap, moving), known, strict=True)))
    module.train()
    exact_B = torch.tensor(exact).clamp_min(0)
    exact_B = exact_B / exact_B.sum() * len(texts)
    found_B = module.weigh(taught, labelled)
    assert 0 < int((exact_B == 0).sum()) < len(texts)
    assert float(torch.corrcoef(torch.stack([found_B, exact_B]))[0, 1]) > 0.999
    torch.testing.assert_close(found_B, exact_B, atol=0.05, rtol=0.02)
    assert float(found_B.mean()) == pytest.approx(1)


@pytest.mark.parametrize("tuning", TUNINGS[:2], ids=lambda t: type(t).__name__)
def test_wrong_soft_labels_weigh_less_than_right_ones(tuning: Tuning) -> None:
    """Texts that are known, once under their own label and once under the other one."""
    module = fitted(tuning=tuning)
    known = list(data().drawn.train)
    taught = encoded(module, [soft(e, (e.label or 0) ^ wrong) for wrong in (0, 1) for e in known])
    right_B, wrong_B = module.weigh(taught, encoded(module, known)).chunk(2)
    assert float(right_B.sum() + wrong_B.sum()) == pytest.approx(8)
    assert float(right_B.mean()) > 1.1 * float(wrong_B.mean())


def test_weighing_leaves_everything_as_it_was() -> None:
    """Parameters to the bit, gradients, dropout, and the random numbers of the next step."""
    module = fitted()
    batch = encoded(module, [soft(e, 0) for e in data().drawn.unlabeled[:4]] + list(data().drawn.train))
    taught = batch.label < 0
    before = {n: p.detach().clone() for n, p in module.named_parameters()}
    modes = [m.training for m in module.modules()]
    assert all(modes)
    state = torch.random.get_rng_state()
    module.weigh(batch.take(taught), batch.take(~taught))
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in module.named_parameters())
    assert [m.training for m in module.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), state), "no dropout was drawn"


def test_the_loss_is_the_weighted_divergence() -> None:
    """Two texts with weights 2 and 0: the mean is the first one's divergence."""
    module = fitted(tuning=Lora(dropout=False))
    module.weigh = lambda taught, labelled: torch.tensor([2.0, 0.0])  # type: ignore[method-assign]
    batch = encoded(module, [soft(e, 0) for e in data().drawn.unlabeled[:2]] + list(data().drawn.train))
    first = batch.take(torch.tensor([0]))
    q = module(first).detach().softmax(-1)[0]
    expected = sum(float(p * (p / q[i]).log()) for i, p in enumerate(torch.tensor([0.9, 0.1])))
    assert float(module.training_step(batch, 0).detach()) == pytest.approx(expected, rel=1e-4)


def test_labelled_numbers_between_poles_weigh_by_their_shares() -> None:
    """In regression the labelled examples have soft labels of their own; elsewhere the zeros beside other rows mean nothing."""
    module = fitted(tuning=Lora(dropout=False))
    texts = [soft(e, i % 2) for i, e in enumerate(data().drawn.unlabeled[:4])]
    flipped = [replace(e, label=1 - (e.label or 0)) for e in data().drawn.train]
    by_label = encoded(module, [*texts, *flipped])
    shares = [replace(e, soft=(float(e.label or 0), 1.0 - (e.label or 0))) for e in data().drawn.train]
    by_share = encoded(
        module, [*texts, *shares]
    )  # all of the pole that they are not nearer to, so that it shows which is read
    is_taught = by_label.label < 0
    one_B = module.weigh(by_label.take(is_taught), by_label.take(~is_taught))
    module.task = replace(module.task, bounds=(0.0, 5.0))
    other_B = module.weigh(by_share.take(is_taught), by_share.take(~is_taught))
    torch.testing.assert_close(one_B, other_B)
    assert float(one_B.std()) > 0


# ------------------------------------------------------------------------------------------------- whole runs


class Watched(LiteSelfTraining):
    """Notes how many backbones there are whenever a fit begins, and what its batches hold."""

    alive: list[int] = []  # noqa: RUF012
    rows: list[tuple[int, int]] = []  # noqa: RUF012

    def on_train_start(self) -> None:
        super().on_train_start()
        gc.collect()
        self.alive.append(sum(issubclass(type(o), Backbone) for o in gc.get_objects()))

    def training_step(self, batch: Encoded, batch_idx: int) -> Tensor:
        self.rows.append((int((batch.label < 0).sum()), int((batch.label >= 0).sum())))
        return super().training_step(batch, batch_idx)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Watched, dict[str, Any]]:
    module = Watched(rounds=2, unlabeled=6, student_steps=3)
    run = runs.of(module, data(), tmp_path_factory.mktemp("list"), max_steps=2, run={"score_stages": True})
    return module, execute(run, Bars())


def test_the_record_tells_every_round(finished: tuple[Watched, dict[str, Any]]) -> None:
    _, record = finished
    assert (record["strategy"], record["tuning"]) == ("fixed-prompt LM tuning", "Adapter")
    assert [s["name"] for s in record["stages"]] == [
        "teacher", "round 1 texts", "round 1 labels", "round 2 texts", "fit",
    ]  # fmt: skip
    assert [s["examples"] for s in record["stages"]] == [4, 10, 4, 10, 4], "six texts and four that weigh them"
    assert [s["steps"] for s in record["stages"]] == [2, 3, 2, 3, 2]
    assert [("scores" in s) for s in record["stages"]] == [True, False, True, False, False]
    assert record["budget"]["labels_train"] == 4
    assert record["budget"]["unlabeled_texts"] == record["method"]["unlabeled"] == 6
    assert len(record["method"]["agreement"]) == 1
    for stage in record["stages"]:
        assert ("mean_weight" in stage) == ("zero_weights" in stage) == stage["name"].endswith("texts")
    for stage in (record["stages"][1], record["stages"][3]):
        assert 0 <= stage["zero_weights"] <= 1
        assert 0 <= stage["mean_weight"] <= 1.0001
        assert (stage["mean_weight"] == 0) == (stage["zero_weights"] == 1)


def test_labelled_examples_stand_beside_the_texts_of_every_step(finished: tuple[Watched, dict[str, Any]]) -> None:
    assert finished[0].rows == [(0, 4)] * 2 + ([(4, 4), (2, 4), (4, 4)] + [(0, 4)] * 2) * 2


def test_one_model_is_in_memory_at_a_time(finished: tuple[Watched, dict[str, Any]]) -> None:
    assert len(finished[0].alive) == 5
    assert len(set(finished[0].alive)) == 1, finished[0].alive


class Told(LiteSelfTraining):
    """Its first teacher knows the label of every text."""

    def stages(self, data: FewShotData) -> Stages:
        inner, result = super().stages(data), None
        while True:
            try:
                stage = Stage(*inner.send(result))
            except StopIteration:
                return
            result = yield stage
            if stage.name == "teacher":
                result = torch.eye(2)[[TRUTH[e.key] or 0 for e in stage.score]].mul(0.9).add(0.05).log()


@pytest.mark.parametrize("reweight", [True, False])
def test_a_student_learns_what_its_teacher_says(reweight: bool, tmp_path: Path) -> None:
    """Of twenty-four texts whose labels it was never told, it names nearly all."""
    tuning = Full(learning_rate=5e-3, dropout=False)
    module = Told(tuning=tuning, rounds=1, student_steps=60, reweight=reweight)
    of = data()
    execute(runs.of(module, of, tmp_path, max_steps=1), Bars())
    texts = list(of.drawn.unlabeled)
    found = Subject(LiteSelfTraining).scores(module.eval(), texts).argmax(-1).tolist()
    assert sum(f == TRUTH[e.key] for f, e in zip(found, texts, strict=True)) >= 20


def test_a_killed_run_goes_on_with_the_weights_it_had(tmp_path: Path) -> None:
    """A run that breaks in its last fit: the second process fits only that, and its record is that of a whole run."""

    class Breaks(LiteSelfTraining):
        cured = False

        def on_train_start(self) -> None:
            super().on_train_start()
            if len(self.trainer.datamodule.drawn.train) == 4 and not self.cured and self._facts["agreement"]:  # type: ignore[attr-defined]
                raise RuntimeError("planted failure")

    def run(out: str, module: LiteSelfTraining) -> dict[str, Any]:
        return execute(runs.of(module, data(), tmp_path / out, max_steps=2, run={"name": "list"}), Bars())

    settings: dict[str, Any] = {"rounds": 2, "unlabeled": 6, "student_steps": 2}
    with pytest.raises(RuntimeError, match="planted"):
        run("broken", Breaks(**settings))
    again = Breaks(**settings)
    again.cured = True
    resumed, whole = run("broken", again), run("whole", LiteSelfTraining(**settings))
    assert [s["finished_before"] for s in resumed["stages"]] == [True] * 4 + [False]
    assert resumed["method"] == whole["method"]
    assert resumed["scores"] == whole["scores"]
    for key in ("mean_weight", "zero_weights"):
        assert [s.get(key) for s in resumed["stages"]] == [s.get(key) for s in whole["stages"]]
    assert resumed["cost"]["tokens"] == whole["cost"]["tokens"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "rounds must be at least 1; it was 0"),
        ({"unlabeled": 0}, "unlabeled must be at least 1"),
        ({"student_steps": 0}, "student_steps must be at least 1"),
        ({"tuning": Frozen()}, "Frozen with Words moves nothing"),
    ],
)
def test_wrong_settings_are_refused_before_weights_are_loaded(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        LiteSelfTraining(**settings).prepare(TASK, load_backbone("tiny-masked").reader)


@pytest.mark.parametrize(("k", "message"), [("full", "has none left at k=full"), (0, "k=0 gives none")])
def test_labels_and_texts_are_needed(k: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=message):
        execute(runs.of(LiteSelfTraining(), data(k), tmp_path), Bars())
