"""Where a suite runs: in this process, on a Ray cluster, or as jobs of SLURM."""

from collections.abc import Mapping
from typing import Literal, get_args

from prompt_lab.errors import LabError
from prompt_lab.suite import Elsewhere

Name = Literal["here", "ray", "slurm"]
NAMES: tuple[Name, ...] = get_args(Name)


def engine(name: Name, settings: Mapping[str, str]) -> Elsewhere | None:
    """Where runs go; None for this process.

    Args:
        name: of the place.
        settings: its own, by name, as text.

    Raises:
        LabError: the package that it needs is not installed, or a setting is not one of its own.
    """
    if name == "here":
        if settings:
            raise LabError(f"runs in this process take no settings with --set; given were {', '.join(settings)}")
        return None
    try:
        if name == "ray":
            from prompt_lab.engines.ray import Ray

            return Ray.of(settings)
        from prompt_lab.engines.slurm import Slurm

        return Slurm.of(settings)
    except ModuleNotFoundError as error:
        raise LabError(f"--on {name} needs the package {error.name}: pip install 'prompt-lab[cluster]'") from error
