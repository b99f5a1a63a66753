"""The command `prompt-lab`. What needs no model is answered without importing one."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prompt_lab.errors import LabError

STOPPED = 128 + signal.SIGINT


def main(words: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 if all went well, 1 if a run of a suite failed, 2 for input that cannot be used, 130 after Ctrl-C, 143 after SIGTERM.
    """
    given = list(sys.argv[1:] if words is None else words)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # my_idea.MyIdea is a file here, but the command itself lies elsewhere
    with _terminable() as terminated:
        try:
            return _run(given)
        except LabError as error:
            print(f"prompt-lab: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nprompt-lab: stopped", file=sys.stderr)
            return 128 + terminated[0] if terminated else STOPPED


def _run(given: list[str]) -> int:
    if given[:1] == ["fit"]:
        from prompt_lab.commands import fit

        return fit.main(given[1:])
    if given[:1] == ["pretrain"]:
        from prompt_lab.commands import pretrain

        return pretrain.main(given[1:])
    if given[:1] == ["predict"]:
        from prompt_lab.commands import predict

        return predict.main(given[1:])
    from prompt_lab.commands import parser

    options = parser.parser().parse_args(given)
    return options.run(options)


@contextmanager
def _terminable() -> Iterator[list[int]]:
    """Let SIGTERM, by which clusters and service managers stop a process, do what Ctrl-C does: the list then holds its number.

    Lightning alone would take note of it and, where it is predicting, go on with the next run.
    """
    seen: list[int] = []

    def stop(number: int, frame: Any) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield seen  # only the main thread may say what signals do
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
