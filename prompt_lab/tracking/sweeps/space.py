"""What a sweep searches: the parameters of a W&B sweep file, and the distributions that Optuna draws them from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prompt_lab.errors import LabError, unknown

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values",),
    "int_uniform": ("min", "max"),
    "uniform": ("min", "max"),
    "q_uniform": ("min", "max", "q"),
    "log_uniform": ("min", "max"),
    "log_uniform_values": ("min", "max"),
    "q_log_uniform": ("min", "max", "q"),
    "q_log_uniform_values": ("min", "max", "q"),
}
"""W&B's names of those that are searched here, and what each is told; ``q`` is 1 by default."""
DIGITS = 3
"""Numbers that are drawn have as many significant digits: what a table prints is what was run."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a sweep.

    Attributes:
        name: a setting of ``prompt-lab fit``, such as ``model.tuning.init_args.learning_rate``.
        distribution: one of ``DISTRIBUTIONS``.
        values: those of a categorical parameter, or the one of a constant.
        low: the least value.
        high: the greatest.
        q: values are multiples of it.
    """

    name: str
    distribution: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    q: float | None = None

    @property
    def is_log(self) -> bool:
        """Whether it is drawn on a logarithmic scale."""
        return "log" in self.distribution

    @property
    def short(self) -> str:
        """The last part of its name."""
        return self.name.rpartition(".")[2]

    def optuna(self) -> "BaseDistribution":
        """Optuna's distribution; of a categorical parameter, the places of the values are drawn."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.values:
            return CategoricalDistribution(range(len(self.values)))
        if self.distribution == "int_uniform":
            return IntDistribution(int(self.low), int(self.high))
        return FloatDistribution(self.low, self.high, log=self.is_log)

    def value(self, drawn: float) -> Any:
        """The setting that a draw stands for. Quantized as W&B does it: the nearest multiple of q, a whole number where q is one."""
        if self.values:
            return self.values[int(drawn)]
        if self.q is not None:
            steps = round(drawn / self.q)
            return steps * self.q if isinstance(self.q, int) else _rounded(steps * self.q, 12)
        if self.distribution == "int_uniform":
            return int(drawn)
        return min(max(_rounded(drawn, DIGITS), self.low), self.high)


def parameter(name: str, given: object) -> Parameter:
    """A parameter from its entry in a sweep file. Without a ``distribution``, it is inferred as W&B does.

    Raises:
        LabError: the entry is none of W&B's, or one that is not searched here.
    """
    if not isinstance(given, Mapping):
        raise LabError(f"the parameter {name} needs value, values, or min and max; it was {given!r}")
    kind = str(given.get("distribution") or _inferred(name, given))
    if kind not in DISTRIBUTIONS:
        raise unknown(f"distribution of the parameter {name}", kind, DISTRIBUTIONS)
    keys = DISTRIBUTIONS[kind]
    if wrong := sorted(map(str, set(given) - {"distribution", *keys})):
        raise LabError(
            f"the parameter {name} has {', '.join(wrong)}; {kind} is told {', '.join(keys)} here, and no more"
        )
    if missing := [key for key in keys if key not in given and key != "q"]:
        raise LabError(f"the parameter {name} lacks {', '.join(missing)}, which {kind} needs")
    if kind == "constant":
        return Parameter(name, kind, (given["value"],))
    if kind == "categorical":
        if not isinstance(given["values"], list) or not given["values"]:
            raise LabError(f"values of the parameter {name} must be a list; it was {given['values']!r}")
        return Parameter(name, kind if len(given["values"]) > 1 else "constant", tuple(given["values"]))
    return _range(name, kind, given)


def _inferred(name: str, given: Mapping[Any, Any]) -> str:
    if "value" in given:
        return "constant"
    if "values" in given:
        return "categorical"
    if "parameters" in given:
        raise LabError(f"the parameter {name} holds others; write each with its full name, such as {name}.init_args.…")
    ends = [_number(name, key, given) for key in ("min", "max") if key in given]
    return "int_uniform" if ends and all(isinstance(end, int) for end in ends) else "uniform"


def _range(name: str, kind: str, given: Mapping[Any, Any]) -> Parameter:
    low, high = (_number(name, key, given) for key in ("min", "max"))
    q = _number(name, "q", {"q": 1, **given}) if "q" in DISTRIBUTIONS[kind] else None
    if kind in ("log_uniform", "q_log_uniform"):  # W&B is told exponents of e here
        low, high = math.exp(low), math.exp(high)
    if kind == "int_uniform" and not (isinstance(low, int) and isinstance(high, int)):
        raise LabError(f"int_uniform goes from one whole number to another; {name} goes from {low} to {high}")
    if low >= high or (low <= 0 and "log" in kind):
        above = "above 0 " if "log" in kind else ""
        raise LabError(f"the parameter {name} needs a min {above}below its max; they were {low} and {high}")
    if q is not None and q <= 0:
        raise LabError(f"the parameter {name} needs a q above 0; it was {q}")
    return Parameter(name, kind, (), low, high, q)


def _number(name: str, key: str, given: Mapping[Any, Any]) -> float:
    value = given[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        hint = "; YAML reads 1.0e-5 as a number, and 1e-5 as text" if isinstance(value, str) else ""
        raise LabError(f"{key} of the parameter {name} must be a number; it was {value!r}{hint}")
    return value


def _rounded(number: float, digits: int) -> float:
    return float(f"{number:.{digits}g}")
