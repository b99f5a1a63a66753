"""LoRA: nothing changes at first, matrices alone are trained, and they are what a run stores. The schedule of every fit."""

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
from torch import Tensor, nn

from prompt_lab import cli
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import load_backbone
from prompt_lab.errors import LabError
from prompt_lab.optimizing import check_warmup, configured
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.reporting import delta
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.lora import Lora

import runs
from test_backbones import ALL, SEQ2SEQ, architectures, batch, made

TINY = ("tiny-masked", "tiny-causal", "tiny-seq2seq")


def applied(name: str, **how: Any) -> Backbone:
    """A backbone with matrices."""
    backbone = (made(name) if name in ALL else load_backbone(name)).fresh()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Lora(**how).apply(backbone)
    return backbone


def moving(backbone: Backbone) -> dict[str, nn.Parameter]:
    return {n: p for n, p in backbone.model.named_parameters() if p.requires_grad}


def layers(backbone: Backbone) -> set[str]:
    """The layers that have matrices."""
    return {n.partition(".lora_")[0] for n in moving(backbone)}


def draw(backbone: Backbone) -> None:
    """Let the matrices mean something."""
    generator = torch.Generator().manual_seed(1)
    for parameter in moving(backbone).values():
        parameter.data.normal_(std=0.3, generator=generator)


def read(name: str) -> Any:
    return batch(name if name in ALL else "t5" if "seq2seq" in name else "bert")


@torch.no_grad()
def logits(backbone: Backbone, name: str) -> Tensor:
    return backbone.slot_logits(read(name))[:, :, 0]


class TestApply:
    @architectures
    def test_nothing_changes_at_first(self, name: str) -> None:
        found = applied(name)
        torch.testing.assert_close(logits(found, name), logits(made(name), name), atol=1e-5, rtol=1e-5)
        draw(found)
        assert (logits(found, name) - logits(made(name), name)).abs().max() > 0.05

    @architectures
    def test_matrices_of_the_body_alone_move(self, name: str) -> None:
        backbone = applied(name, rank=3)
        inside = {id(p) for body in backbone.bodies() for p in body.parameters()}
        found = moving(backbone)
        assert found
        for parameter, values in found.items():
            assert id(values) in inside
            assert parameter.endswith((".lora_A.lora.weight", ".lora_B.lora.weight"))
            assert values.shape[0 if ".lora_A." in parameter else 1] == 3
            assert values.any() == (".lora_A." in parameter), "B is zero (Hu et al. 2022, section 4.1)"

    @architectures
    def test_every_matrix_is_reached_by_gradients(self, name: str) -> None:
        backbone = applied(name)
        draw(backbone)
        backbone.slot_logits(read(name))[:, :, 0].square().sum().backward()
        assert not [n for n, p in backbone.named_parameters() if (p.grad is not None) != p.requires_grad]

    def test_by_hand(self) -> None:
        """Equation 3: h = W x + (alpha / r) B A x, with W the same."""
        backbone = applied("bert", rank=2, alpha=6, targets=["0.attention.self.query"])
        layer = backbone.model.get_submodule("bert.encoder.layer.0.attention.self.query")
        draw(backbone)
        a, b = (moving(backbone)[f"bert.encoder.layer.0.attention.self.query.lora_{x}.lora.weight"] for x in "AB")
        x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
        plain = made("bert").model.get_submodule("bert.encoder.layer.0.attention.self.query")
        torch.testing.assert_close(layer(x), plain(x) + 3 * x @ (b @ a).T)

    @pytest.mark.parametrize(
        ("name", "targets", "expected"),
        [
            ("bert", ["query", "value"], {f"bert.encoder.layer.{i}.attention.self.{n}" for i in (0, 1) for n in ("query", "value")}),
            ("bert", ["1.output.dense"], {"bert.encoder.layer.1.output.dense"}),
            ("bert", ["attention.output.dense", "output.dense"],
             {f"bert.encoder.layer.{i}.{n}output.dense" for i in (0, 1) for n in ("attention.", "")}),
            ("gpt2", ["c_attn"], {f"transformer.h.{i}.attn.c_attn" for i in (0, 1)}),
            ("t5", ["wo"], {f"{part}.block.{i}.layer.{n}.DenseReluDense.wo" for part, n in (("encoder", 1), ("decoder", 2))
                            for i in (0, 1)}),
            ("llama", ["q_proj"], {f"model.layers.{i}.self_attn.q_proj" for i in (0, 1)}),
        ],
    )  # fmt: skip
    def test_targets_are_endings(self, name: str, targets: list[str], expected: set[str]) -> None:
        assert layers(applied(name, targets=targets)) == expected

    def test_an_ending_is_of_whole_parts(self) -> None:
        """T5's attention has a layer ``o``, its feed-forward ``wo``."""
        assert {n.rpartition(".")[2] for n in layers(applied("t5", targets=["o"]))} == {"o"}

    @pytest.mark.parametrize("name", SEQ2SEQ)
    def test_encoder_and_decoder(self, name: str) -> None:
        found = layers(applied(name))
        assert {("decoder" in n.split("."), "encoder" in n.split(".")) for n in found} == {(True, False), (False, True)}

    def test_layers_of_gpt2_are_transposed(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = moving(applied("gpt2", rank=2))
        assert found["transformer.h.0.mlp.c_fc.lora_A.lora.weight"].shape == (2, 32)
        assert found["transformer.h.0.mlp.c_fc.lora_B.lora.weight"].shape == (128, 2)

    @pytest.mark.parametrize("name", TINY)
    def test_merged_is_the_same(self, name: str) -> None:
        backbone = applied(name, rank=4, alpha=2)
        draw(backbone)
        before = logits(backbone, name)
        for module in backbone.modules():
            if isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer):
                module.merge()
        torch.testing.assert_close(logits(backbone, name), before, atol=1e-4, rtol=1e-4)
        assert (before - logits(load_backbone(name), name)).abs().max() > 0.05

    def test_a_copy_has_matrices_of_its_own(self) -> None:
        one = applied("tiny-masked")
        two = one.fresh()
        draw(two)
        torch.testing.assert_close(logits(one, "bert"), logits(load_backbone("tiny-masked"), "bert"))
        assert not [n for n, _ in load_backbone("tiny-masked").named_parameters() if "lora" in n]

    def test_the_draw_hangs_on_the_seed(self) -> None:
        found = []
        for seed in (1, 1, 2):
            backbone = load_backbone("tiny-masked").fresh()
            torch.manual_seed(seed)
            Lora().apply(backbone)
            found.append(next(iter(moving(backbone).values())))
        assert torch.equal(found[0], found[1])
        assert not torch.equal(found[0], found[2])


class TestRefused:
    @pytest.mark.parametrize(
        ("targets", "wrong"),
        [
            (["nonsense"], "nonsense"),
            (["query", "nonsense"], "nonsense"),
            (["uery", "nonsense"], "uery"),
            (["ense"], "ense"),
        ],
    )
    def test_targets_that_are_not_there(self, targets: list[str], wrong: str) -> None:
        """The first of them is named, and what there is."""
        with pytest.raises(LabError) as error:
            applied("tiny-masked", targets=targets)
        assert str(error.value) == (
            f"no linear layer of 'tiny-masked' ends in {wrong!r}, nor is that one of the roles query, key, value, attention_out, "
            "feed_in, feed_out; they end in dense, key, query, value"
        )

    def test_no_targets(self) -> None:
        with pytest.raises(LabError, match="targets is empty"):
            applied("tiny-masked", targets=[])

    def test_the_head_is_no_target(self) -> None:
        with pytest.raises(LabError, match=r"ends in 'lm_head', nor is .* they end in down_proj"):
            applied("llama", targets=["lm_head"])

    def test_a_role_that_a_model_has_no_names_for(self) -> None:
        with pytest.raises(
            LabError, match=r"no linear layer of CopyingModel has a name that is known for the role 'query'"
        ):
            applied("copycat", targets=["query"])

    def test_a_model_without_linear_layers(self) -> None:
        with pytest.raises(LabError, match="'copycat' has no linear layers in its body"):
            applied("copycat")

    @pytest.mark.parametrize("rank", [0, -1])
    def test_rank(self, rank: int) -> None:
        with pytest.raises(LabError, match=f"the rank of LoRA must be at least 1; it was {rank}"):
            Lora(rank=rank)

    @pytest.mark.parametrize("alpha", [0.0, -2.0])
    def test_alpha(self, alpha: float) -> None:
        with pytest.raises(LabError, match=f"alpha scales what LoRA adds and must be above 0; it was {alpha}"):
            Lora(alpha=alpha)

    def test_before_anything_is_loaded(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = runs.words(tmp_path, "--model.tuning", "Lora", "--model.tuning.rank", "0")
        assert cli.main(words) == 2
        assert "the rank of LoRA must be at least 1" in capsys.readouterr().err


def matrices(name: str, rank: int) -> int:
    """What rank (in + out) adds up to over the layers of a tiny backbone, by hand."""
    sizes = {
        "tiny-masked": [(32, 32)] * 4 + [(32, 64), (64, 32)],
        "tiny-causal": [(32, 96), (32, 32), (32, 128), (128, 32)],
        "tiny-seq2seq": [(32, 32)] * 4 + [(32, 64), (64, 32)],
    }
    blocks = sizes[name] * 2
    if name == "tiny-seq2seq":
        blocks += (sizes[name] + [(32, 32)] * 4) * 2
    return sum(rank * (i + o) for i, o in blocks)


LORA = {"class_path": "Lora", "init_args": {"rank": 4, "learning_rate": 0.01}}


class TestRuns:
    @pytest.mark.parametrize("name", TINY)
    def test_pattern_tuning_moves_and_stores_the_matrices_alone(self, name: str, tmp_path: Path) -> None:
        change = {
            "backbone": name, "save_model": True, "trainer": {"max_steps": 4},
            "model": {"class_path": "PatternTuning", "init_args": {"tuning": LORA}},
        }  # fmt: skip
        experiment = runs.experiment(tmp_path, change)
        record = runs.record(tmp_path, change)
        cost = record["cost"]
        assert record["strategy"] == "fixed-prompt LM tuning"
        assert cost["trained_parameters"] == matrices(name, 4)
        assert cost["stored_bytes"] == 4 * matrices(name, 4)
        assert cost["total_parameters"] == matrices(name, 4) + sum(p.numel() for p in load_backbone(name).parameters())
        path = experiment.folder / delta.FILE
        stored = sum(p.stat().st_size for p in delta.files(experiment.folder))
        assert 4 * matrices(name, 4) < stored < 4 * matrices(name, 4) + 20_000

        subject = Subject(lambda: PatternTuning(tuning=Lora(rank=4)), name)
        again = subject.built(seed=5)
        untrained = {n: p.clone() for n, p in again.moved_state().items()}
        delta.load(path, again)
        assert all((p != untrained[n]).any() for n, p in again.moved_state().items()), "all of it has moved"
        stored = [r["log_probabilities"] for r in runs.lines(experiment.folder / "predictions.jsonl")]
        examples = list(experiment.data.sealed_test())
        found = subject.scores(again, examples).log_softmax(-1)
        torch.testing.assert_close(found, torch.tensor(stored), atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize("name", TINY)
    def test_fine_tuning_trains_a_head_besides(self, name: str, tmp_path: Path) -> None:
        model = {"class_path": "FineTuning", "init_args": {"tuning": LORA}}
        record = runs.record(tmp_path, {"backbone": name, "model": model})
        expected = 2 * sum(4 * (i + o) for i, o in [(32, 32)] * 4 + [(32, 64), (64, 32)])
        if name != "tiny-seq2seq":  # whose decoder is not read
            expected = matrices(name, 4)
        assert record["cost"]["trained_parameters"] == expected + 2 * 32 + 2
        assert record["strategy"] == "promptless fine-tuning"

    def test_the_pretrained_weights_stay(self) -> None:
        finished = Subject(lambda: PatternTuning(tuning=Lora())).run(learning_rate=0.1)
        before = load_backbone("tiny-masked").model.state_dict()
        after = {n.replace(".base_layer", ""): v for n, v in finished.module.backbone.model.state_dict().items()}
        assert all(torch.equal(value, after[name]) for name, value in before.items())

    def test_learns(self) -> None:
        """A few steps on four examples bring the loss down."""
        finished = Subject(lambda: PatternTuning(tuning=Lora(dropout=False), warmup=0.0)).run(
            learning_rate=0.02, max_steps=12
        )
        header, *rows = finished.metrics.strip().split("\n")
        at = header.split(",").index("train/loss")
        losses = [float(row.split(",")[at]) for row in rows if row.split(",")[at]]
        assert losses[-1] < losses[0] / 2

    def test_from_the_command_line(self, tmp_path: Path) -> None:
        words = ["--model.tuning", "Lora", "--model.tuning.rank", "2", "--model.tuning.targets", "[query]"]
        assert cli.main(runs.words(tmp_path, *words, "--trainer.max_steps", "1")) == 0
        (path,) = tmp_path.rglob("record.json")
        assert f'"trained_parameters": {2 * 2 * 64}' in path.read_text()

    def test_dropout_is_on_if_it_is_wanted(self) -> None:
        for dropout in (True, False):
            module = Subject(lambda dropout=dropout: FineTuning(tuning=Lora(dropout=dropout))).built()
            module.on_train_start()
            assert module.backbone.training == dropout


# ------------------------------------------------------------------------------------------------- the schedule


def rates(steps: int, schedule: Any, warmup: float, *, fused: bool = False) -> list[list[float]]:
    """The learning rates of two groups at every step, and after the last one."""
    weights = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [
        {"params": [w], "lr": lr, "weight_decay": d} for w, lr, d in zip(weights, (1.0, 0.1), (0.5, 0.0), strict=True)
    ]
    trainer: Any = SimpleNamespace(estimated_stepping_batches=steps)
    made = configured(groups, trainer, schedule, warmup, fused=fused)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert made["lr_scheduler"]["interval"] == "step"
    assert type(optimizer) is torch.optim.AdamW
    assert [bool(g["fused"]) for g in optimizer.param_groups] == [fused] * 2
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.5, 0.0]
    found = []
    for _ in range(steps + 1):
        found.append([g["lr"] for g in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("steps", "schedule", "warmup", "expected"),
    [
        (10, "linear", 0.4, [0.2, 0.4, 0.6, 0.8, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0]),
        (10, "constant", 0.4, [0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1, 1]),
        (4, "linear", 0.0, [1, 0.75, 0.5, 0.25, 0]),
        (4, "constant", 0.0, [1, 1, 1, 1, 1]),
        (3, "linear", 0.1, [1, 2 / 3, 1 / 3, 0]),  # a tenth of three steps is none
        (2, "linear", 0.99, [0.5, 1, 0]),
        (1, "linear", 0.5, [1, 0]),
    ],
)
def test_schedule(steps: int, schedule: str, warmup: float, expected: list[float], fused: bool) -> None:
    found = rates(steps, schedule, warmup, fused=fused)
    assert [r[0] for r in found] == pytest.approx(expected)
    assert [r[1] for r in found] == pytest.approx([0.1 * r for r in expected]), "each group has a rate of its own"


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 7.0, float("nan")])
def test_warmup_is_a_fraction(warmup: float) -> None:
    with pytest.raises(LabError, match=f"at least 0 and below 1; it was {warmup}"):
        check_warmup(warmup)
    check_warmup(0.0)
    check_warmup(0.99)
