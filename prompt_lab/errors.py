"""The one error that users see, and the hint that names the nearest valid word."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

SHOWN = 5
"""Problems that an error lists before it only counts."""


class LabError(ValueError):
    """Input that cannot be used. The message says what was given, what was expected and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


def unknown(kind: str, given: str, known: Iterable[str], *, more: str = "") -> LabError:
    """An error for a name that does not exist, with the names nearest to it.

    Args:
        kind: what was looked for, such as ``"task"``.
        given: the name as it was written.
        known: every name that would have worked.
        more: what else the user can do.
    """
    names = sorted(known)
    near = get_close_matches(given.lower(), names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"Known: {', '.join(names)}."
    return LabError(f"unknown {kind} {given!r}. {hint}{' ' + more if more else ''}")


def listed(what: str, problems: Sequence[str]) -> str:
    """A message that shows the first few problems and counts them all."""
    total = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    more = [f"... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return "\n  ".join([f"{what}, {total}:", *problems[:SHOWN], *more])
