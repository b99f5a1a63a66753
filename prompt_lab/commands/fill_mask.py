"""`prompt-lab fill-mask`: the words that a backbone finds most probable in the gap of a text."""

import argparse

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prompt_lab.backbones.load import load_backbone, load_reader
from prompt_lab.filling import fill, find_gap


def main(options: argparse.Namespace) -> int:
    """Print the top words with their probabilities, and the text with the first of them in its gap."""
    reader = load_reader(options.backbone)
    gap = find_gap(reader, options.text, options.top)
    words = fill(load_backbone(options.backbone), options.text, options.top)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for justify in ("right", "left", "right"):
        table.add_column(justify=justify)
    for rank, filled in enumerate(words, 1):
        split = [Text(f"({' '.join(filled.tokens)})", "dim")] if len(filled.tokens) > 1 else []
        table.add_row(str(rank), Text(filled.word), f"{filled.probability:.2%}", *split)
    console = Console(highlight=False)
    console.print(f"{options.backbone} ({reader.kind})", markup=False)
    console.print(table)
    if words:
        console.print(f"\n{gap.filled(words[0].word)}", markup=False, soft_wrap=True)
    return 0
