"""Examples made of plain texts, whose labels nobody gave: what PPT pretrains prompts on (Gu et al. 2022, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_uppercase

from prompt_lab.batch import Example
from prompt_lab.errors import LabError
from prompt_lab.pretraining.corpus import SENTENCE_END
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files

PAIR = ("{text_a} {mask}. {text_b}", "{text_a} {text_b} {mask}")
"""The pattern of a pair, and one for models that read from left to right."""
CHOICE = "{text_a}? {text_b} Answer is {mask}."
CANDIDATES = 6
"""What a question of the multiple-choice format has to choose from, in the paper."""
WORDS = 12
"""The most words of a candidate, so that all of them are read."""
GAP = (0, 2, 1)
"""How many sentences the second one of a pair lies behind the first, at least."""
RELATIONS = ("another document", "the same document", "the next sentence")


@dataclass(frozen=True)
class Pretext:
    """A task that texts set themselves.

    Attributes:
        task: its labels, label words and patterns.
        examples: one of each document at most.
    """

    task: Task
    examples: tuple[Example, ...]


def sentences(document: str) -> list[str]:
    """The sentences of a document; of one with a single sentence its two halves."""
    found = [s.strip() for s in SENTENCE_END.split(document) if s.strip()]
    if len(found) != 1:
        return found
    words = found[0].split()
    return [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])] if len(words) > 1 else found


def pairs(documents: Sequence[str], words: Sequence[str], seed: int) -> Pretext:
    """Sentence pairs: the next sentence, another one of the same document, or one of another document (section 3.2.1).

    Where no document has three sentences, there is no pair that is neither, and the labels are two.

    Args:
        documents: plain texts.
        words: label words of another document, the same document and the next sentence: "no", "maybe", "yes".
        seed: which sentences are drawn.
    """
    split, random = _split(documents), Random(seed)
    kinds = (2, 0, 1) if any(len(s) > 2 for s in split) else (2, 0)
    found = []
    for number, own in enumerate(split):
        kind = kinds[number % len(kinds)]
        if kind == 1 and len(own) < 3:
            kind = 2
        first = random.randrange(len(own) - GAP[kind])
        if kind == 2:
            second = own[first + 1]
        elif kind == 1:
            second = own[random.randrange(first + 2, len(own))]
        else:
            second = random.choice(_other(split, number, random))
        found.append((own[first], second, kind))
    labels = [r for i, r in enumerate(RELATIONS) if i in kinds]
    given = {RELATIONS[i]: [words[i]] for i in kinds}
    task = Task(Files(), tuple(labels), given, PAIR, ("text_a", "text_b"), name="sentence pairs")
    return Pretext(
        task, tuple(Example({"text_a": a, "text_b": b}, labels.index(RELATIONS[kind])) for a, b, kind in found)
    )


def choices(documents: Sequence[str], seed: int, number: int = CANDIDATES) -> Pretext:
    """Multiple choice: which of the sentences follows; another one is of the same document where it has a third (section 3.2.2).

    Args:
        documents: plain texts.
        seed: which sentences are drawn, and their order.
        number: of candidates.
    """
    split, random = _split(documents), Random(seed)
    found = []
    for place, own in enumerate(split):
        first = random.randrange(len(own) - 1)
        others = [s for i, s in enumerate(own) if i not in (first, first + 1)][:1]
        while len(others) < number - 1:
            others.append(random.choice(_other(split, place, random)))
        candidates = [own[first + 1], *others]
        order = random.sample(range(number), number)
        text = options([" ".join(candidates[i].split()[:WORDS]) for i in order])
        found.append(Example({"text_a": own[first], "text_b": text}, order.index(0)))
    letters = tuple(ascii_uppercase[:number])
    task = Task(Files(), letters, {c: [c] for c in letters}, (CHOICE,), ("text_a", "text_b"), name="multiple choice")
    return Pretext(task, tuple(found))


def options(texts: Sequence[str]) -> str:
    """What can be chosen from, each behind its letter: "A. sport B. politics"."""
    if len(texts) > len(ascii_uppercase):
        raise LabError(
            f"multiple choice has a letter for each of at most {len(ascii_uppercase)} labels; there are {len(texts)}"
        )
    return " ".join(f"{letter}. {text}" for letter, text in zip(ascii_uppercase, texts, strict=False))


def _split(documents: Sequence[str]) -> list[list[str]]:
    """The sentences of every document that has two or more.

    Raises:
        LabError: fewer than two documents have.
    """
    found = [s for s in map(sentences, documents) if len(s) > 1]
    if len(found) < 2:
        raise LabError(
            f"sentences that follow each other need documents of two sentences or more, and {len(found)} of {len(documents)} texts "
            "have them. Give other texts, or use format: single."
        )
    return found


def _other(split: Sequence[list[str]], number: int, random: Random) -> list[str]:
    """Another document than that."""
    other = random.randrange(len(split) - 1)
    return split[other + (other >= number)]
