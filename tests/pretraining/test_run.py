"""A pretraining run end to end: what it writes, that a stopped one goes on, and what it refuses."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from prompt_lab import cli
from prompt_lab.backbones.delta import Adapted
from prompt_lab.backbones.load import load_backbone
from prompt_lab.errors import LabError
from prompt_lab.pretraining.run import last_checkpoint
from prompt_lab.progress import Bars

from pretraining_runs import made, record, words

PROBE = ("--probe.task", "rotten_tomatoes", "--probe.examples", "20")


def where(folder: Path) -> Path:
    return folder / "runs" / "pretraining" / "run"


class TestWhatIsWritten:
    def test_it_learns_and_the_delta_holds_what_was_learnt(self, tmp_path: Path) -> None:
        before = record(tmp_path / "short", steps=1)["scores"]
        found = record(tmp_path, steps=120)
        after = found["scores"]
        assert after["held_out/token_masking_loss"] < before["held_out/token_masking_loss"] - 0.8
        assert after["held_out/token_masking_perplexity"] == pytest.approx(
            torch.tensor(after["held_out/token_masking_loss"]).exp().item(), rel=1e-4
        )
        adapted = load_backbone(str(where(tmp_path)))
        assert adapted.missing == ()
        still = ("--model.tuning.learning_rate", "0")
        again = record(tmp_path / "again", *still, backbone=str(where(tmp_path)), steps=1)["scores"]
        assert again == pytest.approx(after, rel=2e-3), "what was measured is what was stored"

    def test_record_and_card_say_what_was_done(self, tmp_path: Path) -> None:
        found = record(tmp_path, *PROBE)
        folder = where(tmp_path)
        assert json.loads((folder / "pretraining.json").read_text()) == json.loads(json.dumps(found))
        counts = found["corpus"][0]
        assert counts["documents"] + counts["held_out"] == 60
        assert (found["steps"], found["tokens_read"], found["seed"]) == (6, 6 * 4 * 32, 13)
        assert set(found["scores"]) >= {"zero_shot/acc", "zero_shot/auc"}
        assert found["cost"]["stored_bytes"] == (folder / "delta.safetensors").stat().st_size
        card = (folder / "README.md").read_text()
        for word in (
            "tiny-masked",
            Adapted.made(folder).base_revision,
            "texts.txt",
            "| zero_shot/auc |",
            "6 steps",
            "seed 13",
        ):
            assert word in card
        assert not list((folder / "checkpoints").glob("*"))

    def test_curves_go_to_csv_and_wandb(self, tmp_path: Path) -> None:
        record(tmp_path, *PROBE, "--wandb", "offline")
        folder = where(tmp_path) / "from_step_0"
        rows = list(csv.DictReader((folder / "metrics.csv").open()))
        assert {"train/token_masking_loss", "held_out/token_masking_acc", "held_out/token_masking_perplexity"} <= set(
            rows[0]
        )
        assert len([r for r in rows if r["train/loss"]]) == 6
        assert len([r for r in rows if r["zero_shot/acc"]]) == 3, "twice on the way, and what was stored"
        assert list((folder / "wandb").glob("offline-run-*/*.wandb"))

    def test_8_bits_take_less_room_and_are_near(self, tmp_path: Path) -> None:
        record(tmp_path, "--int8", "false")
        record(tmp_path / "b", "--int8", "true")
        sizes = [(where(f) / "delta.safetensors").stat().st_size for f in (tmp_path, tmp_path / "b")]
        assert sizes[1] < 0.75 * sizes[0]
        one, other = (load_backbone(str(where(f))).model.state_dict() for f in (tmp_path, tmp_path / "b"))
        assert all(torch.allclose(one[name], other[name], atol=1e-3) for name in one)

    def test_heads_of_objectives_are_kept(self, tmp_path: Path) -> None:
        objectives = '[{"class_path": "TokenMasking"}, {"class_path": "NextSentence", "init_args": {"weight": 0.5}}]'
        found = record(tmp_path, "--model.objectives", objectives)
        assert found["scores"]["held_out/next_sentence_loss"] == pytest.approx(torch.tensor(3.0).log().item(), abs=0.2)
        head = load_file(where(tmp_path) / "next_sentence.safetensors")
        assert head["classifier.weight"].shape[0] == 3
        assert not any("next_sentence" in name for name in load_file(where(tmp_path) / "delta.safetensors"))

    def test_lora_and_head_alone(self, tmp_path: Path) -> None:
        found = record(tmp_path, "--model.tuning", "Lora", "--model.tuning.rank", "2")
        stored = load_file(where(tmp_path) / "delta.safetensors")
        assert all("lora_" in name or "cls." in name for name in stored)
        assert found["learnt_parameters"] == sum(v.numel() for v in stored.values())
        base = load_backbone("tiny-masked").fresh().model.state_dict()
        merged = load_backbone(str(where(tmp_path))).model.state_dict()
        assert set(base) == set(merged)
        assert any(not torch.equal(base[n], merged[n]) for n in base if "query.weight" in n)

    def test_a_causal_model(self, tmp_path: Path) -> None:
        found = record(tmp_path, "--model.objectives", '[{"class_path": "CausalLm"}]', backbone="tiny-causal")
        assert found["strategy"] == "causal_lm"
        assert load_backbone(str(where(tmp_path))).reader.kind == "causal"

    def test_word_embeddings_move_only_if_asked(self, tmp_path: Path) -> None:
        name = "bert.embeddings.word_embeddings.weight"
        record(tmp_path / "a")
        record(tmp_path / "b", "--model.train_embeddings", "true")
        assert name not in load_file(where(tmp_path / "a") / "delta.safetensors")
        assert name in load_file(where(tmp_path / "b") / "delta.safetensors")


class TestGoingOn:
    STEPS = 480
    LONG = ("--checkpoint_every", "20", "--trainer.val_check_interval", "120")

    def stopped(self, folder: Path, how: int) -> int:
        """Run in another process, stop it once it has saved a checkpoint, and return its exit code."""
        line = [sys.executable, "-m", "prompt_lab.cli", "pretrain", *words(folder, *self.LONG, steps=self.STEPS)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ))
        while not list((where(folder) / "checkpoints").glob("*.ckpt")):
            assert process.poll() is None, process.communicate()[0].decode()
        process.send_signal(how)
        process.communicate(timeout=60)
        assert not (where(folder) / "pretraining.json").exists(), "it was stopped too late to show anything"
        return process.returncode

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
    def test_a_stopped_run_ends_as_if_it_had_not_been(
        self, how: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record(tmp_path / "whole", *self.LONG, steps=self.STEPS)
        code = self.stopped(tmp_path / "cut", how)
        assert code == (-signal.SIGKILL if how == signal.SIGKILL else cli.STOPPED)
        capsys.readouterr()
        assert cli.main(["pretrain", *words(tmp_path / "cut", *self.LONG, steps=self.STEPS)]) == 0
        assert "going on from step" in capsys.readouterr().err
        one, other = (load_file(where(tmp_path / f) / "delta.safetensors") for f in ("whole", "cut"))
        assert set(one) == set(other)
        assert all(torch.equal(one[name], other[name]) for name in one)
        curves = sorted(p.name for p in where(tmp_path / "cut").glob("from_step_*"))
        assert len(curves) == 2, "the curve of the first process is kept"

    def test_a_checkpoint_cut_short_is_passed_over(self, tmp_path: Path) -> None:
        for step in (3, 12):
            torch.save({"step": step}, tmp_path / f"step={step}.ckpt")
        whole = (tmp_path / "step=12.ckpt").read_bytes()
        assert last_checkpoint(tmp_path) == (12, tmp_path / "step=12.ckpt")
        (tmp_path / "step=12.ckpt").write_bytes(whole[: len(whole) // 2])
        assert last_checkpoint(tmp_path) == (3, tmp_path / "step=3.ckpt")
        (tmp_path / "step=3.ckpt").write_bytes(b"")
        assert last_checkpoint(tmp_path) is None

    def test_a_finished_run_is_not_run_again(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["pretrain", *words(tmp_path)]) == 0
        stamp = (where(tmp_path) / "delta.safetensors").stat().st_mtime_ns
        assert cli.main(["pretrain", *words(tmp_path)]) == 0
        assert "finished before" in capsys.readouterr().err
        assert (where(tmp_path) / "delta.safetensors").stat().st_mtime_ns == stamp

    def test_other_settings_are_refused_not_mixed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["pretrain", *words(tmp_path)]) == 0
        assert cli.main(["pretrain", *words(tmp_path, "--data.seed", "21")]) == 2
        assert "data.seed" in capsys.readouterr().err


class TestRefusals:
    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (("--model.objectives", '[{"class_path": "TokenMaskin"}]'), "Did you mean 'TokenMasking'"),
            (("--model.objectives", "[]"), "model.objectives is empty"),
            (
                ("--model.objectives", '[{"class_path": "TokenMasking"}, {"class_path": "TokenMasking"}]'),
                "stands twice",
            ),
            (("--model.objectives", '[{"class_path": "CausalLm"}]'), "is learnt by causal backbones"),
            (("--model.also_measured", '[{"class_path": "NextSentence"}]'), "only be measured if it is learnt"),
            (
                ("--data.texts", '[{"class_path": "TaskTexts", "init_args": {"task": "rotten_tomatos"}}]'),
                "Did you mean",
            ),
            (
                ("--data.texts", '[{"class_path": "TextFiles", "init_args": {"paths": ["/no/such.txt"]}}]'),
                "/no/such.txt",
            ),
            (("--data.texts", "[]"), "names no texts"),
            (("--data.leave_out", "[ss2]"), "Did you mean"),
            (("--data.max_length", "4000"), "tokens at most"),
            (("--data.max_length", "4"), "at least 16"),
            (("--data.held_out", "1.5"), "between 0 and 1"),
            (("--probe.task", "rotten_tomatos"), "Did you mean"),
            (("--trainer.max_steps", "-1"), "set trainer.max_steps"),
            (("--checkpoint_every", "0"), "at least 1 step"),
            (("--name", "a/b"), "becomes that of a folder"),
            (("--backbone", "tiny-seq2seq"), "is a seq2seq model"),
            (("--model.tuning", "Fulll"), "Did you mean 'Full'"),
            (("--data.batchsize", "4"), "batch"),
        ],
    )
    def test_one_clear_error(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
    ) -> None:
        assert cli.main(["pretrain", *words(tmp_path, *more)]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert "Traceback" not in told
        assert not (where(tmp_path) / "checkpoints").exists()

    def test_a_run_that_another_process_has_in_hand(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        from prompt_lab.reporting.files import lock

        with lock(where(tmp_path)):
            assert cli.main(["pretrain", *words(tmp_path)]) == 2
        assert "another process" in capsys.readouterr().err

    def test_nothing_left_to_read(self, tmp_path: Path) -> None:
        run = made(tmp_path)
        run.data.leave_out.holds = lambda text: True  # type: ignore[method-assign]
        run.check()
        with pytest.raises(LabError, match="no text to learn from"):
            run.data.read(load_backbone("tiny-masked").reader, run.module.measured, Bars())
