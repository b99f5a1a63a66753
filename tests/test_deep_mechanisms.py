"""Deep prompts in the families people use: both mechanisms against caches, real tokens, peft, and what stands there without them."""

from dataclasses import replace
from functools import cache
from itertools import product
from string import ascii_lowercase
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer, models
from torch import Tensor
from torch.nn import functional as F

from prompt_lab.answers.head import Head
from prompt_lab.answers.words import Words
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.checkpoint import READERS
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Encoded
from prompt_lab.errors import LabError
from prompt_lab.templates import Template
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.mechanisms import key_values

from test_backbones import ALL, BODY, RELATIVE, SEQ2SEQ, V, batch, close, first_rows, kind, made

P = 3
OLD = ("mpnet", "deberta-v2")
"""Families that do not compute attention through transformers' interface."""
NEW = (
    *("bert", "roberta", "albert", "distilbert", "electra", "modernbert"),
    *("gpt2", "llama", "opt", "gpt_neox", "gemma2", "t5", "bart"),
)
MECHANISMS = [("key_values", n) for n in NEW] + [("hidden_states", n) for n in (*NEW, *OLD)]
both = pytest.mark.parametrize(("mechanism", "name"), MECHANISMS)


@cache
def words() -> Any:
    """A tokenizer of as many words as the models know."""
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *(a + b for a, b in product(ascii_lowercase, repeat=2))][:V]
    core = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="<unk>"))
    special = {"pad_token": "<pad>", "mask_token": "<mask>", "unk_token": "<unk>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=core, **special)


def put_in(backbone: Backbone, mechanism: Any, answer: Any = None, seed: int = 0, **how: Any) -> Backbone:
    """The backbone with P vectors in every layer, large enough to be noticed."""
    tuning = DeepPrompt(P, mechanism=mechanism, spread=1.0, **how)
    tuning.prepare(tuning.prompted(Template("{text_a}", ["text_a"])), answer or Words(), backbone.reader)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tuning.apply(backbone)
    return backbone


def fresh(name: str) -> Backbone:
    """A random model of that architecture with a reader."""
    backbone = made(name).fresh()
    backbone.reader = READERS[kind(name)](words(), ALL[name], name)  # type: ignore[index]
    return backbone


def prompted(name: str, mechanism: Any, answer: Any = None, **how: Any) -> Backbone:
    return put_in(fresh(name), mechanism, answer, **how)


def weight(backbone: Backbone) -> Tensor:
    """[P, E]."""
    found: Any = backbone.deep_prompt
    return found.vectors.weight


def read(name: str, mechanism: str, of: Encoded | None = None) -> Encoded:
    """A batch, with P virtual tokens in front where the mechanism has them."""
    of = batch(name) if of is None else of
    if mechanism == "key_values":
        return of
    front = torch.arange(V, V + P).expand(len(of.input_ids), P)
    slots = of.slots if of.decoder_input_ids is not None else of.slots.where(of.slots < 0, of.slots + P)
    ids, mask = torch.cat([front, of.input_ids], 1), torch.cat([torch.ones_like(front), of.attention_mask], 1)
    return replace(of, input_ids=ids, attention_mask=mask, slots=slots)


@torch.no_grad()
def logits(backbone: Backbone, reads: Encoded) -> list[Tensor]:
    """At the slots that mean something."""
    found = backbone.slot_logits(reads)
    return [found[b, 0, n] for b, n in reads.slots[:, 0].ge(0).nonzero().tolist()]


def same(found: list[Tensor], expected: list[Tensor]) -> None:
    close(torch.stack(found), torch.stack(expected))


def gap(found: list[Tensor], other: list[Tensor]) -> float:
    return float((torch.stack(found) - torch.stack(other)).abs().max())


class TestEveryFamily:
    @both
    def test_gradients_reach_every_vector_in_every_layer(self, mechanism: str, name: str) -> None:
        backbone = prompted(name, mechanism)
        backbone.slot_logits(read(name, mechanism))[:, :, 0].square().sum().backward()
        assert [n for n, p in backbone.named_parameters() if p.grad is not None] == ["deep_prompt.vectors.weight"]
        assert [n for n, p in backbone.named_parameters() if p.requires_grad] == ["deep_prompt.vectors.weight"]
        parts = 2 if mechanism == "hidden_states" else 8 if name in SEQ2SEQ else 4
        gradient = weight(backbone).grad
        assert gradient is not None
        assert gradient.isfinite().all()
        reached = gradient.view(P, parts, -1).any(-1)
        assert reached.all(), f"vector by part of E: {reached.tolist()}"

    @both
    def test_a_head_reads_it_too(self, mechanism: str, name: str) -> None:
        backbone = prompted(name, mechanism, Head())
        hidden = backbone.hidden(read(name, mechanism))
        hidden[0, -4:].square().sum().backward()
        gradient = weight(backbone).grad
        assert gradient is not None
        assert gradient.view(P, 2 if mechanism == "hidden_states" else 4, -1).any(-1).all()
        with torch.no_grad():
            assert (hidden[0, -4:] - made(name).hidden(batch(name))[0, -4:]).abs().max() > 0.01

    @both
    def test_padding_and_order_change_nothing(self, mechanism: str, name: str) -> None:
        backbone = prompted(name, mechanism)
        found = logits(backbone, read(name, mechanism))
        assert gap(found, logits(made(name), batch(name))) > 1e-3, "the prompt says something"
        alone = logits(backbone, read(name, mechanism, first_rows(batch(name), 1, 5)))
        same(alone, found[2:])
        turned = logits(backbone, read(name, mechanism, batch(name).take(torch.tensor([1, 0]))))
        same(turned[1:] + turned[:1], found)

    @pytest.mark.parametrize("name", NEW)
    def test_without_the_prompt_nothing_has_changed(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the prompt hidden by the mask, everything else is as it was: masks, positions and biases of the text."""

        def hidden(mask: Tensor, widths: tuple[int, int], value: float | bool | None = None) -> Tensor:
            shut = None if value is None else False if mask.dtype == torch.bool else -1e9
            return F.pad(mask, widths, value=shut)

        backbone = prompted(name, "key_values")
        monkeypatch.setattr(key_values, "F", SimpleNamespace(pad=hidden))
        same(logits(backbone, batch(name)), logits(made(name), batch(name)))

    @pytest.mark.parametrize("name", [*NEW, *OLD])
    def test_virtual_tokens_that_nobody_sees_change_nothing(self, name: str) -> None:
        """They stand behind the text, masked, so that it keeps its positions."""
        plain = batch(name)
        front = read(name, "hidden_states")
        behind = replace(
            front, input_ids=front.input_ids.roll(-P, 1), attention_mask=F.pad(plain.attention_mask, (0, P))
        )
        same(logits(prompted(name, "hidden_states"), replace(behind, slots=plain.slots)), logits(made(name), plain))

    @pytest.mark.parametrize("name", [*NEW, *OLD])
    def test_states_of_real_tokens_are_read_as_these_tokens(self, name: str) -> None:
        plain = first_rows(batch(name), 0, 7)
        ids = torch.randint(3, V, (1, P), generator=torch.Generator().manual_seed(2))
        whole = read(name, "hidden_states", plain)
        real = replace(whole, input_ids=torch.cat([ids, plain.input_ids], 1))
        given = {} if plain.decoder_input_ids is None else {"decoder_input_ids": plain.decoder_input_ids}
        with torch.no_grad():
            own = made(name).model(input_ids=real.input_ids, output_hidden_states=True, **given)
            states = own.encoder_hidden_states if name in SEQ2SEQ else own.hidden_states
            backbone = prompted(name, "hidden_states")
            weight(backbone).copy_(torch.cat([state[0, :P] for state in states[:2]], 1))
        same(logits(backbone, whole), logits(made(name), real))

    @pytest.mark.parametrize("name", [*NEW, *OLD, "deberta-v2 with a convolution"])
    def test_what_moves_is_all_that_differs_from_one_seed_to_another(self, name: str) -> None:
        """A prompt is put back onto a module that drew other words and vectors before."""
        of, found = name if name in ALL else "deberta-v2", []
        for seed in (0, 1):
            backbone = fresh(of)
            if of != name:  # DeBERTa-v2-xlarge: beside the first layer, a convolution reads the embeddings
                backbone.model = convolving()
            put_in(backbone, "hidden_states", seed=seed)
            with torch.no_grad():
                weight(backbone).copy_(found[0][0] if found else weight(backbone))
            found.append((weight(backbone).detach(), logits(backbone, read(of, "hidden_states"))))
        same(found[1][1], found[0][1])


def convolving() -> Any:
    config = hf.DebertaV2Config(**BODY, **RELATIVE, conv_kernel_size=3, conv_act="gelu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return hf.DebertaV2ForMaskedLM(config).eval()


class TestKeysAndValues:
    def cached(self, backbone: Backbone, rows: int) -> hf.DynamicCache:
        """The prompt as transformers keeps what was read before."""
        layers = weight(backbone).detach().view(P, 2, 2, -1, 16).permute(1, 2, 3, 0, 4)  # layer, key or value, H, P, d
        kept = hf.DynamicCache()
        for i, (key, value) in enumerate(layers):
            kept.update(key.expand(rows, -1, -1, -1), value.expand(rows, -1, -1, -1), i)
        return kept

    @pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
    def test_they_are_what_a_cache_would_hold(self, name: str) -> None:
        backbone, reads = prompted(name, "key_values"), batch(name)
        mask = F.pad(reads.attention_mask, (P, 0), value=1)
        given: dict[str, Any] = {"position_ids": torch.arange(7)[None], "past_key_values": self.cached(backbone, 2)}
        with torch.no_grad():
            expected = made(name).model.base_model(input_ids=reads.input_ids, attention_mask=mask, **given)
            found = backbone.hidden(reads)
        real = reads.attention_mask.bool()
        close(found[real], expected.last_hidden_state[real])

    def test_those_of_real_tokens_are_read_as_these_tokens(self) -> None:
        backbone, text = prompted("gpt2", "key_values"), batch("gpt2").input_ids[:1]
        ids = torch.randint(3, V, (1, P), generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            kept = made("gpt2").model(ids, use_cache=True).past_key_values
            parts = [p[0].transpose(0, 1).flatten(1) for layer in kept.layers for p in (layer.keys, layer.values)]
            weight(backbone).copy_(torch.cat(parts, 1))
            found = backbone.model(text, position_ids=torch.arange(P, P + 7)[None], use_cache=False).logits
            close(found, made("gpt2").model(torch.cat([ids, text], 1)).logits[:, P:])

    def test_they_are_those_of_peft(self) -> None:
        backbone, reads = prompted("gpt2", "key_values"), batch("gpt2")
        config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=P)
        other = peft.get_peft_model(made("gpt2").fresh().model, config).eval()
        other.prompt_encoder["default"].embedding.weight.data = weight(backbone).detach()
        given = {"input_ids": reads.input_ids, "attention_mask": reads.attention_mask}
        with torch.no_grad():
            expected = other(**given).logits
            found = backbone.model(**given, position_ids=torch.arange(P, P + 7)[None], use_cache=False).logits
            unprompted = made("gpt2").model(**given).logits
        real = reads.attention_mask.bool()
        torch.testing.assert_close(found[real], expected[real], atol=1e-4, rtol=0)
        assert (found - unprompted)[real].abs().max() > 0.01

    @pytest.mark.parametrize("name", OLD)
    def test_are_refused_where_attention_cannot_be_reached(self, name: str) -> None:
        with pytest.raises(LabError, match=r"does not compute its attention through.*Use mechanism: hidden_states"):
            prompted(name, "key_values")

    @pytest.mark.parametrize("answer", [Words(), Head()])
    @pytest.mark.parametrize("name", ["t5", "bart"])
    def test_cross_attention_has_none(self, name: str, answer: Any) -> None:
        """Nor has a decoder that is not run; what attention says of itself is how many keys it had."""
        backbone, reads = fresh(name), batch(name)
        backbone.model.set_attn_implementation("eager")
        put_in(backbone, "key_values", answer)
        given = {"input_ids": reads.input_ids, "decoder_input_ids": reads.decoder_input_ids, "output_attentions": True}
        with torch.no_grad():
            found = backbone.model(**given)
        parts = found.encoder_attentions, found.decoder_attentions, found.cross_attentions
        in_decoder = 6 + P if isinstance(answer, Words) else 6
        assert [[layer.shape[-1] for layer in part] for part in parts] == [[7 + P] * 2, [in_decoder] * 2, [7] * 2]


class TestCopycat:
    """One attention layer by hand: a place is attended to with a score of 40, so the prompt wins with a higher one alone."""

    @pytest.mark.parametrize(("key", "wins"), [(0.5, False), (2.0, True)])
    def test_a_key_that_is_larger_wins(self, key: float, wins: bool) -> None:
        backbone = put_in(load_backbone("copycat").fresh(), "key_values")
        model, token = backbone.model, 50
        width = model.copying.places.shape[1]
        assert weight(backbone).shape == (P, width + 256), "a place, and what stands there"
        with torch.no_grad():
            weight(backbone).zero_()
            weight(backbone)[1, :width] = key
            weight(backbone)[1, width:] = model.copying.embeddings.weight[token]
        nothing = torch.zeros(1, dtype=torch.long)
        ids = torch.tensor([[20, 21, 22, 23]])
        reads = Encoded(ids, torch.ones_like(ids), torch.tensor([[[1, 2, 3]]]), nothing, nothing)
        assert [int(row.argmax()) for row in logits(backbone, reads)] == ([token] * 3 if wins else [20, 21, 22])

    def test_has_no_layers_to_replace_states_in(self) -> None:
        with pytest.raises(LabError, match="Copying has no list of layers"):
            put_in(load_backbone("copycat").fresh(), "hidden_states")
