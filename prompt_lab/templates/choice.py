"""Which patterns a method of several patterns uses."""

from collections.abc import Sequence

from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.tasks import Task
from prompt_lab.templates.template import resolve


def chosen(patterns: Sequence[int | str] | None, task: Task, reader: Reader) -> list[str]:
    """The patterns as they are written: those that are named, or all of the task's that the backbone can read.

    Args:
        patterns: numbers of the task's patterns, or patterns; None for all that can be read.
        task: whose patterns.
        reader: of the backbone; one that reads from left to right needs patterns whose mask stands last.

    Raises:
        LabError: a pattern cannot be used or comes twice, or none is left.
    """
    if patterns is not None:
        found = [str(resolve(one, task)) for one in patterns]
        for pattern in found:
            reader.check(resolve(pattern, task))
            if found.count(pattern) > 1:
                raise LabError(f"the pattern {pattern!r} is given twice; name each once")
    else:
        found = [pattern for pattern in task.templates if _readable(pattern, task, reader)]
    if not found:
        raise LabError(
            f"no pattern to use: task {task.name!r} has {len(task.templates)}, of which {reader.name!r} reads none"
        )
    return found


def _readable(pattern: str, task: Task, reader: Reader) -> bool:
    try:
        reader.check(resolve(pattern, task))
    except LabError:
        return False
    return True
