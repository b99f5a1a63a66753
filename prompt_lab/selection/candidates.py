"""The settings that a run chooses from."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prompt_lab.errors import LabError
from prompt_lab.trees import Tree, laid_over

if TYPE_CHECKING:
    from prompt_lab.experiment import Run

_MAY_CHANGE = ("model", "trainer", "data.batch_size", "data.max_length")


def check(run: "Run") -> None:
    """Refuse candidates that nothing chooses between, and a choice without candidates.

    Raises:
        LabError: with what to change.
    """
    if run.trials < 1:
        raise LabError(f"trials is how many settings were tried, this one among them: at least 1; it was {run.trials}")
    if run.candidates and run.select == "fixed":
        raise LabError(
            "select: fixed chooses nothing, and there are candidates. Choose by dev_k, multi_split, cv or mdl, or leave them out."
        )
    if not run.candidates and run.select in ("multi_split", "cv", "mdl"):
        raise LabError(
            f"select: {run.select} chooses between candidates, and there are none. Give some, or use select: fixed or dev_k."
        )
    if run.parts < 2:
        raise LabError(f"parts is how many folds, blocks or splits there are: at least 2; it was {run.parts}")


def trees(everything: Tree) -> list[Tree]:
    """All settings of each candidate.

    Raises:
        LabError: a candidate changes more than the model, the trainer, the batch size and the length.
    """
    plain = everything | {"candidates": None, "select": "fixed"}
    changes = everything.get("candidates") or []
    for number, change in enumerate(changes):
        for name in _names(change):
            if not any(name == allowed or name.startswith(f"{allowed}.") for allowed in _MAY_CHANGE):
                raise LabError(
                    f"candidate {number} changes {name}, but candidates of one run may differ in {', '.join(_MAY_CHANGE)} alone: "
                    "they learn from the same examples of the same task."
                )
    return [laid_over(plain, change) for change in changes]


def settings_of(record: Mapping[str, Any]) -> Tree:
    """All settings of what was tested, as a record holds them: those of the run with those of the chosen candidate over them."""
    config = dict(record["config"])
    number = (record.get("chosen") or {}).get("candidate")
    return config if number is None else trees(config)[number] | {"out": config["out"], "name": config["name"]}


def _names(tree: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and not above.count("."):
            yield from _names(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"
