"""New paradigms and tunings: a starting point of this folder under a name of the user's own.

The starting points are modules like any other, so that what `prompt-lab new` writes is linted, typed and tested as it stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prompt_lab import discovery
from prompt_lab.starting import names, places

_SOURCES = {"paradigm": "my_idea", "tuning": "my_tuning"}
_SETTINGS = {
    "paradigm": """\
# {title}. Only what differs from base.yaml and from the class's own defaults stands here.
model:
  class_path: {name}
""",
    "tuning": """\
# {title}, under the task's first pattern. Only what differs from base.yaml stands here.
model:
  class_path: PatternTuning
  init_args:
    template: 0
    answer: {{class_path: Words}}
    tuning: {{class_path: {name}}}
""",
}


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        files: their paths, the Python file first.
        path: by which a setting names the class: ``MyIdea`` for what is discovered, else ``my_idea.MyIdea``.
        name: of the file, without its suffix.
        checkout: the checkout whose package it became a part of, if it did.
    """

    files: Sequence[Path]
    path: str
    name: str
    checkout: Path | None


def write(kind: str, name: str, out: Path | None) -> Written:
    """Write a paradigm or a tuning.

    Inside a checkout of this repository it becomes a part of the package, with an experiment file: discovered, tested by the
    contract, named by suites. Anywhere else, or with ``out``, it is one file in the current folder, or in ``out``.

    Args:
        kind: ``paradigm`` or ``tuning``.
        name: of the file; the class is named like it.
        out: a folder.

    Raises:
        LabError: the name cannot be taken, or the folder cannot be written to.
    """
    root = places.checkout() if out is None else None
    folder = places.folder(out) if root is None else root / "prompt_lab" / discovery.FOLDERS[kind]
    yaml = None if root is None else root / "experiments" / "paradigms"
    code = Path(__file__).with_name(f"{_SOURCES[kind]}.py").read_text(encoding="utf-8")

    def paths(name: str) -> list[Path]:
        return [folder / f"{name}.py", *([] if yaml is None else [yaml / f"{name}.yaml"])]

    def taken(name: str) -> str | None:
        return next((places.shown(p) for p in paths(name) if p.exists()), None)

    names.checked(kind, name, taken, code)
    made, files = names.class_name(name), paths(name)
    title = name.replace("_", " ").capitalize()
    contents = [_renamed(kind, code, made, title)]
    if yaml is not None:
        contents.append(_SETTINGS[kind].format(title=title, name=made))
    places.write(dict(zip(files, contents, strict=True)))
    discovery.entries.cache_clear()
    return Written(files, f"{name}.{made}" if root is None else made, name, root)


def _renamed(kind: str, code: str, made: str, title: str) -> str:
    source = _SOURCES[kind]
    return code.replace(names.class_name(source), made).replace(source.replace("_", " ").capitalize(), title, 1)
