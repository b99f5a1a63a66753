"""BitFit, LastLayers and Embeddings: which of the model's own parameters move, counted by hand."""

import pytest
import torch
from transformers import DebertaConfig, DebertaForMaskedLM
from tuned import drawn, gap, moving, numbers, plainly, same, says, tuned, without_gradient

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import load_reader
from prompt_lab.errors import LabError
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.bit_fit import BitFit
from prompt_lab.tuning.embeddings import Embeddings
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.last_layers import LastLayers
from prompt_lab.tuning.layer_norm import LayerNorm
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture

from test_backbones import architectures

BIASLESS = ("t5", "mt5", "llama", "gemma", "gemma2", "qwen3", "modernbert")
BERT = [f"bert.encoder.layer.{i}." for i in (0, 1)]


class TestBitFit:
    def test_all_of_berts_body(self) -> None:
        """The head's own stay: transform, its normalisation, and the bias over the vocabulary."""
        of_a_layer = [f"attention.self.{n}.bias" for n in ("query", "key", "value")]
        of_a_layer += [
            f"{n}.bias" for n in ("attention.output.dense", "attention.output.LayerNorm", "intermediate.dense")
        ]
        of_a_layer += ["output.dense.bias", "output.LayerNorm.bias"]
        expected = {lead + n for lead in BERT for n in of_a_layer} | {"bert.embeddings.LayerNorm.bias"}
        assert moving(tuned(BitFit(), "bert").model).keys() == expected

    def test_the_papers_subset(self) -> None:
        """b_q and b_m2 (Ben Zaken et al. 2022, section 3)."""
        expected = {lead + n for lead in BERT for n in ("attention.self.query.bias", "intermediate.dense.bias")}
        assert moving(tuned(BitFit("subset"), "bert").model).keys() == expected

    @pytest.mark.parametrize(
        ("name", "every", "subset"),
        [
            ("bert", 32 + 2 * (4 * 32 + 32 + 37 + 32 + 32), 2 * (32 + 37)),
            ("albert", 16 + 32 + 4 * 32 + 32 + 37 + 32 + 32, 32 + 37),
            ("gpt2", 2 * (32 + 96 + 32 + 32 + 128 + 32) + 32, 2 * (96 + 128)),
            ("opt", 2 * (4 * 32 + 32 + 37 + 32 + 32) + 32, 2 * (32 + 37)),
            ("qwen2", 2 * (32 + 16 + 16), 2 * 32),
            ("bart", 2 * 32 + 4 * (4 * 32 + 32 + 37 + 32 + 32) + 2 * (4 * 32 + 32), 4 * (32 + 37) + 2 * 32),
        ],
    )
    def test_counts(self, name: str, every: int, subset: int) -> None:
        """GPT-2's queries share a bias with keys and values; Qwen2 has none but these; BART's queries read its encoder too."""
        assert numbers(tuned(BitFit(), name)) == every
        assert numbers(tuned(BitFit("subset"), name)) == subset

    def test_biases_by_other_names(self) -> None:
        """DeBERTa's first version has the biases of its queries and values beside a matrix of three."""
        config = DebertaConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=20,
            relative_attention=True, pos_att_type=["c2p", "p2c"],
        )  # fmt: skip
        backbone = Backbone(DebertaForMaskedLM(config), load_reader("tiny-masked"))
        BitFit().apply(backbone)
        names = {name.rpartition(".")[2] for name, p in backbone.named_parameters() if p.requires_grad}
        assert names == {"bias", "q_bias", "v_bias"}

    @architectures
    @pytest.mark.parametrize("biases", ["all", "subset"])
    def test_reached_by_gradients_or_refused(self, name: str, biases: str) -> None:
        tuning = BitFit(biases)  # type: ignore[arg-type]
        if name in BIASLESS:
            with pytest.raises(
                LabError, match=r"has no such biases .* so BitFit has nothing to train. Use LayerNorm or Lora\."
            ):
                tuned(tuning, name)
            return
        backbone = tuned(tuning, name)
        same(says(backbone, name), plainly(name))
        assert without_gradient(backbone, name) == []
        assert gap(says(drawn(backbone), name), plainly(name)) > 1e-3

    @pytest.mark.parametrize("bit_fit_first", [True, False])
    def test_beside_matrices_and_normalisation(self, bit_fit_first: bool) -> None:
        """The layers that LayerNorm trains copies of are read no more, so their biases stay out."""
        parts = [
            Lora(rank=2, targets=["query"], learning_rate=1.0),
            LayerNorm(learning_rate=2.0),
            BitFit(learning_rate=3.0),
        ]
        tuning = Mixture(parts[::-1] if bit_fit_first else parts)
        backbone = tuned(tuning, "bert")
        assert without_gradient(drawn(backbone), "bert") == []
        sizes: dict[float, int] = {}
        for group in tuning.groups(backbone):
            sizes[group["lr"]] = sizes.get(group["lr"], 0) + sum(p.numel() for p in group["params"])
        assert sizes == {1.0: 2 * 2 * (32 + 32), 2.0: 5 * 64, 3.0: 554 - 5 * 32}
        assert "bert.encoder.layer.0.attention.self.query.base_layer.bias" in moving(backbone.model)


class TestLastLayers:
    @pytest.mark.parametrize(
        ("name", "leads"),
        [
            ("bert", ["bert.encoder.layer.1."]), ("gpt2", ["transformer.h.1."]), ("opt", ["model.decoder.layers.1."]),
            ("llama", ["model.layers.1."]), ("t5", ["encoder.block.1.", "decoder.block.1."]),
            ("bart", ["model.encoder.layers.1.", "model.decoder.layers.1."]), ("albert", ["albert.encoder.albert_layer_groups.0."]),
        ],
    )  # fmt: skip
    def test_the_last_of_every_stack(self, name: str, leads: list[str]) -> None:
        backbone = tuned(LastLayers(), name)
        own = {n for n, _ in backbone.model.named_parameters()}
        assert moving(backbone.model).keys() == {n for n in own if n.startswith(tuple(leads))}
        assert all(any(n.startswith(lead) for n in own) for lead in leads)
        assert without_gradient(backbone, name) == []

    def test_counts(self) -> None:
        """Four matrices of 32 x 32, two of 32 x 37, their biases, and two normalisations."""
        layer = 4 * (32 * 32 + 32) + (32 * 37 + 37) + (37 * 32 + 32) + 2 * 64
        assert numbers(tuned(LastLayers(1), "bert")) == layer
        assert numbers(tuned(LastLayers(2), "bert")) == 2 * layer

    @pytest.mark.parametrize(("name", "number", "there"), [("bert", 3, 2), ("t5", 3, 2), ("albert", 2, 1)])
    def test_more_than_there_are(self, name: str, number: int, there: int) -> None:
        with pytest.raises(LabError) as error:
            tuned(LastLayers(number), name)
        assert str(error.value) == (
            f"{name!r} has {there} layers (ALBERT's share their weights and count as one), and the last {number} were to be trained. "
            "Lower number."
        )

    @pytest.mark.parametrize("number", [0, -1])
    def test_none(self, number: int) -> None:
        with pytest.raises(LabError, match=f"it was {number}. For none, use Frozen"):
            LastLayers(number)

    def test_a_decoder_that_is_not_read_stays(self) -> None:
        module = Subject(lambda: FineTuning(tuning=LastLayers()), "tiny-seq2seq").built()
        assert {n.partition(".1.")[0] for n in moving(module.backbone.model)} == {"encoder.block"}


class TestEmbeddings:
    @pytest.mark.parametrize(
        ("name", "place", "width"),
        [
            ("bert", "bert.embeddings.word_embeddings.weight", 32), ("gpt2", "transformer.wte.weight", 32),
            ("t5", "shared.weight", 32), ("bart", "model.shared.weight", 32),
            ("albert", "albert.embeddings.word_embeddings.weight", 16), ("llama", "model.embed_tokens.weight", 32),
        ],
    )  # fmt: skip
    def test_words_alone(self, name: str, place: str, width: int) -> None:
        backbone = tuned(Embeddings(), name)
        found = moving(backbone.model)
        assert {n: tuple(p.shape) for n, p in found.items()} == {place: (60, width)}
        assert without_gradient(backbone, name) == []

    def test_a_head_that_shares_them_moves_with_them(self) -> None:
        """BERT's does, Llama's has rows of its own."""
        for name, shares in (("bert", True), ("llama", False)):
            backbone = tuned(Embeddings(), name)
            head = backbone.model.get_output_embeddings().weight
            before = head.detach().clone()
            drawn(backbone)
            assert torch.equal(head, before) != shares
            assert head.requires_grad == shares

    @pytest.mark.parametrize("kind", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
    def test_move_under_a_classification_head(self, kind: str) -> None:
        module = Subject(lambda: FineTuning(tuning=Embeddings()), kind).built()
        weight = module.backbone.embeddings().weight
        assert [id(p) for p in moving(module.backbone).values()] == [id(weight)]


@pytest.mark.parametrize("other", [Full, LastLayers])
def test_layers_that_are_read_no_more_do_not_move(other: type[Full | LastLayers]) -> None:
    """As BitFit beside LayerNorm leaves them out."""
    backbone = tuned(Mixture([LayerNorm(), other()]), "bert")
    backbone.freeze_head()
    nothing = without_gradient(backbone, "bert")
    assert [n for n in nothing if ".base_layer." in n] == []
