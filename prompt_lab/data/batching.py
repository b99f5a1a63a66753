"""What the data modules share: sizes that make no sense are refused, and every pass or step has a seed of its own."""

from prompt_lab.errors import LabError


def refuse_below_one(**given: int | None) -> None:
    """Raise LabError for a setting of the data module that is given and below 1."""
    for name, value in given.items():
        if value is not None and value < 1:
            raise LabError(f"data.{name} must be at least 1; it was {value}")


def refuse_uneven(batch_size: int, devices: int, parts: int = 1) -> None:
    """Raise LabError for a batch, over all devices together, that these cannot share evenly, or whose shares have no such parts."""
    if batch_size % (devices * parts) and parts > 1:
        raise LabError(
            f"data.batch_size is {batch_size}, which {devices} devices cannot read in {parts} parts each. Choose a multiple of "
            f"{devices * parts}, or fewer micro_batches."
        )
    if batch_size % devices:
        raise LabError(
            f"data.batch_size is {batch_size}, over all devices together, which {devices} devices cannot share evenly. "
            "Choose a multiple of their number."
        )


def mixed(seed: int, number: int) -> int:
    """The seed of a numbered pass or step: another one for every seed and number below a million."""
    return seed * 1_000_003 + number
