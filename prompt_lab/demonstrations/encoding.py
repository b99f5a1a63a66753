"""From an example and its demonstrations to rows of token ids."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from functools import cached_property
from itertools import chain
from typing import Any, overload

from prompt_lab.backbones.reader import Reader, Row, Text
from prompt_lab.batch import Example
from prompt_lab.data.encoded import EncodedExample, known
from prompt_lab.data.encoding import Encoder
from prompt_lab.data.sampling import fingerprint
from prompt_lab.demonstrations.choice import Choice
from prompt_lab.demonstrations.settings import Demonstrations
from prompt_lab.errors import LabError
from prompt_lab.templates import Piece, Template

Shown = list[list[int]]
"""One set of demonstrations: the tokens of each."""


class Solved(Template):
    """A pattern whose mask is filled with the word of the example's label (Gao et al. 2021, section 6.1).

    Args:
        pattern: with a mask.
        fields: the names of the task's text fields.
        words: one of each label.
    """

    def __init__(self, pattern: str, fields: Sequence[str], words: Sequence[str]) -> None:
        super().__init__(pattern, fields)
        self.words = tuple(words)

    def pieces(self, example: Example) -> list[Piece]:
        """What the model reads of a labelled example; truncation never shortens the word."""
        assert example.label is not None
        word = self.words[example.label]
        return [Piece(word) if piece.role == "mask" else piece for piece in super().pieces(example)]


class DemonstrationEncoder:
    """Puts one solved example of each label beside every text that is asked about (Gao et al. 2021, section 6.1).

    A masked or seq2seq model reads ``[CLS] asked [SEP] demonstration of label 0 [SEP] demonstration of label 1 [SEP]``. A model
    that reads from left to right is shown the demonstrations first. For evaluation an example is laid out as S sets of G rows,
    set after set; for a pass of training as one set. Every text is tokenised once, and a row put together when it is read, since
    the rows of all sets of a large test would fill the memory.

    Args:
        asked: encodes what is asked about.
        solved: the same pattern with the answer in it.
        shown: the examples that may be shown; those without a label are left out.
        settings: which are chosen, and how long they may be.
        seed: which are drawn.

    Raises:
        LabError: there is no labelled example to show, or rows could become longer than the backbone reads.
    """

    def __init__(
        self, asked: Encoder, solved: Solved, shown: Sequence[Example], settings: Demonstrations, seed: int
    ) -> None:
        self._asked, self._template, self._settings, self._seed = asked, solved, settings, seed
        self._shown = tuple(e for e in shown if e.label is not None)
        if not self._shown:
            raise LabError(
                "demonstrations are training examples, and there is none to show. Use --data.k 1 or more, or a paradigm that "
                "needs none, such as zero_shot."
            )
        self._choice = Choice(settings, self._shown, len(solved.words), seed)
        self._refuse_too_long()
        self._texts: dict[str, Text] = {}

    @property
    def reader(self) -> Reader:
        """The reading side of the backbone."""
        return self._asked.reader

    @property
    def key(self) -> tuple[Any, ...]:
        """Everything the encoding depends on but the examples."""
        chosen = (*astuple(self._settings), self._seed, fingerprint(self._shown))
        return ("demonstrations", *self._asked.key, self._template.words, *chosen)

    def encode(self, examples: Sequence[Example], *, labels: bool = True) -> list[EncodedExample]:
        """S * G rows of each example, in order."""
        turns = [f"set {number}" for number in range(self._choice.sets)]
        found = zip(examples, self._asked.texts(examples), self._choice.draws(examples, turns), strict=True)
        return [
            EncodedExample(self._rows(text, sets), *known(example, index, labels=labels))
            for index, (example, text, sets) in enumerate(found)
        ]

    def encode_pass(self, examples: Sequence[Example], number: int, seed: int) -> list[EncodedExample]:
        """G rows of each example, in order, with demonstrations drawn for this pass by the seed of the demonstrations."""
        new = [e for e in examples if e.key not in self._texts]
        self._texts.update(zip((e.key for e in new), self._asked.texts(new), strict=True))
        drawn = self._choice.draws(examples, [f"pass {number}"])
        return [
            EncodedExample(self._rows(self._texts[example.key], sets), *known(example, index, labels=True))
            for index, (example, sets) in enumerate(zip(examples, drawn, strict=True))
        ]

    def composed(self, asked: Text, demonstrations: Shown) -> list[Row]:
        """The G rows of a text beside one set of demonstrations."""
        text = self._text(asked, demonstrations)
        return [self.reader.row(text, answer) for answer in self._asked.answers]

    def _rows(self, asked: Text, sets: Sequence[tuple[int, ...]]) -> "_Rows":
        return _Rows(self, asked, [[self._solved[i] for i in drawn] for drawn in sets], len(self._asked.answers))

    def _text(self, asked: Text, demonstrations: Shown) -> Text:
        between = self._separator
        if self.reader.kind == "causal":
            front = list(chain.from_iterable([*ids, *between] for ids in demonstrations))
            return replace(asked, before=[*front, *asked.before], before_types=[*[0] * len(front), *asked.before_types])
        if not demonstrations:
            return asked
        more = list(chain.from_iterable([*between, *ids] for ids in demonstrations))
        # the first separator still belongs to what it closes, as between two segments of a template
        types = [*[asked.end_type] * len(between), *[1] * (len(more) - len(between))]
        after_types = [*asked.after_types, *types]
        return replace(asked, after=[*asked.after, *more], after_types=after_types, end_type=1)

    @property
    def _separator(self) -> list[int]:
        """One closing token, as LM-BFF puts it, where RoBERTa's own tokenizer would put two between a pair."""
        if self.reader.kind == "causal":
            return self.reader.between
        return self.reader.suffix or self.reader.between

    @cached_property
    def _solved(self) -> list[list[int]]:
        """The tokens of each example that may be shown."""
        encoder = replace(self._asked, template=self._template, plan=None)
        try:
            texts = encoder.texts(self._shown, self._settings.max_length - len(self._separator))
        except LabError as error:
            raise LabError(
                f"demonstrations.max_length is {self._settings.max_length}, too few tokens for the pattern "
                f"{str(self._template)!r} with a word at its mask. Raise it, or use a shorter pattern."
            ) from error
        return [text.before for text in texts]

    def _refuse_too_long(self) -> None:
        labels, each, limit = self._choice.labels, self._settings.max_length, self.reader.max_length
        asked = min(self._asked.max_length, limit)
        needed = asked + labels * each
        if needed > limit:
            fits = (limit - asked) // labels
            lower = f"--model.demonstrations.max_length to {fits} or " if fits > 0 else ""
            raise LabError(
                f"a text of up to {asked} tokens beside {labels} demonstrations of up to {each} may need {needed} tokens, but "
                f"{self.reader.name!r} reads {limit}. Lower {lower}--data.max_length."
            )


class _Rows(Sequence[Row]):
    """The rows of one example, put together whenever they are read."""

    def __init__(self, encoder: DemonstrationEncoder, asked: Text, sets: Sequence[Shown], answers: int) -> None:
        self._encoder, self._asked, self._sets, self._answers = encoder, asked, sets, answers

    def __len__(self) -> int:
        return len(self._sets) * self._answers

    def __iter__(self) -> Iterator[Row]:
        for demonstrations in self._sets:
            yield from self._encoder.composed(self._asked, demonstrations)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return list(self)[index]
