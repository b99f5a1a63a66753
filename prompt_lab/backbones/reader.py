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
    def first_virtual(self) -> int:
        """The id of the first virtual token: those of the vocabulary end below it."""
        return max(int(getattr(self.config, "vocab_size", 0) or 0), len(self.tokenizer))

    def virtual_ids(self, template: Template) -> list[Word]:
        """The ids of the virtual tokens of each soft slot of a template: they go on where the vocabulary ends."""
        found, at = [], self.first_virtual
        for begins in self.virtual_starts(template):
            found.append(tuple(range(at, at + len(begins))))
            at += len(begins)
        return found

    def virtual_starts(self, template: Template) -> list[tuple[int | None, ...]]:
        """For each soft slot of a template the token that each of its virtual tokens begins as; None for one that begins as no word.

        Raises:
            LabError: the tokenizer does not have a word.
        """
        return [self.word_ids(v.words, v.before) if v.words else (None,) * v.length for v in template.virtual]

    def names(self, ids: Sequence[int]) -> list[str]:
        """Tokens as people read them; virtual ones by their number."""
        last = self.first_virtual - 1
        plain = self.tokenizer.convert_ids_to_tokens([min(i, last) for i in ids])
        return [f"<soft {i - last - 1}>" if i > last else token for i, token in zip(ids, plain, strict=True)]

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
                f"the word {word!r} vanishes in the tokenizer of {self.name!r}: it becomes {pieces}. "
                "Choose a word of its vocabulary, or another backbone."
            )
        return ids

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


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
