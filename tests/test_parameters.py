"""What is frozen, trained and added: figures worked out by hand, and the tree that shows them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from prompt_lab import cli
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.p_tuning import PTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.reporting.parameter_tree import tree
from prompt_lab.reporting.parameters import Figures, figures
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.ada_lora import AdaLora
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.ia3 import Ia3
from prompt_lab.tuning.layer_norm import LayerNorm
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture
from prompt_lab.tuning.soft_prompt import SoftPrompt

import runs
import samples

D, INNER, WORDS, LAYERS = 32, 37, 179, 2
"""Of ``samples.backbone("bert")``, which has 512 positions and two types of tokens."""
NORM = 2 * D
LINEAR = D * D + D
EMBEDDINGS = (WORDS + 512 + 2) * D + NORM
LAYER = 4 * LINEAR + (D * INNER + INNER) + (INNER * D + D) + 2 * NORM
BODY = EMBEDDINGS + LAYERS * LAYER
LM_HEAD = LINEAR + NORM + WORDS
HEAD = 2 * D + 2


def built(tuning: Any, make: Any = FineTuning, **how: Any) -> Paradigm:
    """A paradigm on the small BERT; the classes are two."""
    backbone = samples.backbone("bert")
    task = samples.task("no", "yes", no=["bad"], yes=["good"])
    torch.manual_seed(0)
    given = {"template": "{text_a} It was {mask}."} if make is not FineTuning else {}
    return make(tuning=tuning, **given, **how).prepare(task, backbone.reader).build(backbone.fresh())


def labels(text: str) -> list[str]:
    """What stands on each line without its figures and branches."""
    return [line.lstrip("├└│─ ").split("  ")[0] for line in text.splitlines()]


class TestFigures:
    def test_full_fine_tuning_adds_a_head_and_freezes_what_no_answer_reads(self) -> None:
        assert figures(built(Full())) == Figures(frozen=LM_HEAD, trained=BODY, added=HEAD)
        assert figures(built(Full(), PatternTuning)) == Figures(trained=BODY + LM_HEAD)

    def test_a_linear_probe(self) -> None:
        found = figures(built(Frozen()))
        assert found == Figures(frozen=BODY + LM_HEAD, added=HEAD)
        assert found.facts() == {
            "frozen": BODY + LM_HEAD,
            "trained": 0,
            "added": HEAD,
            "total": BODY + LM_HEAD + HEAD,
            "percent_moving": pytest.approx(100 * HEAD / (BODY + LM_HEAD + HEAD), abs=1e-6),
        }

    def test_matrices_of_lora_are_added(self) -> None:
        """Two layers, each with A [3, D] and B [D, 3] beside the queries."""
        assert figures(built(Lora(rank=3, targets=["query"]))) == Figures(BODY + LM_HEAD, 0, 2 * 2 * 3 * D + HEAD)

    def test_beside_lora_what_was_pretrained_is_known_by_the_name_it_had(self) -> None:
        """peft calls the weight of a layer it has changed ``base_layer.weight``."""
        mixed = Mixture([Full(), Lora(rank=3, targets=["query"])])
        assert figures(built(mixed)) == Figures(LM_HEAD, BODY, 2 * 2 * 3 * D + HEAD)

    def test_copies_of_normalisation_layers_stand_in_their_place(self) -> None:
        """Nothing is added, and nothing counts twice: the embeddings' and two in each layer."""
        norms = NORM + LAYERS * 2 * NORM
        assert figures(built(LayerNorm())) == Figures(BODY + LM_HEAD - norms, norms, HEAD)
        assert sum(p.numel() for p in built(LayerNorm()).parameters()) == BODY + LM_HEAD + HEAD + norms

    def test_a_soft_prompt_with_and_without_an_encoder(self) -> None:
        """P-tuning's: inputs [P, D], a bidirectional LSTM of two layers with D / 2 a direction, and two linear layers."""
        assert figures(built(SoftPrompt(length=5), PatternTuning)) == Figures(BODY + LM_HEAD, 0, 5 * D)
        half = D // 2
        direction = 4 * half * D + 4 * half * half + 2 * 4 * half
        encoder = 5 * D + 2 * 2 * direction + 2 * LINEAR
        module = built(SoftPrompt(length=5, encoder="lstm"), PatternTuning)
        assert figures(module) == Figures(BODY + LM_HEAD, 0, encoder)
        module.on_train_end()
        assert figures(module) == Figures(BODY + LM_HEAD, 0, 5 * D), "folded: what the encoder came to"

    def test_without_a_backbone_all_that_moves_is_added(self) -> None:
        module = nn.ModuleDict({"a": nn.Linear(3, 2), "b": nn.Linear(2, 1).requires_grad_(False)})
        assert figures(module) == Figures(frozen=3, added=8)

    def test_what_is_shared_counts_once(self) -> None:
        layer = nn.Linear(3, 2)
        assert figures(nn.ModuleList([layer, layer])) == Figures(added=8)

    def test_nothing_at_all(self) -> None:
        assert figures(nn.Identity()).percent == 0.0

    @pytest.mark.parametrize("backbone", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
    @pytest.mark.parametrize(
        "tuning",
        [
            Full(), Frozen(), Lora(), Lora(gated=True), AdaLora(), Ia3(), LayerNorm(), DeepPrompt(encoder="mlp"),
            Mixture([Full(), SoftPrompt(length=2)]), Mixture([LayerNorm(), Full()]),
        ],
        ids=lambda tuning: type(tuning).__name__,
    )  # fmt: skip
    def test_what_moves_is_what_has_gradients(self, tuning: Any, backbone: str) -> None:
        module = Subject(lambda: PatternTuning(tuning=tuning), backbone).built()
        assert figures(module).moving == sum(p.numel() for p in module.parameters() if p.requires_grad)
        assert figures(module).frozen <= sum(p.numel() for p in module.parameters() if not p.requires_grad)


class TestTree:
    def test_in_full(self) -> None:
        assert tree(built(Lora(rank=2, targets=["query"]))).splitlines() == [
            "parameters                                           frozen  trained  added  % of all",
            "FineTuning                                           37,117        –    322     0.860",
            "├─ answer.linear                                          –        –     66     0.176",
            "│  ├─ weight [2, 32]                                      –        –     64     0.171",
            "│  └─ bias [2]                                            –        –      2     0.005",
            "└─ backbone.model                                    37,117        –    256     0.684",
            "   ├─ bert                                           35,818        –    256     0.684",
            "   │  ├─ embeddings                                  22,240        –      –         –",
            "   │  └─ encoder.layer.0-1                           13,578        –    256     0.684",
            "   │     ├─ attention                                 8,576        –    256     0.684",
            "   │     │  ├─ self                                   6,336        –    256     0.684",
            "   │     │  │  ├─ query                               2,112        –    256     0.684",
            "   │     │  │  │  ├─ lora_A.lora.weight [2, 32] × 2       –        –    128     0.342",
            "   │     │  │  │  └─ lora_B.lora.weight [32, 2] × 2       –        –    128     0.342",
            "   │     │  │  ├─ key                                 2,112        –      –         –",
            "   │     │  │  └─ value                               2,112        –      –         –",
            "   │     │  └─ output                                 2,240        –      –         –",
            "   │     ├─ intermediate.dense                        2,442        –      –         –",
            "   │     └─ output                                    2,560        –      –         –",
            "   └─ cls.predictions                                 1,299        –      –         –",
        ]

    def test_where_all_of_the_pretrained_moves_there_is_one_line(self) -> None:
        assert labels(tree(built(Full()))) == [
            "parameters", "FineTuning", "answer.linear", "weight [2, 32]", "bias [2]", "backbone.model", "bert",
            "cls.predictions",
        ]  # fmt: skip

    def test_layers_of_which_some_move_are_told_apart(self) -> None:
        """Six layers, of which 1, 2 and 4 move."""
        module = nn.ModuleList(nn.Linear(2, 1).requires_grad_(i in (1, 2, 4)) for i in range(6))
        assert labels(tree(module)) == [
            "parameters",
            "ModuleList",
            "0,3,5",
            "1-2,4",
            "weight [1, 2] × 3",
            "bias [1] × 3",
        ]

    def test_names_that_differ_in_a_number_inside(self) -> None:
        """Gates are called so: dots are no names of modules."""
        module = nn.ModuleDict(
            {f"layer {i} {w}": nn.Linear(1, 1, bias=False) for i in (0, 1) for w in ("query", "key")}
        )
        assert labels(tree(module))[2:] == ["layer 0-1 query.weight [1, 1] × 2", "layer 0-1 key.weight [1, 1] × 2"]

    def test_lists_in_lists_multiply(self) -> None:
        module = nn.ModuleList(nn.ModuleList(nn.Linear(2, 1, bias=False) for _ in range(3)) for _ in range(2))
        (line,) = tree(module).splitlines()[2:]
        assert line.split() == ["└─", "0-1.0-2.weight", "[1,", "2]", "×", "6", "–", "–", "12", "100.000"]

    def test_figures_of_branches_add_up(self) -> None:
        lines = tree(built(Lora(rank=2))).splitlines()[1:]
        depths = [line.find("─ ") + 1 for line in lines]  # 0, 2, 5 and so on
        added = [int(line.split()[-2].replace(",", "").replace("–", "0")) for line in lines]
        inside: dict[int, list[int]] = {}
        for place, depth in enumerate(depths[1:], 1):
            above = max(i for i in range(place) if depths[i] < depth)
            inside.setdefault(above, []).append(added[place])
        assert len(inside) > 10
        assert all(sum(parts) == added[above] for above, parts in inside.items())

    def test_the_tensor_that_an_encoder_is_folded_into_is_not_shown(self) -> None:
        text = tree(Subject(PTuning).built())
        assert "encoder" in text
        assert "vectors.weight" not in text

    def test_a_share_too_small_for_its_column(self) -> None:
        module = nn.ModuleDict({"big": nn.Linear(1000, 1000).requires_grad_(False), "one": nn.Linear(1, 1, bias=False)})
        assert tree(module).splitlines()[-1].split()[-1] == "<0.001"


class TestRuns:
    def test_fit_says_it_before_training(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        words = runs.words(tmp_path, "--model.tuning", "Lora", "--model.tuning.rank", "2")
        assert cli.main(words) == 0
        said, error = capsys.readouterr()
        assert error.startswith("parameters ")
        assert "encoder.layer.0-1" in error
        assert "lora_A.lora.weight [2, 32] × 2" in error
        assert "lora_A" not in said, "tables can be piped"
        (path,) = tmp_path.rglob("record.json")
        cost = json.loads(path.read_text())["cost"]
        total = int(
            next(line for line in error.splitlines() if line.startswith("PatternTuning")).split()[3].replace(",", "")
        )
        assert cost["parameters"]["added"] == cost["trained_parameters"] == total

    def test_a_grid_does_not(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        runs.record(tmp_path)
        assert "frozen" not in capsys.readouterr().err

    @pytest.mark.parametrize(
        "make",
        [PTuning, lambda: FineTuning(tuning=LayerNorm()), lambda: PatternTuning(tuning=Frozen())],
        ids=["folded", "copied", "nothing"],
    )
    def test_the_record_has_the_same_figures(self, make: Any) -> None:
        finished = Subject(make).run_anew()
        cost, before = finished.record["cost"], figures(Subject(make).built())
        assert cost["parameters"] == before.facts()
        assert cost["trained_parameters"] == before.moving
        assert cost["total_parameters"] == figures(finished.module).total
