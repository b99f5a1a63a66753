"""The rows of a comparison: one a paradigm, with its spread and its cost (PROTOCOL rules 7, 8, 10, 12)."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, stdev

from prompt_lab.reporting.comparable import Record, check, row_key
from prompt_lab.reporting.findings import Finding
from prompt_lab.reporting.selection_gap import selection_gaps
from prompt_lab.reporting.told import rank, told

Group = tuple[str, str, int | str]
"""Task, backbone and K."""
MAJORITY = "majority class"
WITHOUT = " (K = 0)"
"""What follows the name of a paradigm that also ran with examples."""


@dataclass(frozen=True)
class Row:
    """A paradigm's runs in one group, or a trivial baseline. None where there is nothing to say.

    Attributes:
        task: name of the task.
        backbone: as it was named on the command line.
        k: K of the group; a run with K = 0 stands in the groups of every K.
        metric: the score that is summed up, such as ``test/acc``.
        paradigm: name of the run, or of the trivial baseline.
        strategy: tuning strategy (Liu et al. 2021).
        shots: K of its runs: the group's, or 0.
        mean: mean score over seeds, a fraction.
        sd: sample standard deviation over seeds (ddof = 1); None for fewer than two.
        worst: the worst seed's score.
        n: number of seeds; 0 for a trivial baseline.
        collapsed: share of the seeds within two points of the majority class (numbers: of a Pearson correlation of 0).
        trained_parameters: how many numbers moved (the most of any seed).
        trained_share: how many of all that were there in training these are, a fraction (the most of any seed).
        seconds: mean wall time of a run.
        step_seconds: wall time of all fits, with what belongs to them such as validation, by optimizer step; mean of the seeds.
        peak_memory_bytes: the most that any seed needed.
        stored_bytes: size of what moved (the most of any seed).
        tokens: mean number read, training and evaluation.
        model_calls: mean number of examples read, training and evaluation.
        labels: labelled examples used: training, validation and external ones (the most of any seed).
        unlabeled: texts without labels used (the most of any seed).
        told: what the runs were told, such as ``labels + unlabelled texts``.
        selection_gap: how much more the same candidates score when the test chooses; None where no oracle was run.
        scores: each seed's score, in the order of the seeds.
        found: what statistics say of it, where they were asked.
    """

    task: str
    backbone: str
    k: int | str
    metric: str
    paradigm: str
    strategy: str | None
    shots: int | str | None
    mean: float | None
    sd: float | None = None
    worst: float | None = None
    n: int = 0
    collapsed: float | None = None
    trained_parameters: int | None = None
    trained_share: float | None = None
    seconds: float | None = None
    step_seconds: float | None = None
    peak_memory_bytes: int | None = None
    stored_bytes: int | None = None
    tokens: float | None = None
    model_calls: float | None = None
    labels: int | None = None
    unlabeled: int | None = None
    told: str | None = None
    selection_gap: float | None = None
    scores: tuple[float, ...] = ()
    found: Finding | None = None

    @property
    def group(self) -> Group:
        """Task, backbone and K."""
        return self.task, self.backbone, self.k

    @property
    def title(self) -> str:
        """The group, as a heading."""
        return f"{self.task} · {self.backbone} · K = {self.k}"

    def holds(self, record: Record) -> bool:
        """Whether a run is one of the row's."""
        name = self.paradigm if self.shots != 0 else self.paradigm.removesuffix(WITHOUT)
        return self.n > 0 and row_key(record) == (self.task, self.backbone, self.shots, name)


def rows(records: Iterable[Record]) -> list[Row]:
    """One row a paradigm and group, the groups by task, backbone and K.

    Within a group the baselines come first (majority class, random, then runs with K = 0), then the paradigms by what they were
    told, and of those that were told the same the one with the highest mean first. The order is for reading; it does not say that a
    difference is real.

    Raises:
        LabError: the records cannot be compared (see ``comparable.check``).
    """
    records = list(records)
    check(records)
    gaps = selection_gaps(records)
    return [row for group in _groups(records) for row in _rows_of(group, records, gaps)]


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows, cut where the group changes."""
    return [list(part) for _, part in groupby(rows, lambda row: row.group)]


def sections(part: Sequence[Row]) -> list[tuple[str | None, list[Row]]]:
    """A group's rows, cut where another thing was told: None before the trivial baselines."""
    return [(name, list(rows)) for name, rows in groupby(part, lambda row: row.told)]


def _groups(records: Sequence[Record]) -> list[Group]:
    """K = 0 is a group of its own only where a task and backbone have no other."""
    found: set[Group] = {(r["task"], r["backbone"], r["k"]) for r in records}
    shot = {group[:2] for group in found if group[2] != 0}
    return sorted(
        (group for group in found if group[2] != 0 or group[:2] not in shot),
        key=lambda group: (*group[:2], isinstance(group[2], str), group[2]),  # ``full`` after every number
    )


def _rows_of(group: Group, records: Sequence[Record], gaps: Mapping[Hashable, float]) -> list[Row]:
    task, backbone, k = group
    here = [r for r in records if (r["task"], r["backbone"]) == (task, backbone) and r["k"] in (0, k)]
    with_examples = {r["paradigm"] for r in here if r["k"] != 0}
    by_row: dict[Hashable, list[Record]] = {}
    for record in here:
        by_row.setdefault(row_key(record), []).append(record)
    made = [_row(group, seeds, with_examples, gaps.get(row)) for row, seeds in by_row.items()]
    made.sort(key=lambda row: (row.shots != 0, rank(row.told or ""), -(row.mean or 0.0), row.paradigm))
    return [*_trivial(group, here[0]), *made]


def _row(group: Group, seeds: Sequence[Record], with_examples: set[str], gap: float | None) -> Row:
    name, shots = seeds[0]["paradigm"], seeds[0]["k"]
    if shots == 0 and name in with_examples:
        name = f"{name}{WITHOUT}"  # it also ran with examples: two rows need two names
    seeds = sorted(seeds, key=lambda r: r["split_seed"])
    scores = tuple(r["scores"][r["metric"]] for r in seeds)
    costs, budgets = [r["cost"] for r in seeds], [r["budget"] for r in seeds]
    return Row(
        *group,
        metric=seeds[0]["metric"],
        paradigm=name,
        shots=shots,
        strategy=seeds[0]["strategy"],
        mean=fmean(scores),
        sd=stdev(scores) if len(scores) > 1 else None,
        worst=min(scores),
        n=len(scores),
        collapsed=fmean(bool(r["collapsed"]) for r in seeds),
        trained_parameters=max(c["trained_parameters"] for c in costs),
        trained_share=max(map(_share, costs)),
        seconds=fmean(c["seconds"]["total"] for c in costs),
        step_seconds=fmean(c["seconds"]["fit"] / c["steps"] for c in costs) if all(c["steps"] for c in costs) else None,
        peak_memory_bytes=max(c["peak_memory_bytes"] for c in costs),
        stored_bytes=max(c["stored_bytes"] for c in costs),
        tokens=fmean(sum(c["tokens"].values()) for c in costs),
        model_calls=fmean(c["model_calls"] for c in costs),
        labels=max(b["labels_train"] + b["labels_validation"] + b["external_labels"] for b in budgets),
        unlabeled=max(b["unlabeled_texts"] for b in budgets),
        told=told(seeds),
        selection_gap=gap,
        scores=scores,
    )


def _share(cost: Record) -> float:
    """Of the parameters in training, as a tree shows them; records made before that was counted hold what was left of them."""
    total = cost.get("parameters", {}).get("total", cost["total_parameters"])
    return cost["trained_parameters"] / total if total else 0.0


def _trivial(group: Group, record: Record) -> list[Row]:
    """What guessing scores: accuracy as recorded, every correlation 0, and the macro F1 of naming one label always.

    That label, of share p, has precision p and recall 1, so F1 = 2p / (1 + p); the other C - 1 labels have 0. The F1 of
    one label, and the macro F1 of chance, do not follow from the record: None.
    """
    metric, majority, chance = record["metric"], record["trivial"]["majority"], record["trivial"]["random"]
    known = {
        "test/acc": (majority, chance),
        **dict.fromkeys(("test/mcc", "test/pearson", "test/spearman"), (0.0, 0.0)),
        "test/f1_macro": (2 * majority / (1 + majority) * chance, None),
    }
    named = zip((MAJORITY, "random"), known.get(metric, (None, None)), strict=True)
    return [Row(*group, metric, paradigm=name, strategy=None, shots=None, mean=mean) for name, mean in named]
