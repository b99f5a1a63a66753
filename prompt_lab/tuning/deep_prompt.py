"""A deep prompt: trained vectors in every layer (Prefix-Tuning: Li and Liang 2021; P-tuning v2: Liu et al. 2022)."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.backbones.sites import is_linear, sizes
from prompt_lab.batch import Encoded
from prompt_lab.errors import LabError
from prompt_lab.folding import Folded
from prompt_lab.optimizing import Optimizer
from prompt_lab.templates import Template
from prompt_lab.tuning.base import Tuning
from prompt_lab.tuning.encoders import Encoding, encoder
from prompt_lab.tuning.gating import Gate, GateWatch, gate_values, gates
from prompt_lab.tuning.mechanisms.hidden_states import HiddenStates, layer_calls
from prompt_lab.tuning.mechanisms.key_values import Call, KeyValues, attention_calls
from prompt_lab.tuning.virtual import VirtualTokens, embedded, frequent_words
from prompt_lab.tuning.watching import PromptWatch

if TYPE_CHECKING:
    from prompt_lab.answers import Answer

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
WIDTH = 512
"""Of an encoder's hidden layer (Li and Liang 2021, appendix)."""
_NAME = "deep_prompt"
_THIRDS = ("first_third", "middle_third", "last_third")


class DeepPrompt(Tuning):
    """Trains P vectors in every layer, or in some; the backbone stays as it is.

    Args:
        length: P.
        layers: ``all``, ``first_third``, ``middle_third`` or ``last_third`` of them, or numbers from 1 such as ``17-24``; of an
            encoder and a decoder, of each.
        mechanism: ``key_values`` puts trained keys and values in front of each layer's own (both papers); it needs a model that
            computes attention through transformers' interface. ``hidden_states`` puts P virtual tokens in front of the text (behind
            [CLS], where there is one) and replaces what each layer reads there, in any model; the text is then P positions longer.
        init: ``normal``, or what the layers make of real ``words``, drawn from the frequent ones (Li and Liang 2021, section 7.4).
        spread: standard deviation of ``normal``.
        encoder: what the vectors are trained through: nothing, or the papers' ``mlp`` of two layers (section 4.3).
        gated: let a gate in each layer say how much of its keys and values is there (UniPELT: Mao et al. 2022, section 3.2).
        learning_rate: of the vectors.
        weight_decay: of the vectors.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone = False
    moves_prompt = True
    order: ClassVar[int] = 2

    def __init__(
        self,
        length: int = 16,
        layers: str = "all",
        mechanism: Literal["key_values", "hidden_states"] = "key_values",
        init: Literal["normal", "words"] = "normal",
        spread: float = 0.02,
        encoder: Encoding = "none",
        gated: bool = False,
        learning_rate: float = 1e-2,
        weight_decay: float = 0.0,
        dropout: bool = False,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout, optimizer)
        if length < 1:
            raise LabError(f"length is the number of prompt vectors in a layer, 1 or more; it was {length}")
        if init == "words" and encoder != "none":
            raise LabError("an encoder says what the vectors begin as: use init: normal with it, or encoder: none")
        if gated and mechanism != "key_values":
            raise LabError("gates hold keys and values back: use mechanism: key_values with gated, or gated: false")
        if layers not in ("all", *_THIRDS) and not _RANGE.fullmatch(layers):
            raise LabError(
                f"layers is all, {', '.join(_THIRDS)}, or numbers from 1 such as 17-24 or 3; it was {layers!r}"
            )
        self.length, self.layers, self.mechanism, self.init = length, layers, mechanism, init
        self.spread, self.encoder, self.gated = spread, encoder, gated

    def prompted(self, template: Template) -> Template:
        """With virtual tokens in front, where hidden states are replaced."""
        return template.with_virtual(self.length) if self.mechanism == "hidden_states" else template

    def prepare(self, template: Template, answer: "Answer", reader: Reader) -> None:
        """Refuse virtual tokens that are not its own."""
        if self.mechanism == "key_values":
            super().prepare(template, answer, reader)
        elif len(template.virtual) > 1:
            raise LabError(
                f"template {str(template)!r} has virtual tokens, and DeepPrompt trains none but those at which mechanism: "
                "hidden_states puts its vectors. Use mechanism: key_values, beside a SoftPrompt in a Mixture, or leave {soft} out."
            )
        self._reads_head = answer.needs_head
        self._first = reader.first_virtual

    def add(self, backbone: Backbone) -> None:
        """Put the vectors in.

        Raises:
            LabError: the model has no such layers, or cannot be prompted in this way.
        """
        if not hasattr(self, "_first"):
            raise LabError("DeepPrompt belongs to a template and an answer; it cannot be used here")
        make = self._key_values if self.mechanism == "key_values" else self._hidden_states
        make(backbone)

    def callbacks(self, backbone: Backbone) -> list[pl.Callback]:
        """How far the vectors move, and the gates are open."""
        watch: list[pl.Callback] = [PromptWatch(_vectors(backbone))]
        return watch + [GateWatch(backbone, _NAME)] * self.gated

    def facts(self, backbone: Backbone) -> dict[str, Any]:
        """How far the vectors moved, and the gates are open."""
        vectors = _vectors(backbone)
        gate = gate_values(backbone, _NAME) if self.gated else {}
        return gate | {
            "prompt": {
                "vectors": len(vectors.weight),
                "numbers": vectors.weight.numel(),
                "moved": round(float(vectors.moved()), 4),
            }
        }

    # ---------------------------------------------------------------- two mechanisms

    def _key_values(self, backbone: Backbone) -> None:
        stacks = backbone.stacks() if self._reads_head else backbone.stacks()[:1]
        words = self._words(backbone)
        calls: list[Call] = []
        chosen: list[int] = []
        for own in attention_calls(backbone, lambda: backbone.slot_logits(words), stacks):
            chosen += [len(calls) + i for i in self._chosen(len(own))]
            calls += own
        read = [part[0].transpose(0, 1).flatten(1) for i in chosen for part in (calls[i].key, calls[i].value)]
        gate: list[Gate] = []
        if self.gated:
            found, seen = gates(backbone, _NAME)
            names = {m: n for n, m in backbone.model.named_modules()}
            for i in chosen:
                reads = next(m for m in calls[i].module.modules() if is_linear(m))
                gate.append(found.add(f"{names[calls[i].module]} {i}", sizes(reads)[0], seen))
        KeyValues(self._vectors(read, backbone), calls, chosen, gate).attach(backbone)

    def _hidden_states(self, backbone: Backbone) -> None:
        words, body = self._words(backbone), backbone.stacks()[0]
        calls = layer_calls(body, lambda: backbone.slot_logits(words))
        chosen = self._chosen(len(calls))
        first_PD = embedded(backbone, words.input_ids[0, : self.length].tolist())
        is_read = 0 not in chosen  # else the first layer would not read them, and nothing would train them
        virtual = VirtualTokens(first_PD if is_read else torch.zeros_like(first_PD), self._first)
        virtual.requires_grad_(is_read)
        virtual.attach(backbone)
        vectors = self._vectors([calls[i][1][0] for i in chosen], backbone)
        HiddenStates(vectors, virtual, [layer for layer, _ in calls], chosen).attach(backbone)

    def _vectors(self, read: Sequence[Tensor], backbone: Backbone) -> Folded:
        """[P, E]: the vectors of all layers after one another, from what layers make of words [T, ...]."""
        words_PE = torch.cat([part_TE[: self.length] for part_TE in read], 1).float()
        start_PE = words_PE.clone() if self.init == "words" else torch.randn_like(words_PE) * self.spread
        inputs_PD = torch.randn(self.length, backbone.reader.hidden_size, device=start_PE.device)
        return Folded(start_PE, encoder(self.encoder, inputs_PD, start_PE.shape[1], WIDTH))

    def _words(self, backbone: Backbone) -> Encoded:
        """A text of words that are drawn; a decoder reads one word fewer than its encoder, which tells cross-attention apart."""
        words = torch.tensor(frequent_words(backbone.reader))
        ids = words[torch.randint(len(words), (1, self.length + 1))].to(backbone.model.device)
        none = torch.zeros(1, dtype=torch.long, device=ids.device)
        is_pair = backbone.reader.kind == "seq2seq"
        return Encoded(
            ids,
            torch.ones_like(ids),
            none.view(1, 1, 1),
            none,
            none,
            decoder_input_ids=ids[:, :-1] if is_pair else None,
        )

    def _chosen(self, number: int) -> list[int]:
        """Which of a stack's layers have prompts, counted from 0."""
        if self.layers == "all":
            return list(range(number))
        if self.layers in _THIRDS:
            third = _THIRDS.index(self.layers)
            found = range(round(number * third / 3) + 1, round(number * (third + 1) / 3) + 1)
        else:
            first, _, last = self.layers.partition("-")
            found = range(int(first), int(last or first) + 1)
        if not found or found[0] < 1 or found[-1] > number:
            raise LabError(f"layers {self.layers} do not exist: the backbone has layers 1 to {number}")
        return [i - 1 for i in found]


def _vectors(backbone: Backbone) -> Folded:
    found = backbone.deep_prompt
    assert isinstance(found, KeyValues | HiddenStates)
    return found.vectors
