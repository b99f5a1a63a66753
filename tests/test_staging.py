"""Stages: what is finished is not done again after a kill, the end is the same to the bit, and nothing of another run is used."""

import json
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from safetensors.torch import load_file

from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.fitting import Fitting
from prompt_lab.paradigms.base import Paradigm, Stage, Stages
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.paradigms.zero_shot import ZeroShot
from prompt_lab.progress import Bars
from prompt_lab.reporting.cost import Meter
from prompt_lab.running import execute
from prompt_lab.staging import Done, _Kept
from prompt_lab.testing.subject import TOY

import runs

PET = {
    "class_path": "Pet",
    "init_args": {"teachers": [{"class_path": "own_paradigms.Slow"}], "patterns": [0, 1, 2], "unlabeled": 6, "student_steps": 4},
}  # fmt: skip


def data() -> FewShotData:
    return FewShotData(TOY, k=2, seed=13, batch_size=4, max_length=64)


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    """What two runs of the same settings must have in common."""
    kept = {
        k: v
        for k, v in record.items()
        if k not in ("started", "finished", "cost", "stages", "config", "settings", "environment")
    }
    return kept | {"steps": record["cost"]["steps"], "tokens": record["cost"]["tokens"]}


def test_a_killed_run_goes_on_after_its_last_finished_stage(tmp_path: Path) -> None:
    """SIGKILL while the third teacher is fitted: the second process fits that one and the student, and ends with the same bits."""
    marks, whole, killed = tmp_path / "marks", tmp_path / "whole", tmp_path / "killed"
    marks.write_text("")
    command = ["--config", str(runs.write(tmp_path / "pet.yaml", json.dumps({"model": PET}))), "--save_model", "true"]

    def process(out: Path, **environment: str) -> runs.Process:
        given = [w for w in runs.words(out, *command) if w not in ("--model", "PatternTuning")]
        return runs.Process(tmp_path / f"{out.name} output", *given, LAB_MARKS=str(marks), **environment)

    assert process(whole).wait()[0] == 0
    assert len(marks.read_text().splitlines()) == 3
    first = process(killed, LAB_DELAY="0.5")
    runs.until(lambda: len(marks.read_text().splitlines()) == 6)  # its third teacher begins
    first.signal(signal.SIGKILL)
    assert first.wait()[0] == -signal.SIGKILL
    folder = Path("toy", "pet", "tiny-masked", "k2", "seed13")
    kept = sorted(p.name for p in (killed / folder / "stages").iterdir() if not p.name.startswith("."))
    assert [name[4:-12] for name in kept] == [
        "pattern 0 untrained", "pattern 1 untrained", "pattern 2 untrained", "teacher 0", "teacher 1",
    ]  # fmt: skip
    assert process(killed).wait()[0] == 0
    assert len(marks.read_text().splitlines()) == 7, "one teacher was fitted"
    one, other = (json.loads((out / folder / "record.json").read_text()) for out in (whole, killed))
    assert without_times(one) == without_times(other)
    assert [s["finished_before"] for s in other["stages"]] == [True] * 5 + [False] * 2
    assert not any(s["finished_before"] for s in one["stages"])
    for file in ("predictions.jsonl", "examples.jsonl"):
        assert (whole / folder / file).read_bytes() == (killed / folder / file).read_bytes(), file
    moved = [load_file(out / folder / "delta.safetensors") for out in (whole, killed)]
    assert all(torch.equal(moved[0][name], moved[1][name]) for name in moved[0] | moved[1])
    assert not (killed / folder / "stages").exists()


class TwoFits(PatternTuning):
    """Fits another pattern first, and begins the second fit where that one ended; may break before the second."""

    breaks = False

    def stages(self, data: FewShotData) -> Stages:
        first = PatternTuning(1).prepare(self.task, self.reader).build(self.backbone.original())
        yield Stage(first, data, "first")
        self.backbone.load_state_dict(first.backbone.state_dict())
        if self.breaks:
            raise RuntimeError("planted")
        yield Stage(self, data)


def run(module: Paradigm, out: Path, **more: Any) -> dict[str, Any]:
    return execute(runs.of(module, data(), out, **more), Bars())


def test_a_fit_that_others_build_on_is_restored(tmp_path: Path) -> None:
    """It gives no scores: what it learned must be there again, not the pretrained weights."""
    whole = run(TwoFits(), tmp_path / "whole")
    broken = TwoFits()
    broken.breaks = True
    with pytest.raises(RuntimeError, match="planted"):
        run(broken, tmp_path / "broken")
    again = run(TwoFits(), tmp_path / "broken")
    assert [(s["name"], s["finished_before"]) for s in again["stages"]] == [("first", True), ("fit", False)]
    assert again["scores"] == whole["scores"]
    assert again["cost"]["steps"] == whole["cost"]["steps"] == 6


def broken_run(folder: Path) -> Path:
    """What a run leaves that broke after its first stage."""
    broken = TwoFits()
    broken.breaks = True
    with pytest.raises(RuntimeError, match="planted"):
        run(broken, folder)
    return next(folder.rglob("000 first.safetensors"))


def test_a_damaged_file_of_a_stage_is_told_and_done_again(tmp_path: Path) -> None:
    whole = run(TwoFits(), tmp_path / "whole")
    path = broken_run(tmp_path / "broken")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"000 first.safetensors cannot be used .* the stage is run again"):
        again = run(TwoFits(), tmp_path / "broken")
    assert not any(s["finished_before"] for s in again["stages"])
    assert again["scores"] == whole["scores"]


def test_stages_of_other_settings_are_not_used(tmp_path: Path) -> None:
    broken_run(tmp_path / "broken")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        again = run(TwoFits(), tmp_path / "broken", run={"init_seed": 5})
    assert not any(s["finished_before"] for s in again["stages"])


def test_a_stage_that_read_other_texts_is_done_again(tmp_path: Path) -> None:
    """The unlabelled texts of a file are others now, in the same number and under the same name."""
    stage = Stage(ZeroShot(), None, "teacher", score=data().drawn.train)
    other = Stage(ZeroShot(), None, "teacher", score=data().drawn.validation)
    kept, meter = _Kept(tmp_path, "key"), Meter()
    done = Done("teacher", 0, 0, meter.counted())
    path = kept.path(0, stage)
    kept.write(path, stage, {"scores": torch.zeros(2, 2)}, done)
    assert kept.read(path, other, [], meter) is None
    found: list[Done] = []
    assert kept.read(path, stage, found, meter) is not None
    assert [one.name for one in found] == ["teacher"]


def test_what_a_callback_remembers_is_not_the_next_stage_s(tmp_path: Path) -> None:
    """As if each fit were in a process of its own: a run that is killed and goes on has a fresh one too."""
    given = [{"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss", "patience": 1}}]
    experiment = runs.experiment(tmp_path, {"trainer": {"callbacks": given}})
    experiment.check()
    fitting = Fitting(experiment, experiment.data, Meter(), Bars(), "title")
    seen = [[c for c in fitting.trainer(stage, 1).callbacks if isinstance(c, EarlyStopping)] for stage in ("a", "b")]
    assert [len(one) for one in seen] == [1, 1]
    assert seen[0][0] is not seen[1][0]


def test_every_stage_has_random_numbers_of_its_own(tmp_path: Path) -> None:
    seen: list[float] = []

    class Draws(ZeroShot):
        def stages(self, data: FewShotData) -> Stages:
            for number in range(3):
                seen.append(float(torch.rand(())))
                member = ZeroShot().prepare(self.task, self.reader).build(self.backbone.original())
                yield Stage(member, None, f"member {number}", score=data.drawn.train)

    run(Draws(), tmp_path / "a")
    first = seen.copy()
    run(Draws(), tmp_path / "b")
    assert seen == first * 2
    assert len(set(first)) == 3


def test_a_pair_of_module_and_data_is_a_stage(tmp_path: Path) -> None:
    class Pairs(PatternTuning):
        def stages(self, data: FewShotData) -> Stages:
            yield self, data

    assert [s["name"] for s in run(Pairs(), tmp_path)["stages"]] == ["fit"]


def test_scores_come_back_in_the_order_of_the_texts(tmp_path: Path) -> None:
    found: list[torch.Tensor] = []

    class Asks(PatternTuning):
        def stages(self, data: FewShotData) -> Stages:
            texts = data.unlabeled()
            found.append((yield Stage(self, None, "before", score=texts)))
            found.append((yield Stage(self, None, "again", score=texts[::-1])))

    record = run(Asks(), tmp_path)
    assert found[0].shape == (24, 2)
    torch.testing.assert_close(found[0], found[1].flip(0))
    torch.testing.assert_close(found[0].exp().sum(1), torch.ones(24))
    assert record["cost"]["model_calls"] >= 48


def test_steps_of_a_stage_stand_over_the_trainers(tmp_path: Path) -> None:
    class Longer(PatternTuning):
        def stages(self, data: FewShotData) -> Stages:
            yield Stage(self, data, steps=5)

    assert run(Longer(), tmp_path / "a")["cost"]["steps"] == 5
    assert run(Longer(), tmp_path / "b", max_steps=-1, max_epochs=1)["cost"]["steps"] == 5


def test_a_stage_without_examples_is_refused(tmp_path: Path) -> None:
    class Nothing(PatternTuning):
        def stages(self, data: FewShotData) -> Stages:
            yield Stage(self, data.trained_on(()), "nothing")

    with pytest.raises(LabError, match="learns from labelled examples"):
        run(Nothing(), tmp_path)
