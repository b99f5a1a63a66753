"""From an example to rows of token ids. Only the fields are ever shortened: never the pattern or the mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prompt_lab.backbones.reader import Plan, Reader, Text, Word
from prompt_lab.batch import Example
from prompt_lab.data.encoded import EncodedExample, encoded, known
from prompt_lab.errors import LabError
from prompt_lab.templates import Piece, Template

Mark = Literal["", "mask", "cut"]


@dataclass(frozen=True)
class Encoder:
    """Encodes examples for one template, one set of answer rows and one backbone.

    Args:
        template: what the model reads.
        plan: the rows each example is laid out as; None for a template without a mask.
        reader: the backbone's tokenizer and layout.
        max_length: the most tokens a row may have; fields are shortened from their end to fit, the longest first.
    """

    template: Template
    plan: Plan | None
    reader: Reader
    max_length: int

    @property
    def key(self) -> tuple[Any, ...]:
        """Everything the encoding depends on but the examples."""
        rows = self.plan.rows if self.plan else None
        return (str(self.template), rows, self.reader.name, self.reader.revision, self.max_length)

    @property
    def answers(self) -> Sequence[Word | None]:
        """The tokens that stand at the answer in each of an example's rows; None for a template without a mask."""
        return self.plan.rows if self.plan else (None,)

    def encode(self, examples: Sequence[Example], *, labels: bool = True) -> list[EncodedExample]:
        """The rows of each example, in order.

        Args:
            examples: any number.
            labels: whether to keep their labels; test examples are encoded without.

        Raises:
            LabError: the pattern alone is longer than ``max_length``.
        """
        found = []
        for index, (example, text) in enumerate(zip(examples, self.texts(examples), strict=True)):
            rows = tuple(self.reader.row(text, a) for a in self.answers)
            found.append(EncodedExample(rows, *known(example, index, labels=labels)))
        return found

    def texts(self, examples: Sequence[Example], room: int | None = None) -> list[Text]:
        """The tokens of each example, in order, without special tokens and answer.

        Args:
            examples: any number.
            room: the most tokens of each; by default as many as leave a whole row within ``max_length``.

        Raises:
            LabError: the pattern alone is longer than that.
        """
        room = self._room(max(len(a or ()) for a in self.answers)) if room is None else room
        return [tokens.kept(tokens.cut(room, self.template)) for tokens in self._tokens(examples)]

    def encode_pass(self, examples: Sequence[Example], number: int, seed: int) -> list[EncodedExample]:
        """The same rows in every pass; kept."""
        return encoded(self, examples)

    def trace(self, example: Example) -> list[tuple[str, Mark]]:
        """What is read of an example, token by token, with what truncation cuts off; for people to look at."""
        tokens = self._tokens([example])[0]
        rows = self.plan.rows if self.plan else ((),)
        cut = tokens.cut(self._room(max(map(len, rows))), self.template)
        names = self.reader.names
        marks = [(t, "cut" if i in cut else "") for i, t in enumerate(names(tokens.ids))]
        if tokens.answer is not None:
            marks[tokens.answer : tokens.answer] = [(self.reader.mask_text or "____", "mask")]
        return [(t, "") for t in names(self.reader.prefix)] + marks + [(t, "") for t in names(self.reader.suffix)]

    def _room(self, answer: int) -> int:
        limit = min(self.max_length, self.reader.max_length)
        return limit - len(self.reader.prefix) - len(self.reader.suffix) - answer - (self.reader.kind == "seq2seq")

    def _tokens(self, examples: Sequence[Example]) -> list["_Tokens"]:
        """All examples tokenised in one call, segment by segment."""
        virtual = self.reader.virtual_ids(self.template)
        segments = [self._segments(self.template.pieces(e), virtual) for e in examples]
        texts = [s.text for example in segments for s in example]
        if not texts:
            return []
        batch = self.reader.tokenizer(
            texts,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_token_type_ids=False,
            verbose=False,  # long texts are shortened here
        )
        pairs = iter(zip(batch["input_ids"], batch["offset_mapping"], strict=True))
        return [self._joined(example, [next(pairs) for _ in example]) for example in segments]

    def _segments(self, pieces: Sequence[Piece], virtual: Sequence[Word]) -> list["_Segment"]:
        """Strings to be tokenised whole, as the model was pretrained on them, with the span of each field."""
        segments, left = [_Segment()], iter(virtual)
        for number, piece in enumerate(pieces):
            here = segments[-1]
            if piece.role == "sep":
                segments.append(_Segment(opens=True))
            elif piece.role == "soft":
                here.close()
                segments.append(_Segment(next(left), second=here.second))
            elif piece.role == "field":
                text = self.reader.plain(piece.text)
                here.text = self.reader.joined(here.text, text)
                here.spans.append((len(here.text) - len(text), len(here.text), number))
            elif piece.role == "text":
                here.text = self.reader.joined(here.text, piece.text)
            else:
                if self.template.before_mask() == " ":
                    here.text = here.text.removesuffix(" ")  # this space belongs to the answer: see Reader.word_ids
                here.has_answer = True
                if not self.reader.mask_text:
                    break  # the text of a causal model stops where the answer begins
                here.text += self.reader.mask_text
        return segments

    def _joined(self, segments: list["_Segment"], encoded: list[Any]) -> "_Tokens":
        tokens, second = _Tokens(), False
        for segment, (ids, offsets) in zip(segments, encoded, strict=True):
            if segment.opens:
                tokens.extend(self.reader.between, [-1] * len(self.reader.between), second)
            second = segment.second
            tokens.extend(segment.virtual, [-1] * len(segment.virtual), second)
            fields = [segment.field_at(start, end) for start, end in offsets]
            if segment.has_answer:
                at = ids.index(self.reader.mask_id) if self.reader.mask_text else len(ids)
                tokens.extend(ids[:at], fields[:at], second)
                tokens.answer, tokens.answer_type = len(tokens.ids), int(second)
                ids, fields = ids[at + 1 :], fields[at + 1 :]
            tokens.extend(ids, fields, second)
        tokens.end_type = int(second)
        return tokens


class _Segment:
    """A string under construction, with the spans of the fields in it.

    Args:
        virtual: virtual tokens in front of it.
        opens: whether a separator stands in front of it.
        second: whether it lies behind a separator.
    """

    def __init__(self, virtual: Word = (), *, opens: bool = False, second: bool = False) -> None:
        self.virtual, self.opens, self.second = virtual, opens, opens or second
        self.text = ""
        self.spans: list[tuple[int, int, int]] = []
        self.has_answer = False

    def close(self) -> None:
        """Leave off the pattern's space in front of a virtual token: it is there for whoever reads the pattern."""
        if not self.spans or self.spans[-1][1] < len(self.text):
            self.text = self.text.removesuffix(" ")

    def field_at(self, start: int, end: int) -> int:
        """The number of the field that a token lies in; -1 for the pattern's own tokens."""
        return next((n for a, b, n in self.spans if a <= start and end <= b and end > start), -1)


class _Tokens:
    """A tokenised example: ids, the field each belongs to, its segment, and where the answer stands, in which segment."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.fields: list[int] = []
        self.types: list[int] = []
        self.answer: int | None = None
        self.answer_type = self.end_type = 0

    def extend(self, ids: Sequence[int], fields: Sequence[int], second: bool) -> None:
        self.ids += ids
        self.fields += fields
        self.types += [int(second)] * len(ids)

    def kept(self, cut: set[int]) -> Text:
        """The text without the tokens at some positions."""
        answer = len(self.ids) if self.answer is None else self.answer
        before = [i for i in range(answer) if i not in cut]
        after = [i for i in range(answer, len(self.ids)) if i not in cut]
        ids, types = ([[column[i] for i in part] for part in (before, after)] for column in (self.ids, self.types))
        return Text(ids[0], ids[1], types[0], types[1], self.answer_type, self.end_type)

    def cut(self, room: int, template: Template) -> set[int]:
        """Positions to leave out so that ``room`` suffices: one by one from the end of whichever field is longest then."""
        places: dict[int, list[int]] = {}
        for i, f in enumerate(self.fields):
            if f >= 0:
                places.setdefault(f, []).append(i)
        shortenable = sum(map(len, places.values()))
        over = len(self.ids) - room
        if over > 0 and over >= shortenable:
            raise LabError(
                f"template {str(template)!r} leaves no room for the text: its own words take {len(self.ids) - shortenable} of "
                f"{room} tokens. Shorten it, or raise --data.max_length."
            )
        return {places[max(places, key=lambda f: len(places[f]))].pop() for _ in range(over)}
