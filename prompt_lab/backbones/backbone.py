"""One interface over masked, causal and seq2seq models: hidden states, and logits at the answer slots alone."""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prompt_lab.backbones.eight_bits import to_eight_bits
from prompt_lab.backbones.front import LEAST, shared
from prompt_lab.backbones.memory import Memory
from prompt_lab.backbones.quick import forget, quick
from prompt_lab.backbones.reader import Reader
from prompt_lab.backbones.standing import standing_in
from prompt_lab.backbones.tail import at, cut, tail
from prompt_lab.backbones.vocabulary import cross_entropy
from prompt_lab.batch import Encoded, Inputs
from prompt_lab.errors import LabError
from prompt_lab.folding import EACH

FrozenWeights = Literal["float32", "bfloat16", "int8"]
"""How matrices that are not trained are kept in memory."""


class Company(Protocol):
    """Other runs that a backbone reads together with: it asks them instead of reading by itself."""

    def hidden(self, batch: Inputs) -> Tensor:
        """As ``Backbone.hidden``."""

    def slot_logits(self, batch: Encoded, tokens: Tensor | None) -> Tensor:
        """As ``Backbone.slot_logits``."""

    def back(self, loss: Tensor) -> None:
        """Gradients of a loss over what they read together."""


class _Computed:
    """Stands for a body's output: hidden states that are there already, and None for all else that a head may ask for."""

    def __init__(self, hidden: Tensor) -> None:
        self.last_hidden_state = hidden

    def __getitem__(self, index: int) -> Tensor:
        return (self.last_hidden_state,)[index]

    def __getattr__(self, name: str) -> None:
        return None


class Backbone(nn.Module):
    """A pretrained model behind its reader.

    Args:
        model: a Hugging Face model with a language-model head.
        reader: how it reads.
        missing: names of parameters that the checkpoint did not hold. Without its language-model head a backbone can be
            fine-tuned, but not prompted.
    """

    def __init__(self, model: Any, reader: Reader, missing: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.model = model
        self.reader = reader
        self.missing = missing
        self._origin: list[Self] = []  # in a list, or it would be a part of this module
        self._beside: list[tuple[nn.Module, nn.Module]] = []
        self.company: Company | None = None
        self.recomputes = self.is_sharded = False
        self._memory: Memory | None = None

    def fresh(self) -> Self:
        """A copy with weights of its own, so that what one experiment does to it is not there for the next."""
        return self._copied({})

    def twin(self) -> Self:
        """A copy that shares this one's weights, so that what is put on one of them is not there for the other.

        A parameter that is to change needs storage of its own first, or it would change for all.
        """
        parameters = {id(p): nn.Parameter(p.data, p.requires_grad) for p in self.parameters()}
        return self._copied(parameters | {id(b): b.detach() for b in self.buffers()})

    def _copied(self, known: dict[int, Any]) -> Self:
        """A copy in which what is known, by its id, is what stands for it there."""
        reader, origin, company, memory = self.reader, self._origin, self.company, self._memory
        # shared, or this one's alone
        self.reader, self._origin, self.company, self._memory = None, [], None, None  # type: ignore[assignment]
        try:
            twin = copy.deepcopy(self, known)
        finally:
            self.reader, self._origin, self.company, self._memory = reader, origin, company, memory
        twin.reader, twin._origin = reader, origin or [self]
        return twin

    def original(self) -> Self:
        """A copy of the backbone that this one is a copy of, whatever has been done to this one since."""
        return (self._origin or [self])[0].fresh()

    @property
    def pretrained(self) -> frozenset[str]:
        """Names of the parameters of the backbone that this one is a copy of, whatever has been done to this one since."""
        original = self._origin[0] if self._origin else self
        return frozenset(name for name, _ in original.named_parameters())

    @property
    def memory(self) -> Memory:
        """What its frozen layers have made of texts."""
        if self._memory is None:
            self._memory = Memory(self)
        return self._memory

    def recompute(self) -> None:
        """Keep no hidden states inside layers for the way back, but compute them again there (Chen et al. 2016).

        Raises:
            LabError: the model cannot.
        """
        if not getattr(self.model, "supports_gradient_checkpointing", False):
            raise LabError(f"{type(self.model).__name__} does not support gradient checkpointing; leave it out")
        newer = getattr(self.model, "activation_checkpointing_enable", None)
        (newer or self.model.gradient_checkpointing_enable)({"use_reentrant": False})
        self.recomputes = True

    def keep_frozen(self, weights: FrozenWeights) -> None:
        """How matrices that are not trained are kept.

        Args:
            weights: ``float32``, as they are; ``bfloat16``, which mixed precision computes with anyway, in half the memory; ``int8``,
                those of linear layers in a quarter of it (see ``eight_bits``), and all else in bfloat16.

        Raises:
            LabError: the library for eight bits is not installed.
        """
        if weights == "float32":
            return
        if weights == "int8":
            to_eight_bits(self.bodies())
        for parameter in self.parameters():
            if not parameter.requires_grad and parameter.ndim > 1 and parameter.dtype == torch.float32:
                parameter.data = parameter.data.bfloat16()

    def train(self, mode: bool = True) -> Self:
        """Train or not; between the two, weights may have been changed by hand."""
        forget()
        if self._memory is not None:
            self._memory.look_again()
        super().train(mode)
        self.recomputes = any(getattr(layer, "gradient_checkpointing", False) for layer in self.model.modules())
        if self.recomputes:
            from transformers.modeling_layers import GradientCheckpointingLayer

            for layer in self.model.modules():
                if isinstance(layer, GradientCheckpointingLayer):
                    layer.training = (
                        True  # transformers asks this, and not whether there are gradients; its parts stay as they are
                    )
        return self

    def require_head(self) -> None:
        """Raise LabError if the language-model head was not in the checkpoint and would answer at random."""
        if self.missing:
            raise LabError(
                f"backbone {self.reader.name!r} comes without a language-model head ({', '.join(self.missing[:3])} … are not in its "
                "checkpoint), so prompting it would read random numbers. Use a checkpoint with its head, or a paradigm with a "
                "classification head such as fine_tuning."
            )

    def freeze_head(self) -> None:
        """Freeze all that ``hidden`` does not run: a language-model head that no answer reads, a decoder beside its encoder.

        Word embeddings that the head shares keep moving.
        """
        for parameter in self.head_parameters():
            parameter.requires_grad_(False)

    def head_parameters(self) -> list[nn.Parameter]:
        """What ``hidden`` does not run: the language-model head without the word embeddings it shares, a decoder."""
        read = {id(p) for p in self._body().parameters()}
        layers = {id(m) for m in self._body().modules()}
        beside = [p for layer, added in self._beside if id(layer) not in layers for p in added.parameters()]
        return [p for p in self.model.parameters() if id(p) not in read] + beside

    def put_beside(self, layer: nn.Module, added: nn.Module) -> None:
        """Remember that something new runs with a layer of the model, and only with that."""
        self._beside.append((layer, added))

    def hidden(self, batch: Inputs) -> Tensor:
        """Hidden states of the last layer, without the language-model head: [B*G, T, D]. For seq2seq models, the encoder's."""
        return self.own_hidden(batch) if self.company is None else self.company.hidden(batch)

    def own_hidden(self, batch: Inputs) -> Tensor:
        """``hidden``, whatever company there is."""
        with self._quick(batch), self.memory.at_work(batch), self._front(batch):
            return self._body()(**self._inputs(batch)).last_hidden_state

    def slot_logits(self, batch: Encoded, tokens: Tensor | None = None) -> Tensor:
        """Logits at the answer slots. Only the hidden states there go through the vocabulary projection.

        Args:
            batch: with slots [B, G, N]; what is read at a slot of -1 means nothing.
            tokens: [U] the only rows of the vocabulary wanted; all of them by default.

        Returns:
            [B, G, N, U], or [B, G, N, V].
        """
        return (self.own_slot_logits if self.company is None else self.company.slot_logits)(batch, tokens)

    def own_slot_logits(self, batch: Encoded, tokens: Tensor | None = None) -> Tensor:
        """``slot_logits``, whatever company there is."""
        slots_RN = batch.slots.flatten(0, 1).clamp_min(0)
        with (
            self._vocabulary(tokens),
            self._quick(batch),
            self.memory.at_work(batch) as is_remembered,
            self._front(batch),
            self._at_slots(slots_RN, None if is_remembered or self.recomputes else self._tail()),
        ):
            logits_RNU = self.model(**self._inputs(batch), **self._decoder_inputs(batch)).logits
        if tokens is not None and logits_RNU.shape[-1] != len(tokens):
            logits_RNU = logits_RNU[..., tokens]  # the head is no plain projection, so it computed the whole vocabulary
        return logits_RNU.view(*batch.slots.shape, -1)

    def word_loss(self, hidden_MD: Tensor, target_M: Tensor) -> tuple[Tensor, Tensor]:
        """How well the language-model head says these tokens from these hidden states.

        Args:
            hidden_MD: hidden states of the last layer, as ``hidden`` gives them, at M positions; a seq2seq decoder's.
            target_M: the token at each.

        Returns:
            The mean cross-entropy (zero if M is), and [M] whether the most probable token is the target.
        """
        features_MD = self._features(hidden_MD) if self._has_projection else None
        if features_MD is not None:
            projection = self.model.get_output_embeddings()
            return cross_entropy(features_MD, projection.weight, projection.bias, target_M)
        logits_MV = self._head(hidden_MD).float()
        loss = F.cross_entropy(logits_MV, target_M) if len(target_M) else logits_MV.sum()
        return loss, logits_MV.argmax(-1) == target_M

    def _features(self, hidden_MD: Tensor) -> Tensor | None:
        """What the vocabulary projection reads; None where the head does more to its logits, such as Gemma 2's soft cap."""
        projection = self.model.get_output_embeddings()
        seen: list[tuple[Tensor, Tensor]] = []

        def first_row(features: Tensor) -> Tensor:
            row = F.linear(features[:, :1].detach(), projection.weight, projection.bias).float()
            seen.append((features, row))
            return row

        projection.forward = first_row
        try:
            logits = self._head(hidden_MD)
        finally:
            del projection.forward
        untouched = bool(seen) and logits.data_ptr() == seen[0][1].data_ptr()
        return seen[0][0][0] if untouched else None

    def _head(self, hidden_MD: Tensor) -> Tensor:
        """The language-model head alone, on hidden states [M, D] that were computed before."""
        bodies = self.bodies()
        for body in bodies:
            body.forward = lambda *_, **__: _Computed(hidden_MD[None])
        try:
            ids = torch.zeros(1, len(hidden_MD), dtype=torch.long, device=hidden_MD.device)
            return self.model(input_ids=ids).logits[0]
        finally:
            for body in bodies:
                del body.forward

    def _quick(self, batch: Inputs) -> AbstractContextManager[Any]:
        return nullcontext() if self.recomputes else quick(batch.input_ids.device)

    def _front(self, batch: Inputs) -> AbstractContextManager[None]:
        """Read once what all rows begin with, where a model can."""
        return nullcontext()

    @contextmanager
    def _at_slots(self, slots_RN: Tensor, begin: nn.Module | None) -> Iterator[None]:
        """Let the language-model head read the slots alone, and all from the beginning of the last layer's tail on."""

        def keep_slots(module: nn.Module, args: Any, output: Any) -> Any:
            output.last_hidden_state = at(slots_RN, output.last_hidden_state)
            return output

        hook = self._last_body().register_forward_hook(keep_slots) if begin is None else cut(begin, slots_RN)
        try:
            yield
        finally:
            hook.remove()

    def _tail(self) -> nn.Module | None:
        """Where the last layer begins to read every position for itself, if that is known."""
        layers = self.memory.layers
        return tail(layers[-1], self.model.config.model_type) if layers else None

    def _inputs(self, batch: Inputs) -> dict[str, Any]:
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        return inputs if batch.token_type_ids is None else inputs | {"token_type_ids": batch.token_type_ids}

    def _decoder_inputs(self, batch: Encoded) -> dict[str, Any]:
        return {}

    def embeddings(self) -> Any:
        """The word embeddings of what reads the text."""
        return self.model.get_input_embeddings()

    def bodies(self) -> list[nn.Module]:
        """All that stands before the language-model head: the body, or encoder and decoder."""
        return list(dict.fromkeys([self._body(), self._last_body()]))

    def stacks(self) -> list[nn.Module]:
        """The bodies that are no part of another: one, or encoder and decoder."""
        bodies = self.bodies()
        return [b for b in bodies if not any(b is m for other in bodies if other is not b for m in other.modules())]

    def _body(self) -> nn.Module:
        """The module that ``hidden`` runs."""
        return self.model.base_model

    def _last_body(self) -> nn.Module:
        """The module whose hidden states go into the language-model head."""
        return self.model.base_model

    @property
    def _has_projection(self) -> bool:
        """Whether the head ends in one linear layer over the vocabulary, whose rows can be computed one by one."""
        head = self.model.get_output_embeddings()
        return isinstance(head, nn.Linear) and head.out_features == self.model.config.vocab_size

    @contextmanager
    def _vocabulary(self, tokens: Tensor | None) -> Iterator[None]:
        """Let the vocabulary projection compute the rows of ``tokens`` alone."""
        if tokens is None or not self._has_projection:
            yield
            return
        head = self.model.get_output_embeddings()

        def rows(module: Any, hidden: Tensor) -> Tensor:
            bias = getattr(module, "bias", None)
            return F.linear(hidden, module.weight[tokens], None if bias is None else bias[tokens])

        def forward(hidden: Tensor) -> Tensor:
            each = getattr(head, EACH, None)
            return rows(head, hidden) if each is None else each(rows, hidden)

        with standing_in(head, "forward", forward):
            yield


class DecoderBackbone(Backbone):
    """A causal model: nothing is generated here, so keys and values are kept of text alone that all rows begin with."""

    def _front(self, batch: Inputs) -> AbstractContextManager[None]:
        """Where there are no gradients, no rows of other runs, and nothing was added that might read a row as a whole (gates do)."""
        is_apart = self.company is None and self.memory.depth <= 0 and not self.is_sharded
        if torch.is_grad_enabled() or not is_apart or not self._keeps_keys or (length := shared(batch)) < LEAST:
            return nullcontext()
        if self.pretrained != {name for name, _ in self.named_parameters()}:
            return nullcontext()
        return self.memory.front.read_once(self._last_body(), length)

    @property
    def _keeps_keys(self) -> bool:
        """Whether it has keys and values, and not states of other kinds."""
        return not getattr(self.model, "_is_stateful", False)

    def _inputs(self, batch: Inputs) -> dict[str, Any]:
        return {**super()._inputs(batch), "use_cache": False}

    def _last_body(self) -> nn.Module:
        return self.model.get_decoder()  # not always the base model: OPT's head goes past it


class Seq2SeqBackbone(Backbone):
    """An encoder-decoder: answers are read off the decoder, promptless heads off the encoder."""

    def _decoder_inputs(self, batch: Encoded) -> dict[str, Any]:
        return {"decoder_input_ids": batch.decoder_input_ids, "use_cache": False}

    def embeddings(self) -> Any:
        """The encoder's."""
        return self.model.get_encoder().get_input_embeddings()

    def _body(self) -> nn.Module:
        return self.model.get_encoder()

    def _last_body(self) -> nn.Module:
        return self.model.get_decoder()

    @contextmanager
    def _vocabulary(self, tokens: Tensor | None) -> Iterator[None]:
        # BART adds a bias over the whole vocabulary after its projection
        bias = getattr(self.model, "final_logits_bias", None)
        with super()._vocabulary(tokens):
            if bias is None or tokens is None or not self._has_projection:
                yield
                return
            self.model.final_logits_bias = bias[:, tokens]
            try:
                yield
            finally:
                self.model.final_logits_bias = bias
