"""What a report says first: what was compared, and what came out."""

from collections import Counter
from collections.abc import Iterable, Sequence

from prompt_lab.reporting.columns import REFERENCE
from prompt_lab.reporting.comparable import Record
from prompt_lab.reporting.rows import Row


def headline(rows: Sequence[Row], records: Sequence[Record], baseline: str | None) -> list[str]:
    """A few sentences."""
    ks = sorted({r["k"] for r in records}, key=lambda k: (isinstance(k, str), k))
    lines = [
        f"{_counted(len({r['paradigm'] for r in records}), 'paradigm')} in {_counted(len(records), 'run')}: "
        f"{_named('task', (r['task'] for r in records))}; {_named('backbone', (r['backbone'] for r in records))}; "
        f"K = {', '.join(map(str, ks))}; {_named('seed', sorted({r['split_seed'] for r in records}))}; "
        f"score {', '.join(sorted({r['metric'] for r in records}))}."
    ]
    if baseline is None:
        lines.append(
            f"No baseline: no row is called {REFERENCE}, so there are no differences. Name another row with --baseline to have them."
        )
    else:
        said = Counter(row.found.verdict for row in rows if row.found and row.found.verdict)
        lines.append(
            f"Against {baseline}: {said['better']} better, {said['worse']} worse, {_counted(said['tie'], 'tie')}, over all groups."
            if said
            else f"Baseline {baseline}: there is nothing to compare it with."
        )
        without = sorted({row.title for row in rows} - {row.title for row in rows if row.paradigm == baseline})
        lines += [f"{baseline} did not run in {title}: there are no differences there." for title in without]
    ahead = [f"{row.paradigm} ({row.title}, {row.told})" for row in rows if row.found and row.found.ahead]
    lines.append(
        f"Ahead of all that were told the same: {'; '.join(ahead)}."
        if ahead
        else "Nobody is ahead of all that were told the same."
    )
    lonely = sum(1 for row in rows if row.n and row.found is None)
    if lonely:
        lines.append(
            f"{_counted(lonely, 'row')} without stored predictions of every run: no interval and no difference there."
        )
    return lines


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _named(what: str, values: Iterable[object]) -> str:
    found = list(dict.fromkeys(map(str, values)))
    return f"{what}{'' if len(found) == 1 else 's'} {', '.join(found)}"
