"""When files were last written: what is remembered of their contents is read again when they change."""

from collections.abc import Iterable
from pathlib import Path

Stamps = tuple[tuple[str, int, int], ...]


def stamps(paths: Iterable[str | Path]) -> Stamps:
    """Path, time of writing and size of each file that is there; of a folder, those of its files."""
    found = [p for path in map(Path, paths) for p in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return tuple((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in found if p.is_file())
