"""From a user's file to a task: columns, language, patterns, label words, and what is doubtful about each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prompt_lab.batch import Example
from prompt_lab.data.cleaning import clean
from prompt_lab.data.sampling import shuffled
from prompt_lab.errors import LabError
from prompt_lab.starting import columns, findings, reading, wording, words
from prompt_lab.starting.columns import Choice
from prompt_lab.starting.findings import Findings
from prompt_lab.starting.language import language
from prompt_lab.starting.wording import Wording
from prompt_lab.starting.words import Found, Known
from prompt_lab.tasks import Task
from prompt_lab.tasks.base import Metric
from prompt_lab.tasks.table import LABEL, Table
from prompt_lab.templates import Template

SHARE = 0.3
"""Of each label's texts, held out where there is no test file."""
_FIELDS = ("text_a", "text_b")
_SAMPLE = 500
_A_LABEL = 16
_UNREAD = 0.1
"""The share of unknown tokens from which on a backbone is not one for these texts."""
_UNEVEN = 3
"""How many times as large as the smallest label the largest is where accuracy says little."""


@dataclass(frozen=True)
class Proposal:
    """A task for a file, and what was found on the way.

    Attributes:
        task: as the new file will define it.
        data: the file.
        test: the test's file, if there is one.
        choice: which column is what.
        wording: the patterns and their source.
        words: a word for every label and where it comes from.
        findings: what is in the file.
        texts: how many texts of a label the backbone read to find words, at most; 0 if it was not asked.
        unsure: what a person should look at.
        examples: a text of every label.
        backbone: whose tokenizer the words were checked with.
    """

    task: Task
    data: reading.Data
    test: Path | None
    choice: Choice
    wording: Wording
    words: dict[str, Found]
    findings: Findings
    texts: int
    unsure: list[str]
    examples: dict[str, str]
    backbone: str


def propose(
    path: Path, test: Path | None, backbone: str, label: str | None = None, texts: Sequence[str] = ()
) -> Proposal:
    """Read a file and propose a task.

    Args:
        path: the file to draw training and validation examples from.
        test: a file with the same columns to test on; without one, a share of the first is held out.
        backbone: whose tokenizer must know the label words.
        label: the label's column, if it is not to be found.
        texts: the columns of texts, if they are not to be found.

    Raises:
        LabError: a file or backbone cannot be used; see ``reading.read``, ``columns.choose`` and ``words.propose``.
    """
    data = reading.read(path)
    rows = len(data.rows) + (len(reading.read(test).rows) if test else 0)
    choice = columns.choose(data, label, texts)
    fields = _FIELDS[: len(choice.texts)]
    labels = _ordered({value for value in data.values(choice.label) if value})
    given = {**dict(zip(choice.texts, fields, strict=True)), choice.label: LABEL}
    bare = Task(Table(str(path), given, str(test) if test else SHARE), labels, {}, (), fields, name=path.stem)
    splits = bare.source.read(bare)
    cleaned, removed = clean(splits, strict=False)
    seen = findings.look(labels, rows, splits, cleaned, removed)
    _refuse_lost(path, seen)
    sample = shuffled(cleaned["train"], 0)
    spoken = language(text for e in sample[:_SAMPLE] for text in e.fields.values())
    what = wording.asked(labels, len(fields), choice.label)
    ask = wording.wording(spoken, what, len(fields))
    each = _each(sample, len(labels))
    asking = _Asking(backbone, [Template(pattern, fields) for pattern in ask.patterns], each)
    proposed = words.propose(labels, asking.known(), *wording.published(spoken, what, labels), asking.predictions)
    task = replace(
        bare,
        label_words={name: (w.word,) for name, w in proposed.items()},
        templates=ask.patterns,
        metric=_metric(seen),
        language=spoken,
        citation=f"own data: {path.name}",
    )
    unsure = [*choice.notes, *asking.unread(sample[:_SAMPLE]), *_unsure(labels, spoken, what, proposed)]
    first = {name: " ".join(own[0].fields["text_a"].split()) for name, own in zip(labels, each, strict=True)}
    return Proposal(task, data, test, choice, ask, proposed, seen, asking.texts, unsure, first, backbone)


class _Asking:
    """What a backbone is asked: what its tokenizer knows, and, if it comes to that, what it says over texts.

    Args:
        backbone: its name.
        templates: the patterns; those that end in their mask are all that a causal model can use.
        each: some training texts of each label.
    """

    def __init__(self, backbone: str, templates: Sequence[Template], each: Sequence[Sequence[Example]]) -> None:
        from prompt_lab.backbones.load import load_reader

        self._backbone, self._each = backbone, each
        self._reader = load_reader(backbone)
        self._templates = [t for t in templates if self._reader.has_mask or t.ends_in_mask()]
        self.texts = 0

    def known(self) -> Known:
        """What its tokenizer makes of words at the masks."""
        return Known(self._reader, [t.before_mask() for t in self._templates])

    def unread(self, sample: Sequence[Example]) -> Iterator[str]:
        """A note if it cannot read the texts."""
        tokenizer = self._reader.tokenizer
        texts = [text for e in sample for text in e.fields.values()]
        ids = [i for row in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] for i in row]
        unknown = sum(i == tokenizer.unk_token_id for i in ids) / max(len(ids), 1)
        if unknown > _UNREAD:
            yield (
                f"backbone {self._reader.name!r} does not know {unknown:.0%} of the tokens of these texts: name one of their language "
                "with --backbone"
            )

    def predictions(self) -> words.Predictions:
        """What it says over the texts of each label."""
        from prompt_lab.starting.predicted import Predicted

        predicted = Predicted(self._backbone, self._templates[0], self._each)
        self.texts = max(map(len, self._each))
        return predicted


def _ordered(labels: set[str]) -> tuple[str, ...]:
    numbers = all(name.isdecimal() for name in labels)
    return tuple(sorted(labels, key=lambda name: (int(name) if numbers else 0, name)))


def _refuse_lost(path: Path, seen: Findings) -> None:
    for name, number in seen.drawable.items():
        if not number:
            raise LabError(
                f"{path}: no text is left to learn {name!r} from: it has {seen.labels[name]} usable rows, and those that are held out "
                "for the test, that repeat others or have two labels are not drawn. Give it more texts, or leave the label out."
            )


def _each(sample: Sequence[Example], labels: int) -> list[list[Example]]:
    """Some training texts of each label."""
    from prompt_lab.starting.predicted import MOST_TEXTS

    number = max(1, min(_A_LABEL, MOST_TEXTS // labels))
    return [[e for e in sample if e.label == label][:number] for label in range(labels)]


def _metric(seen: Findings) -> Metric:
    sizes = seen.labels.values()
    return "f1_macro" if max(sizes) >= _UNEVEN * min(sizes) else "acc"


def _unsure(labels: Sequence[str], spoken: str, what: wording.Asked, proposed: dict[str, Found]) -> list[str]:
    notes = []
    if spoken == "und":
        notes.append(
            "the language is neither English nor Chinese, or cannot be told: the patterns have no words; write your own"
        )
    if what == "other":
        notes.append(
            "the labels' names do not say what is asked (sentiment, topic, relation of two texts): the patterns are general"
        )
    if all(not any(c.isalpha() for c in name) for name in labels):
        notes.append("the labels are numbers: what they mean is not known here; choose words that say it")
    if doubtful := [name for name, w in proposed.items() if not w.sure]:
        shown = ", ".join(f"{name!r}: {proposed[name].word!r}" for name in doubtful[:5])
        more = f" and {len(doubtful) - 5} more" if len(doubtful) > 5 else ""
        notes.append(f"words that may not mean their label: {shown}{more}")
    return notes
