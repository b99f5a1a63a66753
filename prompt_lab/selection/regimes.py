"""Selection regimes: on which labelled examples candidates are tried, and by what they are judged (Perez, Kiela and Cho 2021)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from prompt_lab.batch import Example
from prompt_lab.data.batching import mixed
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.data.sampling import shuffled
from prompt_lab.errors import LabError

Name = Literal["fixed", "dev_k", "multi_split", "cv", "mdl", "oracle"]


@dataclass(frozen=True)
class Part:
    """One trial of a candidate.

    Attributes:
        train: what it is fitted on.
        validation: what it is judged by; the two share no example.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]


@dataclass(frozen=True)
class Regime:
    """How candidates are compared.

    Attributes:
        parts: the trials of each candidate, from the data and how many are wanted.
        by_loss: judged by log-loss (nats) alone; else by accuracy, and by log-loss where that is equal.
        keeps_best: every fit goes back to its best validated state.
        told: how many labels it reads beside those of the training examples.
        last: what the chosen candidate is fitted on and validated by at last.
    """

    parts: Callable[[FewShotData, int], list[Part]]
    by_loss: bool = False
    keeps_best: bool = False
    told: Callable[[FewShotData], int] = lambda data: len(data.drawn.validation)
    last: Callable[[FewShotData], FewShotData] = lambda data: data


def regime(name: Name) -> Regime:
    """The regime of that name.

    - ``fixed``: nothing is chosen; the last state is tested, no validation label is read.
    - ``dev_k``: the best on the K validation examples a class (LM-BFF: Gao et al. 2021, section 3).
    - ``multi_split``: training and validation examples in one, cut into random halves again and again; the best mean accuracy on the
      second halves (FewNLU: Zheng et al. 2022, section 3).
    - ``cv``: the training examples in folds, each predicted from the others; the lowest mean log-loss (Perez et al. 2021,
      section 2.2).
    - ``mdl``: the training examples in blocks, each predicted from those before it; the shortest description of their labels, the
      first block's being the same for all candidates (Perez et al. 2021, section 2.3).
    - ``oracle``: the best on the test itself. It shows what selection costs and never stands in a ranking.
    """
    return _REGIMES[name]


def _whole(data: FewShotData, number: int) -> list[Part]:
    return [Part(data.drawn.train, data.drawn.validation)]


def _halves(data: FewShotData, number: int) -> list[Part]:
    """Random halves of all labelled examples, each class cut by itself."""
    own = _classes((*data.drawn.train, *data.drawn.validation), 2)
    parts = []
    for turn in range(number):
        mixed_up = [shuffled(examples, mixed(data.seed, turn)) for examples in own]
        first = tuple(e for examples in mixed_up for e in examples[: (len(examples) + 1) // 2])
        second = tuple(e for examples in mixed_up for e in examples[(len(examples) + 1) // 2 :])
        parts.append(Part(first, second))
    return parts


def _folds(data: FewShotData, number: int) -> list[Part]:
    folds = _blocks(data, number)
    return [Part(_joined(folds[:i] + folds[i + 1 :]), fold) for i, fold in enumerate(folds)]


def _ahead(data: FewShotData, number: int) -> list[Part]:
    blocks = _blocks(data, number)
    return [Part(_joined(blocks[:i]), blocks[i]) for i in range(1, number)]


def _on_test(data: FewShotData, number: int) -> list[Part]:
    return [Part(data.drawn.train, data.sealed_test())]


def _blocks(data: FewShotData, number: int) -> list[tuple[Example, ...]]:
    """The training examples in blocks of about the same size, each with every class."""
    own = [shuffled(examples, data.seed) for examples in _classes(data.drawn.train, number)]
    return [tuple(e for examples in own for e in examples[i::number]) for i in range(number)]


def _classes(examples: Sequence[Example], least: int) -> list[list[Example]]:
    """The examples of each class.

    Raises:
        LabError: a class has fewer than ``least``.
    """
    found: dict[int | None, list[Example]] = {}
    for example in examples:
        found.setdefault(example.label, []).append(example)
    fewest = min(map(len, found.values()), default=0)
    if fewest < least:
        raise LabError(
            f"cutting the labelled examples into {least} parts needs {least} of each class, and one has {fewest}. "
            "Use a smaller --parts, a larger --data.k, or select: fixed."
        )
    return [found[label] for label in sorted(found, key=lambda label: -1 if label is None else label)]


def _joined(parts: Sequence[tuple[Example, ...]]) -> tuple[Example, ...]:
    return tuple(e for part in parts for e in part)


_REGIMES = {
    "fixed": Regime(_whole, told=lambda data: 0),
    "dev_k": Regime(_whole, keeps_best=True, last=FewShotData.choosing),
    "multi_split": Regime(_halves),
    "cv": Regime(_folds, by_loss=True, told=lambda data: 0),
    "mdl": Regime(_ahead, by_loss=True, told=lambda data: 0),
    "oracle": Regime(
        _on_test,
        keeps_best=True,
        told=lambda data: len(data.sealed_test()),
        last=lambda data: data.given(data.drawn.train, data.sealed_test()).choosing(),
    ),
}
