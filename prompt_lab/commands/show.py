"""`prompt-lab show`: what a model really reads, token by token, and how its tokenizer splits the label words."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from prompt_lab.answers.words import Words
from prompt_lab.backbones.load import load_reader
from prompt_lab.batch import Example
from prompt_lab.data.encoding import Encoder
from prompt_lab.data.reading import read
from prompt_lab.tasks import load_task
from prompt_lab.tasks.files import Files
from prompt_lab.tasks.poles import value
from prompt_lab.templates import resolve

EXAMPLES = 3
CUT_SHOWN = 3
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
    for example in _spread(splits["test"]):
        tokens = encoder.trace(example)
        cut = sum(mark == "cut" for _, mark in tokens)
        label = task.labels[example.label or 0]
        said = label if task.bounds is None else f"{value(example, task.bounds):g}, nearer to {label}"
        console.print(f"\n{said}, {len(tokens) - cut} tokens, {cut} cut off", markup=False)
        console.print(_line(tokens, colours=console.is_terminal), soft_wrap=not console.is_terminal)
    return 0


def _spread(examples: Sequence[Example]) -> Sequence[Example]:
    """A few examples, of different labels where there are several."""
    first = {e.label: e for e in reversed(examples)}
    return [*first.values(), *(e for e in examples if e is not first[e.label])][:EXAMPLES]


def _line(tokens: Sequence[tuple[str, str]], *, colours: bool) -> Text:
    """The tokens, marked; of a long run that is cut off only the beginning."""
    line, run = Text(), 0
    for (token, mark), (_, following) in zip(tokens, [*tokens[1:], ("", "")], strict=True):
        run = run + 1 if mark == "cut" else 0
        if run <= CUT_SHOWN:
            line.append(token if colours else WRITTEN[mark].format(token), STYLES.get(mark, ""))
            line.append(" ")
        elif following != "cut":
            line.append(f"[{run - CUT_SHOWN} more cut off] ", STYLES["cut"])
    return line
