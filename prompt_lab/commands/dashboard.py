"""`prompt-lab dashboard`: a W&B workspace and report in which the runs of a project are compared."""

from pathlib import Path

from prompt_lab.errors import LabError
from prompt_lab.reporting import files


def main(entity: str, project: str, runs: Path, out: Path) -> int:
    """Make both and print their links; where W&B cannot be reached, write what would have been sent and say so."""
    try:
        import wandb_workspaces.workspaces  # noqa: F401
    except ImportError as error:
        raise LabError(
            "dashboards need wandb-workspaces, which is not installed: pip install 'prompt-lab[dashboard]'"
        ) from error
    from prompt_lab.tracking import account, dashboard

    found = dashboard.parts(files.read_records_loudly(runs)[0])
    if reason := account.refusal():
        made = dashboard.workspace(entity, project, found)
        files.write_json(out, dashboard.definition(made, dashboard.report(entity, project, found, linked=False)))
        print(f"nothing was sent: {reason}")
        print(f"what would have been sent is in {out}; run this again to send it")
        return 0
    for what, link in zip(("workspace", "report"), dashboard.publish(entity, project, found), strict=True):
        print(f"{what}: {link}")
    return 0
