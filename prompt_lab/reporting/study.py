"""What statistics say of every row of a comparison (PROTOCOL rules 8 and 9)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from prompt_lab.errors import LabError, unknown
from prompt_lab.reporting.columns import REFERENCE
from prompt_lab.reporting.findings import Finding
from prompt_lab.reporting.rows import Row, groups, sections
from prompt_lab.reporting.told import ORACLE

if TYPE_CHECKING:
    from prompt_lab.reporting.outcomes import Outcome
    from prompt_lab.statistics.scored import Scored

CORRELATIONS = "mcc", "pearson", "spearman"
"""Scores that go from -1 to 1; others go from 0."""


@dataclass(frozen=True)
class Study:
    """What statistics need beside records.

    Attributes:
        outcomes: what runs said of every test item.
        baseline: whom to compare with; None for fine-tuning, if it was run.
        problems: what was left out, and why.
    """

    outcomes: Sequence["Outcome"] = ()
    baseline: str | None = None
    problems: Sequence[str] = ()


def chosen_baseline(rows: Iterable[Row], asked: str | None) -> str | None:
    """Whom to compare with: who was asked for, else fine-tuning if it was run, else nobody.

    Raises:
        LabError: no row has the name that was asked for.
    """
    names = {row.paradigm for row in rows if row.n}
    if asked is not None and asked not in names:
        raise unknown("baseline", asked, names, more="It is the name of a row of the table.")
    return asked or (REFERENCE if REFERENCE in names else None)


def studied(rows: Sequence[Row], outcomes: Sequence["Outcome"], baseline: str | None) -> list[Row]:
    """The rows with their findings.

    A row has an interval if the predictions of all its runs are there. Differences are taken between such rows of one group, to the
    baseline's, and their p-values are corrected over the rows of the group (Holm 1979). A row is ahead if it was told the same as
    other rows and the verdict on each of them is ``better``, the p-values of these comparisons corrected in the same way; only the
    row with the highest mean can be. Rows that share one seed alone are tied (``verdict``), so none of them is ahead. The oracle,
    which was chosen on the test, is neither compared nor ahead.
    """
    return [row for part in groups(rows) for row in _studied(part, outcomes, baseline)]


def outcomes_of(row: Row, outcomes: Sequence["Outcome"]) -> list["Outcome"]:
    """What the runs of a row said of every test item, in the order of the seeds; nothing if one of them did not store it."""
    found = sorted((o for o in outcomes if row.holds(o.record)), key=lambda o: o.record["split_seed"])
    return found if len(found) == row.n else []


def _studied(part: Sequence[Row], outcomes: Sequence["Outcome"], baseline: str | None) -> list[Row]:
    from prompt_lab.reporting.outcomes import check_items, scored

    tests = {row.paradigm: found for row in part if row.n and (found := outcomes_of(row, outcomes))}
    if tests:
        check_items([outcome for found in tests.values() for outcome in found])
    values = {name: scored(found) for name, found in tests.items()}
    findings = {name: _interval(value, part[0].metric) for name, value in values.items()}
    ranked = {row.paradigm for row in part if row.told != ORACLE}
    if baseline in values and baseline in ranked:
        against = _against(values[baseline], {n: v for n, v in values.items() if n in ranked and n != baseline})
        findings |= {name: replace(findings[name], **more) for name, more in against.items()}
    for name in _ahead(part, values):
        findings[name] = replace(findings[name], ahead=True)
    return [replace(row, found=findings.get(row.paradigm)) for row in part]


def _interval(values: "Scored", metric: str) -> Finding:
    from prompt_lab.statistics.intervals import interval

    lowest = -1.0 if metric.rpartition("/")[2] in CORRELATIONS else 0.0
    found = interval(values, limits=(lowest, 1.0))
    return Finding(low=found.low, high=found.high, over=found.over)


def _against(baseline: "Scored", others: dict[str, "Scored"]) -> dict[str, dict[str, Any]]:
    """Each method's difference to the baseline. One that has no seed in common with it has none."""
    from prompt_lab.statistics.differences import Difference, compare
    from prompt_lab.statistics.holm import holm, verdict

    found: dict[str, Difference] = {}
    for name, values in others.items():
        try:
            found[name] = compare(values, baseline)
        except LabError:
            continue
    corrected = holm([one.p for one in found.values()])
    return {
        name: {
            "difference": one.difference,
            "difference_over": one.over,
            "p": one.p,
            "p_holm": p,
            "smallest": one.detectable,
            "verdict": verdict(one, p),
        }
        for (name, one), p in zip(found.items(), corrected, strict=True)
    }


def _ahead(part: Sequence[Row], values: dict[str, "Scored"]) -> list[str]:
    """The names of the rows that are better than all others that were told the same."""
    from prompt_lab.statistics.differences import compare
    from prompt_lab.statistics.holm import holm, verdict

    found = []
    for told, rows in sections(part):
        if told in (None, ORACLE) or len(rows) < 2 or any(row.paradigm not in values for row in rows):
            continue
        best, *others = sorted(rows, key=lambda row: -(row.mean or 0.0))
        try:
            compared = [compare(values[best.paradigm], values[other.paradigm]) for other in others]
        except LabError:  # no seed in common
            continue
        corrected = holm([one.p for one in compared])
        if all(verdict(one, p) == "better" for one, p in zip(compared, corrected, strict=True)):
            found.append(best.paradigm)
    return found
