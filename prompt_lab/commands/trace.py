"""`prompt-lab trace`: where a number came from."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prompt_lab.reporting.tracing import AGAIN, trace


def main(folder: Path) -> int:
    """Print what a finished run's folder says of how its score came about; no model and no texts are loaded."""
    console = Console(highlight=False)
    for heading, facts in trace(folder).items():
        console.print(Text(heading, style="bold"))
        if heading == AGAIN:
            console.print(Text("  " + facts[0][1]), soft_wrap=True)
            continue
        table = Table.grid(padding=(0, 2))
        for name, value in facts:
            table.add_row("", Text(name, style="dim"), Text(value, overflow="fold"))
        console.print(table)
    return 0
