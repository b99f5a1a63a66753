"""What is chosen between, on which examples, by what, and what the record says of it."""

import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.selection import choosing
from prompt_lab.selection.regimes import Part, regime
from prompt_lab.stored_run import read_run
from prompt_lab.testing.subject import TOY
from prompt_lab.trees import laid_over

import runs

SLOW, QUICK = 1e-9, 1e-3


def rates(*values: float) -> list[dict[str, Any]]:
    return [
        {"model": {"init_args": {"tuning": {"class_path": "Full", "init_args": {"learning_rate": v}}}}} for v in values
    ]


def choice(select: str, **more: Any) -> dict[str, Any]:
    return {
        "select": select,
        "candidates": rates(SLOW, QUICK),
        "data": {"k": 8, "batch_size": 8},
        "trainer": {"max_steps": 12},
        **more,
    }


def parts(select: Any, number: int, k: int = 4, **how: Any) -> tuple[FewShotData, list[Part]]:
    data = FewShotData(TOY, k=k, **how)
    return data, regime(select).parts(data, number)


# ------------------------------------------------------------------------------------------------- on which examples


def test_folds_are_predicted_from_the_others() -> None:
    data, found = parts("cv", 4)
    assert [len(p.validation) for p in found] == [2] * 4
    assert sorted(e.key for p in found for e in p.validation) == sorted(e.key for e in data.drawn.train)
    for part in found:
        assert {e.key for e in (*part.train, *part.validation)} == {e.key for e in data.drawn.train}
        assert not {e.key for e in part.train} & {e.key for e in part.validation}
        assert set(Counter(e.label for e in part.validation).values()) == {1}, "every class in every fold"


def test_blocks_are_predicted_from_those_before_them() -> None:
    data, found = parts("mdl", 4)
    assert [(len(p.train), len(p.validation)) for p in found] == [(2, 2), (4, 2), (6, 2)]
    for before, after in pairwise(found):
        assert {e.key for e in after.train} == {e.key for e in (*before.train, *before.validation)}
    assert {e.key for e in (*found[-1].train, *found[-1].validation)} == {e.key for e in data.drawn.train}


def test_splits_are_halves_of_all_labelled_examples() -> None:
    data, found = parts("multi_split", 3)
    everything = {e.key for e in (*data.drawn.train, *data.drawn.validation)}
    for part in found:
        assert {e.key for e in (*part.train, *part.validation)} == everything
        assert len(part.train) == len(part.validation) == 8
        assert Counter(e.label for e in part.train) == Counter(e.label for e in part.validation)
    assert len({tuple(e.key for e in p.train) for p in found}) == 3, "another split every time"


def test_parts_depend_on_the_seed_alone() -> None:
    for select in ("cv", "mdl", "multi_split"):
        assert parts(select, 3)[1] == parts(select, 3)[1]
        assert parts(select, 3)[1] != parts(select, 3, seed=21)[1]


def test_too_few_examples_for_the_parts() -> None:
    with pytest.raises(LabError, match=r"into 5 parts needs 5 of each class, and one has 4.*smaller --parts"):
        parts("cv", 5)


# ------------------------------------------------------------------------------------------------- what is chosen


@pytest.mark.parametrize(("select", "trials"), [("dev_k", 1), ("multi_split", 2), ("cv", 2), ("mdl", 1), ("oracle", 1)])
def test_what_learns_is_chosen_over_what_does_not(tmp_path: Path, select: str, trials: int) -> None:
    record = runs.record(tmp_path, choice(select, parts=2))
    assert record["selection"] == select
    assert record["trials"] == 2
    assert (record["chosen"]["candidate"], record["chosen"]["parts"]) == (1, trials)
    assert record["chosen"]["settings"] == rates(SLOW, QUICK)[1]
    slow, quick = record["chosen"]["candidates"]
    assert quick["nll"] < slow["nll"]
    assert record["cost"]["steps"] == 12 * (2 * trials + 1), "what choosing cost is part of the cost"


def test_the_chosen_one_is_the_run_that_it_would_be_alone(tmp_path: Path) -> None:
    record = runs.record(tmp_path / "chosen", choice("cv", parts=2))
    alone = runs.record(tmp_path / "alone", choice("fixed", candidates=None), rates(QUICK)[0])
    assert record["scores"] == alone["scores"]
    assert record["cost"]["trained_parameters"] == alone["cost"]["trained_parameters"]


def test_labels_that_choose_are_counted(tmp_path: Path) -> None:
    told = {
        s: runs.record(tmp_path / s, choice(s, parts=2))["budget"]["labels_validation"]
        for s in ("dev_k", "multi_split", "cv")
    }
    assert told == {"dev_k": 16, "multi_split": 16, "cv": 0}


def test_no_trial_is_shown_what_it_is_judged_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demonstration must not be one of the examples that are held out."""
    seen: list[tuple[set[str], set[str]]] = []
    usual = choosing.Fitting.predict

    def predict(self: Any, module: Any, trainer: Any, examples: Any) -> Any:
        seen.append(({e.key for e in self.data.demonstrations()}, {e.key for e in examples}))
        return usual(self, module, trainer, examples)

    monkeypatch.setattr(choosing.Fitting, "predict", predict)
    changes = {
        "model": {
            "class_path": "LmBff",
            "init_args": {"demonstrations": {"select": "random", "sets": 1, "max_length": 30}},
        }
    }
    record = runs.record(
        tmp_path,
        choice("cv", parts=2, candidates=[{"trainer": {"max_steps": 1}}, {"trainer": {"max_steps": 2}}]),
        changes,
    )
    assert len(seen) == 4 + 2
    assert all(shown and not shown & asked for shown, asked in seen)
    assert [len(shown) for shown, _ in seen] == [8] * 4 + [16] * 2
    assert record["budget"]["demonstrations"] == 16


def reading() -> dict[str, Any]:
    """A choice between a candidate that learns from another task too, and one that learns from this one alone."""
    other = str(Path(TOY).with_name("toy_flipped.py"))
    vectors = {"class_path": "DeepPrompt", "init_args": {"length": 2}}
    more = {"class_path": "MultitaskPrompt", "init_args": {"tasks": [other], "tuning": vectors}}
    return choice("dev_k", candidates=[{"model": more}, *rates(QUICK)], data={"k": 2, "batch_size": 4})


@pytest.fixture
def first_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = choosing._Trials._run

    def judged(self: Any, candidate: Any, part: Any) -> Any:
        return usual(self, candidate, part) | {"acc": float(type(candidate.paradigm).__name__ == "PatternTuning")}

    monkeypatch.setattr(choosing._Trials, "_run", judged)


@pytest.mark.usefixtures("first_loses")
def test_what_losing_candidates_read_is_counted(tmp_path: Path) -> None:
    """Two labels of another task, two examples each to train on and two to validate by."""
    record = runs.record(tmp_path, reading())
    assert record["chosen"]["candidate"] == 1
    assert record["budget"]["external_labels"] == 8
    assert record["budget"]["labels_validation"] == 4


@pytest.mark.usefixtures("first_loses")
def test_what_losing_candidates_read_is_counted_when_a_killed_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = choosing._Trials._run

    def dies(self: Any, candidate: Any, part: Any) -> Any:
        if self._done:
            raise KeyboardInterrupt
        return usual(self, candidate, part)

    with monkeypatch.context() as patched:
        patched.setattr(choosing._Trials, "_run", dies)
        with pytest.raises(KeyboardInterrupt):
            runs.record(tmp_path, reading())
    monkeypatch.setattr(FewShotData, "elsewhere", lambda *_: pytest.fail("the first candidate is tried again"))
    assert runs.record(tmp_path, reading())["budget"]["external_labels"] == 8


def test_the_most_of_each_kind_is_what_a_run_was_told() -> None:
    data, other = FewShotData(TOY, k=2), FewShotData(TOY, k=4)
    data.unlabeled(3)
    other.unlabeled(5)
    other.demonstrations()
    data.also_told(other.told())
    assert {name: data.budget()[name] for name in ("labels_train", "unlabeled_texts", "demonstrations")} == {
        "labels_train": 4, "unlabeled_texts": 5, "demonstrations": 8,
    }  # fmt: skip
    data.unlabeled(1)
    data.demonstrations()
    assert (data.budget()["unlabeled_texts"], data.budget()["demonstrations"]) == (5, 8), "they only grow"


def test_by_loss_whatever_the_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cross-validation goes by log-loss, dev_k by accuracy, and by log-loss where that is equal."""
    told = iter([{"acc": 0.9, "nll": 0.8}, {"acc": 0.6, "nll": 0.4}] * 2)
    monkeypatch.setattr(choosing._Trials, "_run", lambda *_: next(told))
    assert runs.record(tmp_path / "a", choice("mdl", parts=2))["chosen"]["candidate"] == 1
    assert runs.record(tmp_path / "b", choice("dev_k"))["chosen"]["candidate"] == 0
    equal = iter([{"acc": 0.9, "nll": 0.8}, {"acc": 0.9, "nll": 0.4}])
    monkeypatch.setattr(choosing._Trials, "_run", lambda *_: next(equal))
    assert runs.record(tmp_path / "c", choice("dev_k"))["chosen"]["candidate"] == 1


def test_candidates_may_differ_in_template_answer_and_class(tmp_path: Path) -> None:
    """Settings of the run's own class do not go over to a candidate of another one."""
    own = {"model": {"init_args": {"tuning": {"class_path": "Full", "init_args": {"weight_decay": 0.1}}}}}
    other = {"model": {"init_args": {"template": 1, "tuning": {"class_path": "BitFit"}}}}
    record = runs.record(tmp_path, own, choice("cv", parts=2, candidates=[other]))
    assert (record["tuning"], record["chosen"]["candidate"]) == ("BitFit", 0)


# ------------------------------------------------------------------------------------------------- what is refused, kept, read again


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"select": "fixed"}, "select: fixed chooses nothing, and there are candidates"),
        ({"candidates": None}, "select: cv chooses between candidates, and there are none"),
        ({"parts": 1}, "at least 2; it was 1"),
        ({"trials": 0}, "at least 1; it was 0"),
        ({"candidates": [{"data": {"k": 4}}]}, r"candidate 0 changes data\.k"),
        ({"candidates": [{"backbone": "tiny-causal"}]}, "candidate 0 changes backbone"),
        ({"candidates": [{"model": {"init_args": {"tuning": {"class_path": "Fulll"}}}}]}, "Fulll"),
        ({"select": "cross"}, "cross"),
        ({"parts": 9}, "into 9 parts needs 9 of each class"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_refused_before_weights_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr("prompt_lab.running.load_backbone", None)
    monkeypatch.setattr(choosing, "load_backbone", None)
    with pytest.raises(LabError, match=said):
        runs.record(tmp_path, choice(**{"select": "cv", **changes}))


def test_a_killed_run_tries_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = runs.record(tmp_path / "whole", choice("cv", parts=2))
    usual, done = choosing._Trials._run, []

    def dies(self: Any, *given: Any) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(given)
        return usual(self, *given)

    monkeypatch.setattr(choosing._Trials, "_run", dies)
    with pytest.raises(KeyboardInterrupt):
        runs.record(tmp_path / "killed", choice("cv", parts=2))
    done.pop()  # one more may run: the fourth of four
    again = runs.record(tmp_path / "killed", choice("cv", parts=2))
    assert len(done) == 3
    assert (again["scores"], again["chosen"]) == (whole["scores"], whole["chosen"])
    assert again["cost"]["steps"] == whole["cost"]["steps"]
    assert not list((tmp_path / "killed").rglob(choosing.KEPT)), "what was kept is forgotten at the end"


def test_what_another_run_tried_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = runs.experiment(tmp_path, choice("cv", parts=2))
    experiment.folder.mkdir(parents=True)
    trials = {f"{i}/{j}": {"acc": 1.0, "nll": float(i), "counted": {}} for i in range(2) for j in range(2)}
    for content in ("no json", json.dumps({"run": "another", "trials": trials})):
        (experiment.folder / choosing.KEPT).write_text(content)
        with monkeypatch.context() as patched:
            patched.setattr(choosing._Trials, "_run", lambda *_: {"acc": 0.5, "nll": math.pi})
            record = execute(runs.experiment(tmp_path, choice("cv", parts=2)), Bars())
        assert record["chosen"]["candidates"][0] == {"acc": 0.5, "nll": math.pi}


def test_a_finished_run_answers_with_what_was_chosen(tmp_path: Path) -> None:
    other = {"model": {"init_args": {"template": 1, "tuning": {"class_path": "BitFit"}}}}
    runs.record(tmp_path, choice("cv", parts=2, candidates=[other], save_model=True))
    folder = runs.experiment(tmp_path, choice("cv", parts=2, candidates=[other])).folder
    assert type(read_run(folder).experiment.paradigm.tuning).__name__ == "BitFit"


def test_how_many_were_tried_before_is_added(tmp_path: Path) -> None:
    assert runs.record(tmp_path / "a", {"trials": 5})["trials"] == 5
    assert runs.record(tmp_path / "b", choice("cv", parts=2, trials=5))["trials"] == 6


def test_a_class_that_is_another_one_brings_its_own_settings() -> None:
    tree = {
        "tuning": {"class_path": "prompt_lab.tuning.full.Full", "init_args": {"learning_rate": 1, "weight_decay": 2}},
        "a": 1,
    }
    same = laid_over(tree, {"tuning": {"class_path": "Full", "init_args": {"learning_rate": 3}}})
    assert same["tuning"]["init_args"] == {"learning_rate": 3, "weight_decay": 2}
    assert laid_over(tree, {"tuning": {"init_args": {"learning_rate": 3}}}) == same
    other = laid_over(tree, {"tuning": {"class_path": "BitFit"}})
    assert other == {"tuning": {"class_path": "prompt_lab.tuning.bit_fit.BitFit"}, "a": 1}
