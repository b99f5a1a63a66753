"""One pass over the batches of several runs: what is frozen reads all rows, what is trained only those of its own run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.standing import standing_in
from prompt_lab.batch import Encoded, joined
from prompt_lab.folding import EACH, Folded

MOST = 0.1
"""The largest share of a backbone's parameters that may be trained for a common pass to be worth its while."""


class Apart(Exception):
    """These runs cannot be read at once."""


@dataclass(frozen=True)
class Plan:
    """What backbones of the same structure have in common.

    Attributes:
        own: paths of the modules of which each run has its own: those that hold trained parameters.
        shared: names of the frozen parameters that are the same in all.
    """

    own: tuple[str, ...]
    shared: tuple[str, ...]


def plan(backbones: Sequence[Backbone], most: float = MOST) -> Plan | None:
    """How these backbones are read at once; None where they are to be read apart.

    That is where more than ``most`` of a backbone is trained, where they differ in more than the values of what is trained, and
    where a module remembers something of its passes for the record (``remembers``), which would be that of all runs; and where layers
    are computed again on the way back, when nobody sits together any more.
    """
    first = backbones[0]
    parameters = [dict(b.named_parameters(remove_duplicate=False)) for b in backbones]
    forms = [{name: (p.shape, p.requires_grad) for name, p in one.items()} for one in parameters]
    remembers = any(getattr(m, "remembers", False) for m in first.modules())
    if any(form != forms[0] for form in forms) or remembers or first.recomputes:
        return None
    moving = {name for name, p in parameters[0].items() if p.requires_grad}
    total = sum(p.numel() for p in first.parameters())
    is_tied = len({id(parameters[0][name]) for name in moving}) < len(moving)
    if is_tied or sum(parameters[0][name].numel() for name in moving) > most * total:
        return None
    alike = {name for name, p in parameters[0].items() if all(_same(p, one[name]) for one in parameters[1:])}
    own = tuple(dict.fromkeys(_owner(first, name) for name in parameters[0] if name in moving or name not in alike))
    shared = tuple(n for n in parameters[0] if not any(n.startswith(f"{path}.") for path in own))
    found = Plan(own, shared)
    share(found, backbones)
    return found


def read(
    plan: Plan, backbones: Sequence[Backbone], what: str, batches: Sequence[Encoded], tokens: Tensor | None
) -> list[Tensor]:
    """What ``Backbone.hidden`` or ``slot_logits`` gives for every run's batch, from one pass of the first backbone.

    Raises:
        Apart: a module of the runs' own reads something that has no rows.
    """
    share(plan, backbones)
    whole = joined(batches, backbones[0].reader.pad_id)
    sizes = [len(b.input_ids) for b in batches]
    with _each_its_own(plan, backbones, sizes):
        found = alone(backbones[0], what, whole, tokens)
    if what == "hidden":
        return [part_RTD[:, : b.input_ids.shape[1]] for part_RTD, b in zip(found.split(sizes), batches, strict=True)]
    parts = zip(found.split([len(b) for b in batches]), batches, strict=True)
    return [part_BGNU[:, :, : b.slots.shape[2]] for part_BGNU, b in parts]


def alone(backbone: Backbone, what: str, batch: Any, tokens: Tensor | None) -> Tensor:
    """What a backbone gives for its own batch."""
    return backbone.own_hidden(batch) if what == "hidden" else backbone.own_slot_logits(batch, tokens)


def _same(one: nn.Parameter, other: nn.Parameter) -> bool:
    if one is other or one.requires_grad or one.device != other.device:
        return one is other
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)


def _owner(backbone: Backbone, name: str) -> str:
    """The path of the module that computes with a parameter: a folded tensor, or the lowest module that can be called."""
    path = name.rpartition(".")[0]
    steps = [path[:i] for i, c in enumerate(path + ".") if c == "."]
    folded = next((p for p in steps if isinstance(backbone.get_submodule(p), Folded)), None)
    if folded is not None:
        return folded
    holders = (nn.ParameterDict, nn.ParameterList, nn.ModuleDict, nn.ModuleList)
    return next(p for p in reversed(steps) if not isinstance(backbone.get_submodule(p), holders))


def share(plan: Plan, backbones: Sequence[Backbone]) -> None:
    """Let all hold the first one's frozen numbers, where they are on one device; Lightning moves each to its device by itself."""
    if not plan.shared:
        return
    first = backbones[0].get_parameter(plan.shared[0])
    with torch.inference_mode(False):
        for other in backbones[1:]:
            same = other.get_parameter(plan.shared[0])
            if same.data_ptr() != first.data_ptr() and same.device == first.device:
                for name in plan.shared:
                    other.get_parameter(name).data = backbones[0].get_parameter(name).data


@contextmanager
def _each_its_own(plan: Plan, backbones: Sequence[Backbone], sizes: Sequence[int]) -> Iterator[None]:
    """Let modules of the runs' own compute only the rows of their run."""
    with ExitStack() as stack:
        for path in plan.own:
            modules = [b.get_submodule(path) for b in backbones]
            each = _Each(modules, sizes)
            stack.enter_context(standing_in(modules[0], EACH, each))
            if not isinstance(modules[0], Folded):
                stack.enter_context(standing_in(modules[0], "forward", _Forward(each)))
        yield


@dataclass(frozen=True)
class _Each:
    """Computes with the module of every run over that run's rows.

    Attributes:
        modules: one of each run.
        sizes: how many rows each run has.
    """

    modules: Sequence[Any]
    sizes: Sequence[int]

    def __call__(self, how: Callable[..., Tensor], *args: Tensor) -> Tensor:
        """``how(module, *rows)`` for all runs, one behind the other.

        Args:
            how: what is computed.
            args: tensors whose first dimension is that of the rows, or a multiple of it; without any, ``how(module)`` [1, ...] is
                given to every row.
        """
        if not args:
            found = [(how(m), n) for m, n in zip(self.modules, self.sizes, strict=True)]
            return torch.cat([one.expand(n, *one.shape[1:]) for one, n in found])
        total = sum(self.sizes)
        if not all(isinstance(a, Tensor) and a.ndim and len(a) and len(a) % total == 0 for a in args):
            raise Apart
        parts = [a.split([n * (len(a) // total) for n in self.sizes]) for a in args]
        return torch.cat([how(m, *own) for m, *own in zip(self.modules, *parts, strict=True)])


class _Forward:
    """Stands in for the ``forward`` of the first run's module."""

    def __init__(self, each: _Each) -> None:
        self._each = each
        self._own = {id(m): m.forward for m in each.modules}

    def __call__(self, *args: Any, **given: Any) -> Tensor:
        if given:
            raise Apart
        return self._each(lambda module, *rows: self._own[id(module)](*rows), *args)
