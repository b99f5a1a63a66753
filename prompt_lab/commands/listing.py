"""`prompt-lab list`: what exists, found on disk."""

from collections.abc import Iterator

from prompt_lab import discovery
from prompt_lab.tasks import load_task

Line = tuple[str, str]


def main(what: str) -> int:
    """Print a line for each paradigm, task, backbone and so on."""
    lines = list(_templates() if what == "templates" else _entries(what))
    width = max(len(name) for name, _ in lines)
    for name, about in lines:
        print(f"{name:<{width}}  {about}")
    return 0


def _entries(what: str) -> Iterator[Line]:
    kind = what.removesuffix("s")
    for entry in discovery.entries(kind).values():
        name = entry.name.replace("_", "-") if kind == "backbone" else entry.name
        yield (f"{name} ({entry.attribute})" if kind in discovery.CLASSES else name), entry.summary
    if kind == "backbone":
        yield "<hub id>[@revision]", "Any masked, causal or seq2seq model of the Hugging Face hub."
        yield "<folder>", "A local checkpoint: config.json, a tokenizer and weights."


def _templates() -> Iterator[Line]:
    """What may stand between braces, then every task's patterns; those marked > end in their mask, so causal models can use them."""
    from prompt_lab.templates import Template
    from prompt_lab.templates.options import OPTIONS

    yield "{text_a}, {text_b}", "A field of the task; the only thing that truncation may shorten."
    for name, option in OPTIONS.items():
        yield f"{{text_a.{name}}}", (option.__doc__ or "").split("\n")[0]
    for entry in discovery.entries("slot").values():
        yield f"{{{entry.name}}}", entry.summary
    for name in discovery.entries("task"):
        task = load_task(name)
        for number, pattern in enumerate(task.templates):
            mark = ">" if Template(pattern, task.fields).ends_in_mask() else " "
            yield f"{name} {number}", f"{mark} {pattern}"
