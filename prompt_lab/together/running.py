"""Runs several experiments side by side, each in a thread of its own."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from prompt_lab import running
from prompt_lab.experiment import Experiment
from prompt_lab.progress import Bars
from prompt_lab.together.meeting import Meeting, Member
from prompt_lab.together.rows import MOST
from prompt_lab.trainer import quiet


def execute(experiments: Sequence[Experiment], bars: Bars, most: float = MOST) -> list[dict[str, Any] | Exception]:
    """Run experiments whose backbones differ in what is trained alone, with one pass through the backbone for all.

    Args:
        experiments: not prepared yet; one process and one device each.
        bars: where progress is shown: that of the first.
        most: the largest share of the backbone that may be trained for the runs to read at once.

    Returns:
        The record of each, or what it failed with.

    Raises:
        KeyboardInterrupt: it was stopped; every run has ended, unfinished.
    """
    meeting = Meeting(len(experiments), most)

    def one(member: Member, experiment: Experiment, bars: Bars) -> dict[str, Any]:
        with member.present():
            return running.execute(experiment, bars, beside=member)

    shown = [bars, *(bars.silent() for _ in experiments[1:])]
    with quiet(), ThreadPoolExecutor(len(experiments)) as pool:
        futures = [pool.submit(one, *each) for each in zip(meeting.members, experiments, shown, strict=True)]
        try:
            wait(futures)
        except KeyboardInterrupt:
            meeting.stop()
            wait(futures)
            raise
    return [_outcome(future) for future in futures]


def _outcome(future: Future[dict[str, Any]]) -> dict[str, Any] | Exception:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Exception):
        return error
    raise error
