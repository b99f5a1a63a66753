"""The three kinds of reader: masked, causal, seq2seq."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from prompt_lab.backbones.reader import SENTINEL, Plan, Reader, Row, Text, Word
from prompt_lab.errors import LabError
from prompt_lab.templates import Template


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
        said = [i for i in text.before if i < self.first_virtual]  # virtual tokens are read, not written
        lead = gap if self._has_sentinel else [*self.prefix, *said]
        decoder = [self.config.decoder_start_token_id, *(lead if at_answer is not None else []), *answer]
        start = len(decoder) - len(answer) - 1
        slots = [] if at_answer is None else list(range(start, start + len(answer) + 1))
        return Row(ids, [0] * len(ids), slots, decoder)
