"""The Python file of a proposed task, with a comment on where everything comes from."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from prompt_lab.starting.language import NAMES
from prompt_lab.starting.proposal import Proposal
from prompt_lab.tasks.table import Table

_METRICS = {
    "acc": "accuracy, as the labels are about equally frequent",
    "f1_macro": "macro F1, as some labels are far more frequent than others",
}


def code(name: str, found: Proposal, folder: Path) -> str:
    """The source of the new file.

    Args:
        name: of the task.
        found: what it shall hold.
        folder: where it will lie: files below it are named from there, so that the folder can be moved; others by their whole path.
    """
    task, source = found.task, found.task.source
    assert isinstance(source, Table)
    held = (
        f"{source.test:.0%} of each label's texts, always the same ones, are held out for the test"
        if found.test is None
        else "tested on a file of its own"
    )
    paths = [Path(source.train), *([found.test] if found.test else [])]
    near = any(_is_below(path, folder) for path in paths)
    test = _literal(source.test) if found.test is None else _path(found.test, folder)
    lines = [
        f'"""{name.replace("_", " ").capitalize()}: {len(task.labels)} labels of {_said(found.data.path.name)}.',
        "",
        f"Written by `prompt-lab new task`; it is yours to change. {sum(found.findings.labels.values()):,} usable rows;",
        f"{held}.",
        '"""',
        "",
        *(["from pathlib import Path", ""] if near else []),
        "from prompt_lab.tasks import Task",
        "from prompt_lab.tasks.table import Table",
        "",
        *(["HERE = Path(__file__).parent", ""] if near else []),
        "TASK = Task(",
        "    # The file's columns, and what each is here. Rows without a label or with an empty text are left out.",
        "    source=Table(",
        f"        train={_path(Path(source.train), folder)},",
        f"        columns={{{', '.join(f'{_literal(a)}: {_literal(b)}' for a, b in source.columns.items())}}},",
        f"        test={test},",
        "    ),",
        "    # In the order of the class index.",
        *_tuple("labels", task.labels),
        "    # The words whose probability at {mask} scores a label. Each is known to the tokenizer of",
        f"    # {_said(found.backbone)}; with another backbone, look at them with `prompt-lab show`. A label may have several.",
        *_predicted(found),
        "    label_words={",
        *(f"        {_literal(n)}: ({_literal(w.word)},),  # {_said(w.source)}" for n, w in found.words.items()),
        "    },",
        f"    # {found.wording.source}.",
        "    # --model.template 0, 1 or 2 chooses; causal models can use those that end in {mask}.",
        *_tuple("templates", task.templates),
        *([] if len(task.fields) == 1 else [f"    fields=({', '.join(map(_literal, task.fields))}),"]),
        f"    metric={_literal(task.metric)},  # {_METRICS[task.metric]}",
        f"    language={_literal(task.language)},  # {NAMES[task.language]}",
        f"    citation={_literal(task.citation)},  # whose data it is: authors and year",
        ")",
    ]
    return "\n".join(lines) + "\n"


def _predicted(found: Proposal) -> list[str]:
    """A warning, as this is knowledge that the record of a run does not count."""
    if not found.texts:
        return []
    return [
        "    # Those that were predicted are the words that the backbone finds more probable at the first pattern's mask over",
        f"    # texts of the label, up to {found.texts} training texts, than over those of the others (after Gao et al. 2021, section",
        "    # 5.1, simplified). These are labels that the information budget of a run does not count.",
    ]


def _tuple(name: str, values: Sequence[str]) -> list[str]:
    return [f"    {name}=(", *(f"        {_literal(v)}," for v in values), "    ),"]


def _path(path: Path, folder: Path) -> str:
    if not _is_below(path, folder):
        return _literal(str(path.resolve()))
    return f"str(HERE / {_literal(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())})"


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _literal(value: str | float) -> str:
    """As Python writes it, in double quotes: JSON's strings are Python's."""
    return json.dumps(value, ensure_ascii=False)


def _said(text: str) -> str:
    """Text for a comment or a docstring: on one line, without what would end it."""
    return "".join(c if c.isprintable() else " " for c in text).replace("\\", "/").replace('"""', "'''")
