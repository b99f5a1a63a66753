"""Runs side by side: one pass through a frozen backbone for all of them, each with its own examples, optimizer and record."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from prompt_lab import grid, suite, together
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.experiment import Experiment
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.testing.subject import Subject
from prompt_lab.together import rows
from prompt_lab.together.grouping import groups
from prompt_lab.together.meeting import Meeting, Stopped
from prompt_lab.tuning.adapter import Adapter
from prompt_lab.tuning.deep_prompt import DeepPrompt

import runs

SOFT = {
    "class_path": "PatternTuning",
    "init_args": {"tuning": {"class_path": "SoftPrompt", "init_args": {"length": 3, "learning_rate": 0.1}}},
}
SEEDS = (13, 21, 42)


def soft(out: Path, seed: int, **changes: Any) -> Experiment:
    return runs.experiment(out, {"model": SOFT, "data": {"seed": seed}, **changes})


def beside(experiments: list[Experiment]) -> list[dict[str, Any]]:
    found = together.execute(experiments, Bars())
    for one in found:
        assert not isinstance(one, Exception), one
    return found  # type: ignore[return-value]


def predictions(one: Experiment) -> torch.Tensor:
    return torch.tensor([line["log_probabilities"] for line in runs.lines(one.folder / "predictions.jsonl")])


def same(alone: Experiment, other: Experiment) -> bool:
    states = [one.paradigm.moved_state() for one in (alone, other)]
    close = all(torch.allclose(states[0][name], states[1][name], atol=1e-4) for name in states[0])
    return close and torch.allclose(predictions(alone), predictions(other), atol=1e-4)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of every pass that a gradient goes back through."""
    seen: list[int] = []
    for name in ("own_hidden", "own_slot_logits"):
        real: Callable[..., Any] = getattr(Backbone, name)

        def counted(self: Backbone, batch: Any, *more: Any, real: Callable[..., Any] = real) -> Any:
            if torch.is_grad_enabled():
                seen.append(len(batch.input_ids))
            return real(self, batch, *more)

        monkeypatch.setattr(Backbone, name, counted)
    return seen


# ------------------------------------------------------------------------------------------------- the same, in fewer passes


def test_frozen_weights_are_shared_as_soon_as_a_run_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies of a backbone are there at a time, however many runs."""
    places: list[tuple[int, int]] = []
    real = rows.plan

    def counted(backbones: Any, most: float) -> Any:
        places.append((len(backbones), len({b.embeddings().weight.data_ptr() for b in backbones})))
        return real(backbones, most)

    monkeypatch.setattr(rows, "plan", counted)
    beside([soft(tmp_path, seed) for seed in SEEDS])
    assert places == [(2, 2), (2, 2), (3, 1)]


def test_one_pass_reads_the_batches_of_all(tmp_path: Path, passes: list[int]) -> None:
    alone = [soft(tmp_path / "alone", seed) for seed in SEEDS]
    for one in alone:
        execute(one, Bars())
    assert passes == [2] * 9, "three runs of three steps, two texts each"
    passes.clear()
    other = [soft(tmp_path / "beside", seed) for seed in SEEDS]
    beside(other)
    assert passes == [6] * 3
    assert all(map(same, alone, other))
    assert not same(alone[0], other[1]), "each has its own examples"


def test_rates_and_starts_may_differ(tmp_path: Path) -> None:
    def make(out: Path) -> list[Experiment]:
        found = [soft(out / str(n), 13, init_seed=n) for n in range(3)]
        for n, one in enumerate(found):
            one.paradigm.tuning.learning_rate = 0.1 / 10**n
        return found

    alone, other = make(tmp_path / "alone"), make(tmp_path / "beside")
    for one in alone:
        execute(one, Bars())
    beside(other)
    assert all(map(same, alone, other))


def test_dropout_of_a_head_is_drawn_as_alone(tmp_path: Path) -> None:
    def make(out: Path, seed: int) -> Experiment:
        data = Subject(FineTuning).data(seed=seed)
        return runs.of(FineTuning(tuning=DeepPrompt(length=2)), data, out)

    alone, other = ([make(tmp_path / n, seed) for seed in SEEDS] for n in ("alone", "beside"))
    for one in alone:
        execute(one, Bars())
    assert alone[0].paradigm.answer.dropout.p == 0.1
    beside(other)
    assert all(map(same, alone, other))


def test_who_stops_early_leaves_the_others(tmp_path: Path, passes: list[int]) -> None:
    def make(out: Path) -> list[Experiment]:
        found = [soft(out, seed, trainer={"max_steps": 6}) for seed in SEEDS]
        stop = EarlyStopping("val/loss", patience=1, min_delta=9.0)  # never good enough
        found[1].trainer = {**found[1].trainer, "callbacks": [stop]}
        return found

    alone, other = make(tmp_path / "alone"), make(tmp_path / "beside")
    steps = [execute(one, Bars())["cost"]["steps"] for one in alone]
    assert steps[1] < steps[0] == steps[2] == 6
    passes.clear()
    assert [record["cost"]["steps"] for record in beside(other)] == steps
    assert passes == [6] * steps[1] + [4] * (6 - steps[1])
    assert all(map(same, alone, other))


def test_who_fails_leaves_the_others(tmp_path: Path) -> None:
    alone = [soft(tmp_path / "alone", seed) for seed in SEEDS]
    for one in alone:
        execute(one, Bars())
    other = [soft(tmp_path / "beside", seed) for seed in SEEDS]
    failing = other[1].paradigm

    def fails(*_: Any) -> None:
        raise RuntimeError("planted failure")

    failing.on_train_batch_end = fails  # type: ignore[method-assign]
    found = together.execute(other, Bars())
    assert isinstance(found[1], RuntimeError)
    assert not (other[1].folder / "record.json").exists()
    assert same(alone[0], other[0])
    assert same(alone[2], other[2])


def test_gates_are_remembered_by_each_run(tmp_path: Path, passes: list[int]) -> None:
    def make(out: Path) -> list[Experiment]:
        gated = lambda: PatternTuning(tuning=Adapter(width=1, gated=True, dropout=False))  # noqa: E731
        return [runs.of(gated(), Subject(gated).data(seed=seed), out) for seed in SEEDS]

    alone, other = make(tmp_path / "alone"), make(tmp_path / "beside")
    records = [execute(one, Bars()) for one in alone]
    passes.clear()
    for record, its in zip(records, together.execute(other, Bars(), most=1.0), strict=True):
        assert not isinstance(its, Exception)
        assert its["method"]["gates"] == record["method"]["gates"]
    assert set(passes) == {4}, "read apart"


def test_a_module_that_reads_no_rows_is_read_apart(tmp_path: Path, passes: list[int]) -> None:
    """DoRA's lengths are computed from the matrices, which come as arguments."""
    from prompt_lab.tuning.lora import Lora

    def make(out: Path) -> list[Experiment]:
        dora = lambda: PatternTuning(tuning=Lora(rank=1, dora=True, dropout=False))  # noqa: E731
        return [runs.of(dora(), Subject(dora).data(seed=seed), out) for seed in SEEDS]

    alone, other = make(tmp_path / "alone"), make(tmp_path / "beside")
    for one in alone:
        execute(one, Bars())
    passes.clear()
    assert not [r for r in together.execute(other, Bars(), most=1.0) if isinstance(r, Exception)]
    assert passes[-1] == 4
    assert all(map(same, alone, other))


# ------------------------------------------------------------------------------------------------- one backbone


def test_what_is_frozen_is_there_once(tmp_path: Path) -> None:
    other = [soft(tmp_path, seed) for seed in SEEDS]
    beside(other)
    backbones = [one.paradigm.backbone for one in other]
    for name, parameter in backbones[0].named_parameters():
        places = {b.get_parameter(name).data_ptr() for b in backbones}
        assert (len(places) == 3) == parameter.requires_grad, name
    assert all(b.company is None for b in backbones), "nobody asks when all is over"


def test_each_record_has_its_share_of_the_time(tmp_path: Path) -> None:
    start = time.perf_counter()
    records = beside([soft(tmp_path, seed) for seed in SEEDS])
    passed = time.perf_counter() - start
    assert [record["cost"]["side_by_side"] for record in records] == [3, 3, 3]
    assert sum(record["cost"]["seconds"]["total"] for record in records) <= passed
    alone = execute(soft(tmp_path / "alone", 13), Bars())["cost"]
    assert alone["side_by_side"] == 1
    assert {record["cost"]["trained_parameters"] for record in records} == {alone["trained_parameters"]}
    assert {record["cost"]["model_calls"] for record in records} == {alone["model_calls"]}


def test_what_runs_do_apart_is_their_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights are trained, so nothing is read together: three steps that sleep are three sleeps of one's own."""
    monkeypatch.setenv("LAB_DELAY", "0.1")
    given = [
        runs.experiment(tmp_path, {"model": {"class_path": "own_paradigms.Slow"}, "data": {"seed": s}}) for s in SEEDS
    ]
    start = time.perf_counter()
    records = beside(given)
    passed = time.perf_counter() - start
    assert all(record["cost"]["seconds"]["fit"] >= 3 * 0.1 for record in records)
    assert sum(record["cost"]["seconds"]["total"] for record in records) <= passed


def test_a_stop_is_heard_by_who_computes_alone() -> None:
    """Nobody waits for anybody here: the first would go on to its end."""
    meeting = Meeting(2, most=0.1)
    member = meeting.members[0]
    with member.present():
        meeting.is_stopped = True
        with pytest.raises(Stopped):
            member.back(torch.tensor(1.0, requires_grad=True))


# ------------------------------------------------------------------------------------------------- suites


def settings_of(tmp_path: Path, **keys: Any) -> list[grid.Cell]:
    runs.write(tmp_path / "paradigms/soft.yaml", {"model": SOFT})
    path = runs.suite(tmp_path, **{"paradigms": ["soft"], "seeds": list(SEEDS), **keys})
    return grid.expand(path, str(tmp_path / "out"))


def found(cells: list[grid.Cell], at_most: int = 8) -> list[list[str]]:
    return [[cell.title for cell in group] for group in groups(cells, at_most)]


def test_seeds_and_rates_go_together(tmp_path: Path) -> None:
    other = {"other": {"config": "soft", "model": {"init_args": {"tuning": {"init_args": {"learning_rate": 0.01}}}}}}
    longer = {"longer": {"config": "soft", "model": {"init_args": {"tuning": {"init_args": {"length": 4}}}}}}
    cells = settings_of(tmp_path, paradigms=["soft", other, longer, "fine_tuning"])
    shape = [[title.split()[1] + title.split()[-1] for title in group] for group in found(cells)]
    assert shape[0] == [f"{name}seed{seed}" for seed in SEEDS for name in ("soft", "other")]
    assert shape[1] == ["longerseed13", "longerseed21", "longerseed42"]
    assert shape[2:] == [["fine_tuningseed13"], ["fine_tuningseed21"], ["fine_tuningseed42"]], "all of it is trained"
    assert [len(group) for group in groups(cells, 4)] == [4, 2, 3, 1, 1, 1]
    assert [len(group) for group in groups(cells, 1)] == [1] * 12


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"init_args": {"tuning": {"init_args": {"dropout": True}}}}},
        {"trainer": {"devices": 2}},
        {"select": "cv", "candidates": [{"data": {"batch_size": 1}}]},
    ],
)
def test_what_would_not_be_the_same_runs_alone(tmp_path: Path, change: dict[str, Any]) -> None:
    assert [len(group) for group in found(settings_of(tmp_path, settings=change))] == [1, 1, 1]


def test_a_suite_runs_them_side_by_side(tmp_path: Path, passes: list[int]) -> None:
    cells = settings_of(tmp_path)
    outcome = suite.run(cells, Bars())
    assert (outcome.ran, outcome.failed) == (3, 0)
    assert passes == [6] * 3
    assert [cell.finished() for cell in cells] == [True] * 3
    again = suite.run(cells, Bars())
    assert (again.skipped, again.ran) == (3, 0)


def test_who_fails_beside_others_runs_again_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.autograd.backward

    def no_room(tensors: Any, *args: Any, **given: Any) -> None:
        if isinstance(tensors, list) and len(tensors) > 1:
            raise torch.OutOfMemoryError("planted")
        real(tensors, *args, **given)

    monkeypatch.setattr(torch.autograd, "backward", no_room)
    outcome = suite.run(settings_of(tmp_path), Bars())
    assert (outcome.ran, outcome.failed) == (3, 0)


def test_ctrl_c_stops_all_of_them(tmp_path: Path) -> None:
    settings_of(tmp_path, settings={"trainer": {"max_steps": 100_000}})
    out, path = tmp_path / "out", tmp_path / "suites/suite.yaml"
    process = runs.Process(tmp_path / "log", "compare", str(path), "--out", str(out))
    runs.until(lambda: len(list(out.rglob("metrics.csv"))) == 3)
    process.signal(signal.SIGINT)
    code, said, errors = process.wait()
    assert code == 130, errors
    assert "no finished runs" in said
    assert "Traceback" not in errors
    assert not list(out.rglob("failed.json")), "stopped is not failed"
