"""Which training example of each label is shown beside a text: a pure function of a seed, a turn and the text."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from functools import cached_property

from torch import Tensor

from prompt_lab.batch import Example
from prompt_lab.demonstrations.embedding import embed
from prompt_lab.demonstrations.settings import Demonstrations

_AT_ONCE = 512
"""Texts that are compared with the examples at once."""


class Choice:
    """Draws one example of each label (Gao et al. 2021, sections 6.1 and 6.2), never the text itself.

    The place of a text in its batch or split, and the order of the examples, change nothing. Similarities are rounded to four
    decimals, and equals ordered by a hash of their texts, so that a GPU and a CPU choose alike but for the rarest of cases.

    Args:
        settings: how they are chosen.
        shown: the examples that may be shown; those without a label are not.
        labels: the number of labels.
        seed: any integer.
    """

    def __init__(self, settings: Demonstrations, shown: Sequence[Example], labels: int, seed: int) -> None:
        self._settings, self._shown, self._seed = settings, shown, seed
        # a text that stands there twice under one label is one candidate
        once = [{e.key: i for i, e in enumerate(shown) if e.label == label} for label in range(labels)]
        self._own = [[i for _, i in sorted(found.items())] for found in once]
        self._place = [{key: place for place, key in enumerate(sorted(found))} for found in once]

    @property
    def labels(self) -> int:
        """The labels that have an example."""
        return sum(map(bool, self._own))

    @property
    def sets(self) -> int:
        """How many sets to average over: as many as are set, but one if there is only one to draw."""
        return self._settings.sets if any(self._candidates(len(own)) > 1 for own in self._own) else 1

    def draws(self, asked: Sequence[Example], turns: Sequence[str]) -> list[list[tuple[int, ...]]]:
        """For each text, and each turn, the numbers of the examples to show, one of each label in the order of the labels.

        A label whose only example is the text itself is left out: it could only show the answer.

        Args:
            asked: the texts that demonstrations are shown beside.
            turns: names of the draws, such as a pass or a set; other names give other draws.
        """
        return [
            [tuple(i for i in (self._drawn(e, turn, c, ranks) for c in range(len(self._own))) if i >= 0) for turn in turns]
            for e, ranks in zip(asked, self._ranks(asked), strict=True)
        ]  # fmt: skip

    def _drawn(self, asked: Example, turn: str, label: int, ranks: Sequence[Sequence[int]]) -> int:
        """The number of an example; -1 where there is none."""
        own, itself = self._own[label], self._place[label].get(asked.key)
        candidates = self._candidates(len(own) - (itself is not None))
        if not candidates:
            return -1
        digest = hashlib.sha256(f"{self._seed}\n{turn}\n{asked.key}\n{label}".encode()).digest()
        rank = int.from_bytes(digest[:8], "big") % candidates
        if ranks:
            return own[ranks[label][rank]]
        return own[rank + (itself is not None and rank >= itself)]

    def _candidates(self, others: int) -> int:
        """Of so many other examples of a label, how many may be drawn."""
        share = self._settings.share if self._settings.select == "similar" else 1
        return math.ceil(share * others - 1e-9)  # 0.28 * 25 is a little more than 7

    def _ranks(self, asked: Sequence[Example]) -> Iterator[list[list[int]]]:
        """For each text and label the places of the label's examples, the most similar first; nothing where all are alike."""
        if self._settings.select == "random":
            yield from ([] for _ in asked)
            return
        for start in range(0, len(asked), _AT_ONCE):
            part = asked[start : start + _AT_ONCE]
            vector_ND = embed([_text(e) for e in part], self._settings.embedder)
            by_label = [self._ranked(part, vector_ND, label) for label in range(len(self._own))]
            yield from ([ranked[i] for ranked in by_label] for i in range(len(part)))

    def _ranked(self, asked: Sequence[Example], vector_ND: Tensor, label: int) -> list[list[int]]:
        if not self._own[label]:
            return [[] for _ in asked]
        similar_NE = (vector_ND @ self._vectors[label].T).round(decimals=4)
        for n, example in enumerate(asked):
            if (itself := self._place[label].get(example.key)) is not None:
                similar_NE[n, itself] = -math.inf
        order_NE = similar_NE.sort(dim=1, descending=True, stable=True).indices
        return order_NE[:, : self._candidates(len(self._own[label]))].tolist()

    @cached_property
    def _vectors(self) -> dict[int, Tensor]:
        """Of the examples of each label that has some [E, D]."""
        found = {label: [_text(self._shown[i]) for i in own] for label, own in enumerate(self._own) if own}
        return {label: embed(texts, self._settings.embedder) for label, texts in found.items()}


def _text(example: Example) -> str:
    """What is compared: all fields, as LM-BFF joins them."""
    return " ".join(example.fields.values())
