"""The card that lies beside a delta: what it was made from, how, and how well it does."""

import json
from collections.abc import Mapping
from typing import Any


def text(record: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    scores = record["scores"]
    lines = [
        f"# {record['task']}",
        "",
        f"A delta on top of the backbone `{record['backbone']}` (`{record['backbone_revision']}`), made by `prompt-lab pretrain`.",
        f"`delta.safetensors`, {record['learnt_parameters']:,} parameters, {record['cost']['stored_bytes'] / 1e6:.1f} MB. "
        f"Licence: {record['licence']}.",
        "",
        "## Scores",
        "",
        "On held-out documents, and of a prompt without training on development examples (never a test):",
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {name} | {value:.4g} |" for name, value in scores.items()),
        "",
        "## Corpus",
        "",
        "| texts | licence | documents | held out | left out (test texts) | repeated |",
        "|---|---|---|---|---|---|",
        *(
            f"| {c['texts']} | {c['licence']} | {c['documents']:,} | {c['held_out']:,} | {c['left_out']:,} | {c['repeated']:,} |"
            for c in record["corpus"]
        ),
        "",
        f"{record['corpus_tokens']:,} tokens to learn from.",
        "",
        "## Training",
        "",
        f"{record['steps']:,} steps, {record['tokens_read']:,} tokens read, seed {record['seed']}, tuning {record['tuning']}, "
        f"{record['cost']['seconds']['fit'] / 60:.0f} minutes in the last process, on {record['environment']['device']}.",
        "",
        "```yaml",
        *(json.dumps(o) for o in record["objectives"]),
        "```",
        "",
        f"Made at commit {record['environment']['commit']} with torch {record['environment']['packages']['torch']} and "
        f"transformers {record['environment']['packages']['transformers']}; every setting is in `pretraining.json`.",
    ]
    return "\n".join(lines) + "\n"
