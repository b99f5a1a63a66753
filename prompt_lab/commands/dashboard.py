"""`prompt-lab dashboard`: a W&B workspace and report in which the runs of a project are compared."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_lab.errors import LabError
from prompt_lab.reporting import files

if TYPE_CHECKING:
    from prompt_lab.tracking.dashboard import Part

USUAL = Path("runs")
"""The folder of results where none is named; it need not be there."""
CORRUPT = 1


def main(entity: str, project: str, runs: Path, out: Path) -> int:
    """Make both and print their links; where W&B cannot be reached, write what would have been sent and say so.

    Returns:
        0, or 1 if some run was left out because its record could not be read.

    Raises:
        LabError: there is no such folder, wandb-workspaces is not installed, or W&B refuses.
    """
    if runs != USUAL and not runs.is_dir():
        raise LabError(f"no such folder: {runs}. Name the one that was given to --out, {USUAL} by default.")
    try:
        import wandb_workspaces.workspaces  # noqa: F401
    except ImportError as error:
        raise LabError(
            "dashboards need wandb-workspaces, which is not installed: pip install 'prompt-lab[dashboard]'"
        ) from error
    from prompt_lab.tracking import dashboard

    records, problems = files.read_records_loudly(runs)
    for problem in problems:
        print(problem, file=sys.stderr)
    _make(entity, project, dashboard.parts(records), out)
    return CORRUPT if problems else 0


def _make(entity: str, project: str, found: "list[Part]", out: Path) -> None:
    from prompt_lab.tracking import account, dashboard

    if reason := account.refusal():
        made = dashboard.workspace(entity, project, found)
        files.write_json(out, dashboard.definition(made, dashboard.report(entity, project, found, linked=False)))
        print(f"nothing was sent: {reason}")
        print(f"what would have been sent is in {out}; run this again to send it")
        return
    for what, link in zip(("workspace", "report"), dashboard.publish(entity, project, found), strict=True):
        print(f"{what}: {link}")
