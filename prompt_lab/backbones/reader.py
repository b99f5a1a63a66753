"""How a backbone reads: its tokenizer, its special tokens, and how an example with its answer slots becomes rows.

A reader holds no weights, so templates and label words are checked, and inputs shown, before a model is loaded.
"""

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from prompt_lab.errors import LabError
from prompt_lab.templates import Template

Kind = Literal["masked", "causal", "seq2seq"]
Word = tuple[int, ...]
SENTINEL = "<extra_id_0>"
"""T5's first gap."""


@dataclass(frozen=True)
class Row:
    """One row of a batch, not yet padded: ids, segment ids, answer slots, and the decoder's ids where there is a decoder."""

    input_ids: list[int]
    type_ids: list[int]
    slots: list[int]
    decoder_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """How label words are read off an example.

    Attributes:
        rows: for each of the example's G rows, the tokens that stand at the answer: masks for a masked model, the first
            tokens of a label word for a model that reads left to right.
        reads: for each word, where each of its tokens is scored: (row, slot, token).
    """

    rows: tuple[Word, ...]
    reads: tuple[tuple[tuple[int, int, int], ...], ...] = ()


@dataclass(frozen=True)
class Text:
    """A tokenised example: what stands before and after the answer, with the segment id of every token, of the answer, and of
    the closing tokens.
    """

    before: list[int]
    after: list[int]
    before_types: list[int]
    after_types: list[int]
    answer_type: int
    end_type: int


class Reader(ABC):
    """The reading side of a backbone.

    Args:
        tokenizer: a fast Hugging Face tokenizer (character offsets are needed to truncate fields alone).
        config: the model's configuration.
        name: the name the backbone was asked for by.
        revision: exact revision, or a hash of the weights.
    """

    kind: ClassVar[Kind]
    has_mask: ClassVar[bool]
    can_generate: ClassVar[bool]

    def __init__(self, tokenizer: Any, config: Any, name: str, revision: str = "") -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise LabError(
                f"backbone {name!r} has no fast tokenizer ({type(tokenizer).__name__}); its folder needs a tokenizer.json"
            )
        self.tokenizer = tokenizer
        self.config = config
        self.name = name
        self.revision = revision
        single = tokenizer("a", return_token_type_ids=False)["input_ids"]
        bare = tokenizer("a", add_special_tokens=False)["input_ids"]
        at = _find(bare, single)
        self.prefix, self.suffix = single[:at], single[at + len(bare) :]
        pair = tokenizer("a", "a", return_token_type_ids=False)["input_ids"]
        self.between = pair[len(self.prefix) + len(bare) : len(pair) - len(self.suffix) - len(bare)]

    @cached_property
    def mask_text(self) -> str:
        """How the answer's place is written in the text that is tokenised; empty where the text simply stops there."""
        return ""

    @cached_property
    def mask_id(self) -> int:
        """The id of ``mask_text``."""
        return int(self.tokenizer.convert_tokens_to_ids(self.mask_text))

    @cached_property
    def hidden_size(self) -> int:
        """D: the size of the last hidden states, which some OPT models project down."""
        return int(getattr(self.config, "word_embed_proj_dim", None) or self.config.hidden_size)

    @cached_property
    def max_length(self) -> int:
        """The most tokens a row may have."""
        positions = getattr(self.config, "max_position_embeddings", None) or 1_000_000
        return int(min(positions - _first_position(self.config), self.tokenizer.model_max_length))

    @cached_property
    def has_types(self) -> bool:
        """Whether the model tells two segments apart by segment ids. GPT-2 takes them too, but as if they were words."""
        segments = getattr(self.config, "type_vocab_size", 0) or 0
        return "token_type_ids" in self.tokenizer.model_input_names and segments > 1

    @cached_property
    def special_tokens(self) -> list[str]:
        """All that the tokenizer reads as one special token wherever it stands in a text; the longest first."""
        added = self.tokenizer.added_tokens_decoder.values()
        written = {t.content for t in added if t.special or t.content == SENTINEL}
        return sorted({*self.tokenizer.all_special_tokens, *written}, key=lambda t: (-len(t), t))

    @cached_property
    def _special(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.special_tokens)) or "(?!)")

    def plain(self, text: str) -> str:
        """The text with a space inside everything that would be read as a special token: "[MASK]" in a review is no mask."""
        return self._special.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def joined(self, before: str, text: str) -> str:
        """Both texts, with a space between them if they would make a special token there: "[" and "MASK]"."""
        near = len(self.special_tokens[0]) - 1 if self.special_tokens else 0
        head = before[max(0, len(before) - near) :]
        crossing = any(m.start() < len(head) < m.end() for m in self._special.finditer(head + text[:near]))
        return f"{before} {text}" if crossing else before + text

    @property
    def pad_id(self) -> int:
        """The id that fills rows up; never attended to."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else (self.tokenizer.eos_token_id or 0))

    def check(self, template: Template) -> None:
        """Raise LabError if this backbone cannot read the template."""
        written = [t for t in self.tokenizer.all_special_tokens if any(t in text for text in template.literals)]
        if written:
            raise LabError(
                f"template {str(template)!r} holds {written[0]!r}, a special token of {self.name!r}, as plain text; write {{mask}} "
                "or {sep} so that every backbone puts its own"
            )

    @abstractmethod
    def plan(self, words: Sequence[Word]) -> Plan:
        """How these label words, each a tuple of token ids, are read off an example."""

    @abstractmethod
    def row(self, text: Text, at_answer: Word | None) -> Row:
        """A whole row: special tokens, text, and the tokens at the answer (None for a text without an answer slot)."""

    def word_ids(self, word: str, before: str | None) -> Word:
        """The tokens of a label word in its place.

        Args:
            word: the label word, without surrounding spaces.
            before: the character that stands in front of the mask ("" at the start of a text, None if a field does). It decides
                whether the form with or without a leading space is right; that space belongs to the word.

        Raises:
            LabError: the tokenizer turns the word, or a part of it, into its unknown token, or into nothing.
        """
        ids: Word = ()
        for front in _fronts(before):
            context, whole = (
                self.tokenizer(text, add_special_tokens=False)["input_ids"]
                for text in (front.removesuffix(" "), front + word)
            )
            ids = tuple(whole[len(context) :])
            if whole[: len(context)] == context:
                break  # otherwise the vocabulary has a piece that joins this front and the word
        unknown = self.tokenizer.unk_token_id
        if not ids or (unknown is not None and unknown in ids):
            pieces = self.tokenizer.convert_ids_to_tokens(list(ids))
            raise LabError(
                f"the label word {word!r} vanishes in the tokenizer of {self.name!r}: it becomes {pieces}. "
                "Choose a word of its vocabulary, or another backbone."
            )
        return ids

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class MaskedReader(Reader):
    """BERT and its kin: the answer is read at masks anywhere in the text, as many as the word has tokens."""

    kind = "masked"
    has_mask = True
    can_generate = False

    @cached_property
    def mask_text(self) -> str:
        """The tokenizer's mask token."""
        if self.tokenizer.mask_token is None:
            raise LabError(f"backbone {self.name!r} was loaded as a masked model but its tokenizer has no mask token")
        return self.tokenizer.mask_token

    def plan(self, words: Sequence[Word]) -> Plan:
        """One row for each length of word; token j is scored at mask j of the row with as many masks."""
        lengths = sorted({len(w) for w in words})
        row_of = {n: g for g, n in enumerate(lengths)}
        mask = self.tokenizer.mask_token_id
        reads = tuple(tuple((row_of[len(w)], j, t) for j, t in enumerate(w)) for w in words)
        return Plan(tuple((mask,) * n for n in lengths), reads)

    def row(self, text: Text, at_answer: Word | None) -> Row:
        """[CLS] before masks after [SEP]."""
        answer = list(at_answer or ())
        ids = [*self.prefix, *text.before, *answer, *text.after, *self.suffix]
        types = [
            *[0] * len(self.prefix),
            *text.before_types,
            *[text.answer_type] * len(answer),
            *text.after_types,
            *[text.end_type] * len(self.suffix),
        ]
        start = len(self.prefix) + len(text.before)
        return Row(ids, types, list(range(start, start + len(answer))))


class LeftToRight(Reader):
    """What causal and seq2seq models share: a word is scored token by token, each after the ones before it."""

    can_generate = True

    def plan(self, words: Sequence[Word]) -> Plan:
        """One row for each word's beginning that no other word's beginning continues; slot j scores token j."""
        heads = {w[:-1] for w in words}
        rows = sorted(h for h in heads if not any(o != h and o[: len(h)] == h for o in heads))
        reads = []
        for word in words:
            g = next(g for g, row in enumerate(rows) if row[: len(word) - 1] == word[:-1])
            reads.append(tuple((g, j, t) for j, t in enumerate(word)))
        return Plan(tuple(rows), tuple(reads))


class CausalReader(LeftToRight):
    """GPT-2 and its kin: the text stops where the answer begins; what is read is what comes next."""

    kind = "causal"
    has_mask = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.suffix = []  # the text goes on
        self.between = self.between or self.tokenizer("\n", add_special_tokens=False)["input_ids"]

    def check(self, template: Template) -> None:
        """The mask must stand last; closing punctuation after it is left off."""
        super().check(template)
        if template.has_mask and not template.ends_in_mask():
            raise LabError(
                f"template {str(template)!r} has its mask inside the text, but {self.name!r} is a causal model and reads left to "
                "right: use a template that ends in {mask} (`prompt-lab list templates` shows which do), or a masked or "
                "seq2seq backbone"
            )

    def row(self, text: Text, at_answer: Word | None) -> Row:
        """The text, then the first tokens of the answer."""
        answer = list(at_answer or ())
        context = [*self.prefix, *text.before] or [self._start_id]
        ids = [*context, *answer]
        slots = [] if at_answer is None else list(range(len(context) - 1, len(ids)))
        return Row(ids, [0] * len(ids), slots)

    @property
    def _start_id(self) -> int:
        """What stands in front of the first word when there is no text at all."""
        start = self.tokenizer.bos_token_id
        return self.pad_id if start is None else int(start)


class Seq2SeqReader(LeftToRight):
    """T5 and BART: the encoder reads the text with its gap, the decoder is scored on what fills it.

    T5 (Raffel et al. 2020, section 3.1.4) answers with a sentinel and the words; BART (Lewis et al. 2020) writes the whole text
    again, so its decoder is given the text up to the mask.
    """

    kind = "seq2seq"
    has_mask = True

    @cached_property
    def mask_text(self) -> str:
        """T5's first sentinel, or the mask token."""
        if self._has_sentinel:
            return SENTINEL
        if self.tokenizer.mask_token is None:
            raise LabError(
                f"backbone {self.name!r} has neither sentinel tokens nor a mask token, so it cannot fill a gap"
            )
        return self.tokenizer.mask_token

    @cached_property
    def _has_sentinel(self) -> bool:
        return SENTINEL in self.tokenizer.get_vocab()

    def row(self, text: Text, at_answer: Word | None) -> Row:
        """Encoder: the text with its gap. Decoder: start, what comes before the answer, and the answer's first tokens."""
        answer = list(at_answer or ())
        gap = [] if at_answer is None else [self.mask_id]
        ids = [*self.prefix, *text.before, *gap, *text.after, *self.suffix]
        lead = gap if self._has_sentinel else [*self.prefix, *text.before]
        decoder = [self.config.decoder_start_token_id, *(lead if at_answer is not None else []), *answer]
        start = len(decoder) - len(answer) - 1
        slots = [] if at_answer is None else list(range(start, start + len(answer) + 1))
        return Row(ids, [0] * len(ids), slots, decoder)


def _fronts(before: str | None) -> list[str]:
    """Texts that a label word is put behind to see its tokens in place; the first one it does not merge with counts."""
    if before == "":
        return [""]
    ends = [".", ",", ")", "\n"]
    if before is None:
        return [*ends, ""]
    return [f"{c}{before}" for c in ("a", *ends)] + [""] if before.isspace() else [before, *ends, ""]


def _first_position(config: Any) -> int:
    """RoBERTa and its kin number positions from the padding id + 1 on, so they read that many tokens fewer."""
    from transformers import MODEL_MAPPING

    if type(config) not in MODEL_MAPPING:
        return 0
    found = MODEL_MAPPING[type(config)]
    module = sys.modules[(found[0] if isinstance(found, tuple) else found).__module__]
    counts = any(hasattr(part, "create_position_ids_from_input_ids") for part in (module, *vars(module).values()))
    return (config.pad_token_id or 0) + 1 if counts else 0


def _find(part: list[int], whole: list[int]) -> int:
    return next(i for i in range(len(whole)) if whole[i : i + len(part)] == part)
