"""Settings of engines come as text."""

from prompt_lab.errors import LabError


def number(name: str, text: str) -> float | int:
    """A number.

    Raises:
        LabError: it is none.
    """
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError as error:
        raise LabError(f"--set {name}={text}: {name} is a number") from error
