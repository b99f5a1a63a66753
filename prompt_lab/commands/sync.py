"""`prompt-lab sync`: send runs that were logged offline to W&B."""

import sys
from pathlib import Path

from prompt_lab.errors import LabError
from prompt_lab.progress import Bars
from prompt_lab.tracking import account, syncing


def main(folder: Path, project: str | None, entity: str | None) -> int:
    """Upload what has not been uploaded, one run after the other; one that fails is named, and the rest goes on: 1 then.

    Raises:
        LabError: there is no such folder, or W&B cannot be reached. Nothing has been sent then.
    """
    if not folder.is_dir():
        raise LabError(f"no such folder: {folder}")
    runs = syncing.offline_runs(folder)
    waiting = [run for run in runs if not syncing.is_synced(run)]
    if not waiting:
        print(f"nothing to send: {len(runs)} offline runs below {folder}, all of them sent before")
        return 0
    if reason := account.refusal():
        raise LabError(f"nothing was sent: {reason}")
    failed, going_on = [], 0
    with Bars(len(waiting)) as bars:
        for run in waiting:
            name = run.parent.parent.relative_to(folder)
            if syncing.is_going_on(run):
                going_on += 1
                bars.say(f"{name}: still running; sent another time")
            elif (said := syncing.send(run, project, entity)) is None:
                bars.say(f"{name}: sent")
            else:
                failed.append(f"{name}: {said}")
                bars.say(f"{name}: failed")
            bars.cell_done()
    sent = len(waiting) - len(failed) - going_on
    print(f"{len(runs) - len(waiting)} sent before, {sent} sent now, {len(failed)} failed, {going_on} still running")
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0
