"""K examples a class, drawn the same way on every machine, whatever the order of the file they come from."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from prompt_lab.batch import Example
from prompt_lab.errors import LabError

K = int | Literal["full"]
ValidationSize = Literal["k", "dev10x"]
FULL_VALIDATION = 0.1
"""Share of the training texts that validate when all are used and the source has no validation split."""


@dataclass(frozen=True)
class Draw:
    """What one experiment may learn from.

    Attributes:
        train: K examples of each class, or all.
        validation: as many, sharing no text with ``train``; never more.
        unlabeled: every other training text, without its label, in an order that does not give the label away.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    unlabeled: tuple[Example, ...]

    @property
    def fingerprint(self) -> str:
        """sha256 over the drawn texts and their labels."""
        return fingerprint(self.train, self.validation)


def fingerprint(*parts: Iterable[Example]) -> str:
    """sha256 over texts and labels of some lists of examples, as ``sha256:`` and 64 hex digits."""
    content = json.dumps([[(e.key, e.label) if e.soft is None else (e.key, e.label, e.soft) for e in p] for p in parts])
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def draw(
    pool: Sequence[Example],
    labels: Sequence[str],
    k: K,
    seed: int,
    *,
    validation_pool: Sequence[Example] | None = None,
    size: ValidationSize = "k",
) -> Draw:
    """Draw training and validation examples: a pure function of the texts, K and the seed.

    Within a class, texts are ordered by a hash of the seed and the text. Training takes the 1st, 3rd, 5th … and validation the
    2nd, 4th, 6th …, so both are nested (K = 8 lies inside K = 16) and never share a text. Where the source has a
    validation split, validation is drawn from that, and training takes the 1st, 2nd, 3rd …

    Args:
        pool: labelled training texts.
        labels: label names, for messages.
        k: examples of each class; 0 draws none, ``full`` all.
        seed: any integer; 0 is a seed like any other.
        validation_pool: the source's own validation split, if it has one.
        size: ``k`` for as many validation as training examples, ``dev10x`` for up to ten times as many.

    Raises:
        LabError: a class has too few texts, or validation would be larger than training without being named ``dev10x``.
    """
    if k != "full" and k < 0:
        raise LabError(f"k is the number of training examples of each class: 0 or more, or 'full'; it was {k}")
    split = validation_pool is not None
    if not split:  # a repeated text would come to stand on both sides
        pool = list({e.key: e for e in pool}.values())
    pool = shuffled(pool, seed)
    ordered = [_of_label(pool, c) for c in range(len(labels))]
    if k == "full":
        train, validation = _all(ordered, validation_pool)
        _refuse_larger(len(train), len(validation), size)
    else:
        per_class = k if size == "k" else 10 * k
        heads = [o if split else o[0::2] for o in ordered]
        own = shuffled(validation_pool or (), seed)
        tails = [_of_label(own, c) if split else o[1::2] for c, o in enumerate(ordered)]
        _refuse_too_few(heads, labels, k, "training", shared=not split)
        _refuse_too_few(tails, labels, k, "validation", shared=not split)
        train = [e for o in heads for e in o[:k]]
        validation = [e for o in tails for e in o[:per_class]]
    used = {e.key for e in (*train, *validation)}
    rest = tuple(Example(e.fields, None, e.origin) for e in pool if e.key not in used)
    return Draw(tuple(train), tuple(validation), rest)


def shuffled(examples: Iterable[Example], seed: int) -> list[Example]:
    """Examples in the order of a hash of the seed and their texts."""
    return sorted(examples, key=lambda e: hashlib.sha256(f"{seed}\n{e.key}".encode()).digest())


def _of_label(examples: Sequence[Example], label: int) -> list[Example]:
    return [e for e in examples if e.label == label]


def _all(
    ordered: Sequence[Sequence[Example]], validation: Sequence[Example] | None
) -> tuple[list[Example], list[Example]]:
    if validation is not None:
        return [e for o in ordered for e in o], list(validation)
    held = [{e.key for e in o[1::2][: int(FULL_VALIDATION * len(o))]} for o in ordered]
    train = [e for o, h in zip(ordered, held, strict=True) for e in o if e.key not in h]
    return train, [e for o, h in zip(ordered, held, strict=True) for e in o if e.key in h]


def _refuse_larger(train: int, validation: int, size: ValidationSize) -> None:
    if validation > train and size != "dev10x":
        raise LabError(
            f"validation has {validation} examples and training {train}: choosing on more labels than are trained on is no few-shot "
            "result (LM-BFF; Perez et al. 2021). Give a smaller validation file, or say so with --data.validation dev10x."
        )


def _refuse_too_few(
    lists: Sequence[Sequence[Example]], labels: Sequence[str], k: int, what: str, *, shared: bool
) -> None:
    sizes = {label: len(found) for label, found in zip(labels, lists, strict=True)}
    short = [label for label, n in sizes.items() if n < k]
    if short:
        least = min(sizes.values())
        why = " (half of its training texts: the other half is kept for the other purpose)" if shared else ""
        raise LabError(
            f"k={k} needs {k} {what} texts of each label, but {short[0]!r} has {sizes[short[0]]}{why}. "
            f"Use --data.k {least} or less, or --data.k full."
        )
