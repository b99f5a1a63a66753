"""`prompt-lab show`: what a model really reads, token by token, and how its tokenizer splits the label words."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from prompt_lab.answers.words import Words
from prompt_lab.backbones.load import load_reader
from prompt_lab.data.encoding import Encoder
from prompt_lab.data.few_shot import read
from prompt_lab.tasks import load_task
from prompt_lab.tasks.files import Files
from prompt_lab.templates import resolve

EXAMPLES = 3
STYLES = {"mask": "bold reverse", "cut": "strike dim"}
WRITTEN = {"": "{}", "mask": "<{}>", "cut": "-{}-"}
"""How tokens are marked where there are no colours."""


def main(options: argparse.Namespace) -> int:
    """Print the tokens of three examples, with masks and what truncation cuts off marked, and every label word's tokens."""
    task = load_task(options.task)
    template = resolve(int(options.template) if options.template.isdigit() else options.template, task)
    reader = load_reader(options.backbone)
    reader.check(template)
    answer = Words()
    if template.has_mask:
        answer.build(task, reader, template)
    encoder = Encoder(template, answer.plan, reader, options.max_length)
    splits, _ = read(options.task, Files(test=options.file) if options.file else None)
    console = Console(highlight=False)
    console.print(f"template  {template}", markup=False)
    for word, pieces in answer.pieces().items() if template.has_mask else ():
        split = "" if len(pieces) == 1 else f"  ({len(pieces)} tokens, scored together)"
        console.print(f"word      {word!r}: {' '.join(pieces)}{split}", markup=False)
    for example in splits["test"][:EXAMPLES]:
        tokens = encoder.trace(example)
        cut = sum(mark == "cut" for _, mark in tokens)
        console.print(f"\n{task.labels[example.label or 0]}, {len(tokens) - cut} tokens, {cut} cut off", markup=False)
        console.print(_line(tokens, colours=console.is_terminal))
    return 0


def _line(tokens: Sequence[tuple[str, str]], *, colours: bool) -> Text:
    line = Text()
    for token, mark in tokens:
        line.append(token if colours else WRITTEN[mark].format(token), STYLES.get(mark, ""))
        line.append(" ")
    return line
