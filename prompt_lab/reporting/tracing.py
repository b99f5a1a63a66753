"""Where a run's number came from, by parts: all from the files in its folder, without its model, its texts or its task."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prompt_lab.errors import LabError
from prompt_lab.reporting import again, files
from prompt_lab.reporting.columns import BYTES, percent, scaled
from prompt_lab.reporting.drawn_again import Drawn, drawn_again
from prompt_lab.reporting.outcomes import Outcome, labels_of, read_outcome

Record = Mapping[str, Any]
Facts = list[tuple[str, str]]
"""Names, and what is said of them; a name may be empty where the one above still holds."""
SHOWN = 3
"""Texts that are shown of those drawn."""
_LONGEST = 160
AGAIN = "to run it again"
"""The heading of the one fact that is copied rather than read."""
OTHER_OUT = "runs/again"


def trace(folder: Path) -> dict[str, Facts]:
    """The facts of a finished run, by heading.

    Args:
        folder: the run's, or the record in it.

    Raises:
        LabError: it is no finished run, or its record is corrupt. Other files that are missing or corrupt are told of as facts.
    """
    folder = folder.parent if folder.name == files.RECORD else folder
    if not (folder / files.RECORD).is_file():
        raise LabError(f"{folder} is no finished run: it holds no {files.RECORD}. Give the folder of one run.")
    record = files.read_record(folder / files.RECORD)
    outcome, problem = _outcome(folder)
    parts = {
        "score": [*_score(record), ("predictions", problem or "they give this score")],
        "data": _data(record),
        "examples drawn": _drawn(folder, record, outcome),
        "what it read": _read(record),
        "what moved": _moved(record),
        "selection": _chosen(record),
        "information budget": [(name.replace("_", " "), str(count)) for name, count in record["budget"].items()],
        "cost": _cost(record["cost"]),
        "environment": _environment(record),
        "settings given": [(name, str(value)) for name, value in again.flat(record["settings"])],
        AGAIN: [("", _command(record))],
        "files": [(p.name, scaled(p.stat().st_size, BYTES)) for p in sorted(folder.iterdir()) if _is_result(p)],
    }
    return {heading: facts for heading, facts in parts.items() if facts}


def _outcome(folder: Path) -> tuple[Outcome | None, str | None]:
    try:
        return read_outcome(folder), None
    except LabError as error:
        return None, str(error)


def _score(record: Record) -> Facts:
    metric, scores = record["metric"], record["scores"]
    here = f"{record['paradigm']} on {record['task']}, K = {record['k']}, seed {record['split_seed']}"
    validation = metric.replace("test/", "val/")
    found = [("run", here), (metric, f"{percent(scores[metric], 2)} %")]
    if validation in scores:
        found.append((validation, f"{percent(scores[validation], 2)} %"))
    others = [f"{name} {value:.4f}" for name, value in scores.items() if name not in (metric, validation)]
    collapsed = "yes" if record["collapsed"] else "no"
    return [
        *found,
        ("other scores", ", ".join(others)),
        (
            "collapsed",
            f"{collapsed}; naming the most frequent label always is right in {percent(record['trivial']['majority'])} %",
        ),
    ]


def _data(record: Record) -> Facts:
    data = record["data"]
    seeds = [f"{name} {record[f'{name}_seed']}" for name in ("split", "init", "order") if f"{name}_seed" in record]
    cleaned = ", ".join(f"{name} {count}" for name, count in (data.get("cleaned") or {}).items())
    return [
        ("task", str(record["task"])),
        ("K", str(record["k"])),
        ("seeds", ", ".join(seeds)),
        ("test", f"{data.get('test', '?')} examples, {data.get('test_fingerprint', 'no fingerprint')}"),
        *([("cleaned", cleaned)] if cleaned else []),
    ]


def _drawn(folder: Path, record: Record, outcome: Outcome | None) -> Facts:
    said = str(record["data"]["fingerprint"])
    try:
        labels = labels_of(record) if outcome is None else outcome.labels
        drawn = drawn_again(folder, labels, None if outcome is None else outcome.bounds)
    except LabError as error:
        return [("fingerprint", said), ("examples", str(error))]
    agrees = (
        "it is that of the examples in the file"
        if drawn.fingerprint == said
        else f"IT DIFFERS: the file has {drawn.fingerprint}"
    )
    found = [("fingerprint", said), ("", agrees), ("file", str(drawn.path))]
    for name, examples in (("train", drawn.train), ("validation", drawn.validation)):
        counts = ", ".join(f"{label} {count}" for label, count in drawn.counts(examples).items())
        found.append((name, f"{len(examples)}: {counts}" if examples else "none"))
    return found + _texts(drawn)


def _texts(drawn: Drawn) -> Facts:
    shown = drawn.train[:SHOWN]
    return [
        (f"text {i}", f"[{drawn.labels[e.label or 0]}] {_short(' | '.join(e.fields.values()))}  ({e.origin})")
        for i, e in enumerate(shown)
    ]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _read(record: Record) -> Facts:
    """Template and answer; label words where the settings give some, or the task still says which are its own."""
    found = [("template", str(record.get("template"))), ("answer", str(record.get("answer")))]
    model = (record.get("config") or {}).get("model") or {}
    answer = (model.get("init_args") or {}).get("answer")
    words = (answer.get("init_args") or {}).get("words") if isinstance(answer, Mapping) else None
    if record.get("answer") == "Words":
        found.append(("label words", _words(words) if words else _of_task(record)))
    return found


def _words(words: Mapping[str, Any]) -> str:
    return "; ".join(f"{label}: {w if isinstance(w, str) else ', '.join(w)}" for label, w in words.items())


def _of_task(record: Record) -> str:
    from prompt_lab.tasks import load_task

    try:
        task = load_task(str(record["settings"].get("data", {}).get("task", record["task"])))
    except LabError:
        return "the task's own"
    return f"the task's own, {_words(task.label_words)}"


def _moved(record: Record) -> Facts:
    cost = record["cost"]
    total = cost.get("parameters", {}).get("total", cost.get("total_parameters", 0))
    share = f" of {scaled(total)}, {100 * cost['trained_parameters'] / total:.3g} %" if total else ""
    return [
        ("tuning", f"{record.get('tuning')} ({record['strategy']})"),
        ("trained parameters", f"{cost['trained_parameters']:,}{share}"),
        ("backbone", str(record["backbone"])),
        ("its revision", str(record.get("backbone_revision"))),
        *(("", line) for line in record.get("method", {}).get("shown", ())[:SHOWN]),
    ]


def _chosen(record: Record) -> Facts:
    found = [("selection", str(record.get("selection"))), ("trials", str(record.get("trials", 1)))]
    chosen = record.get("chosen") or {}
    return found + [(name.replace("_", " "), _short(str(value))) for name, value in chosen.items()]


def _cost(cost: Record) -> Facts:
    seconds = dict(cost["seconds"])
    total = seconds.pop("total")
    phases = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    formats: dict[str, Callable[[Any], str]] = {
        "steps": str,
        "model_calls": lambda n: f"{n:,}",
        "flops_estimate": lambda n: f"{n:.2g}",
        "peak_memory_bytes": lambda n: scaled(n, BYTES),
        "stored_bytes": lambda n: scaled(n, BYTES),
    }
    tokens = ", ".join(f"{name} {count:,}" for name, count in cost.get("tokens", {}).items())
    known = [(name.replace("_", " "), how(cost[name])) for name, how in formats.items() if cost.get(name) is not None]
    return [("seconds", f"{total:.1f} ({phases})"), ("tokens", tokens), *known]


def _environment(record: Record) -> Facts:
    there = record.get("environment") or {}
    packages = ", ".join(f"{name} {version}" for name, version in (there.get("packages") or {}).items() if version)
    plain = [(name, str(value)) for name, value in there.items() if name != "packages" and value is not None]
    when = [(name, str(record[name])) for name in ("started", "finished") if name in record]
    return [*plain, *([("packages", packages)] if packages else []), *when]


def _command(record: Record) -> str:
    if not record.get("config"):
        return "the run was made in Python: its record holds no settings to make it from"
    return again.command(record, OTHER_OUT)


def _is_result(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")
