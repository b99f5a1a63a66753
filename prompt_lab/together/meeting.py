"""Where runs side by side wait for each other, so that one pass through the backbone answers all of them."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.precision import multiplied_in
from prompt_lab.batch import Encoded, Inputs
from prompt_lab.paradigms import Paradigm
from prompt_lab.together import rows


class Stopped(BaseException):
    """The suite was stopped; Lightning turns an interrupt into an exit, which only the main thread survives."""


@dataclass
class _Asked:
    """What a run waits for.

    Attributes:
        key: what it is; those of equal keys are answered at once.
        given: what it is asked with.
        leads: the members whose questions this one is to answer, once all wait.
        answer: a result, or what went wrong.
    """

    key: tuple[Any, ...]
    given: tuple[Any, ...]
    leads: "list[Member] | None" = None
    answer: Any = None
    is_answered: bool = False


class Meeting:
    """Threads, each with a whole run of its own, of which one runs at a time: from one place where it must wait to the next.

    Where all of them wait, the first of those that ask the same answers for all: a pass through the backbone over the batches of
    all of them, or one way back from all their losses. Passes come before ways back, so that no way back begins before all that
    were read at once ask for theirs. A run that ends, fails or stops early leaves; the others go on.

    Args:
        size: how many runs there are.
        most: the largest share of the backbone that may be trained for the runs to read at once.
    """

    def __init__(self, size: int, most: float) -> None:
        self.most = most
        self.members = [Member(self) for _ in range(size)]
        self.baton = threading.Condition()
        self.is_stopped = False
        self.plan: rows.Plan | None = None
        self._there = list(self.members)

    def stop(self) -> None:
        """Let every run end where it next asks, or waits."""
        self.is_stopped = True  # at once: who has the baton may keep it for long
        with self.baton:
            self.baton.notify_all()

    def leave(self, member: "Member") -> None:
        """Go on without one of them."""
        self._there.remove(member)
        self.call()

    def first(self) -> "Member":
        """The first of those that are there and have their backbone."""
        return next(m for m in self._there if m.has_backbone)

    def call(self) -> None:
        """Name those that are to answer, if all wait."""
        waiting = [(m, m.asked) for m in self._there]
        if not all(asked and not asked.leads and not asked.is_answered for _, asked in waiting):
            return
        groups: dict[Any, list[Member]] = {}
        for member, asked in waiting:
            assert asked is not None
            groups.setdefault(asked.key, []).append(member)
        passes = {key: group for key, group in groups.items() if key != _BACK}
        for group in (passes or groups).values():
            first = group[0].asked
            assert first is not None
            first.leads = group
        self.baton.notify_all()


_BACK, _SIT = ("back",), ("sit",)


class Member:
    """A run's place in a meeting: what its backbone asks instead of computing by itself.

    Args:
        meeting: where it meets the others.
    """

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._backbone: Backbone | None = None
        self._tokens: tuple[Tensor | None, tuple[int, ...] | None] = None, None
        self.asked: _Asked | None = None
        self.had = 0.0
        self._since: float | None = None

    @property
    def size(self) -> int:
        """How many runs share the machine."""
        return len(self._meeting.members)

    def clock(self) -> float:
        """Seconds that the run has had: while it ran, and its share of what was computed for several."""
        return self.had + (0.0 if self._since is None else time.perf_counter() - self._since)

    @property
    def has_backbone(self) -> bool:
        """Whether its run is that far."""
        return self._backbone is not None

    @property
    def backbone(self) -> Backbone:
        """Its run's."""
        assert self._backbone is not None
        return self._backbone

    @contextmanager
    def present(self) -> Iterator[None]:
        """Run, alone among the members, until the end or the next question."""
        with self._meeting.baton:
            self._since = time.perf_counter()
            try:
                yield
            finally:
                self._pause()
                if self._backbone is not None:
                    self._backbone.company = None
                self._meeting.leave(self)

    def sit(self, paradigm: Paradigm) -> None:
        """Begin to ask, once all others are as far; where the runs do not fit together, every one computes by itself."""
        self._backbone = paradigm.backbone
        self._backbone.company = self
        if (first := self._meeting.first()) is not self:
            # frees this one's frozen weights: two copies at a time
            rows.plan([first.backbone, self._backbone], self._meeting.most)
        self._ask(_SIT, (), self._settle)

    def hidden(self, batch: Inputs) -> Tensor:
        """As ``Backbone.hidden``."""
        return self._read("hidden", batch, None)

    def slot_logits(self, batch: Encoded, tokens: Tensor | None) -> Tensor:
        """As ``Backbone.slot_logits``."""
        return self._read("slot_logits", batch, tokens)

    def back(self, loss: Tensor) -> None:
        """One way back from the losses of all."""
        self._stop_if_asked()
        if self._meeting.plan is None:
            loss.backward()
        else:
            self._ask(_BACK, (loss,), _all_back)

    def _read(self, what: str, batch: Any, tokens: Tensor | None) -> Tensor:
        def alone() -> Tensor:
            return rows.alone(self.backbone, what, batch, tokens)

        self._stop_if_asked()
        if self._meeting.plan is None or not isinstance(batch, Encoded):
            return alone()
        device = batch.input_ids.device.type
        if device == "cpu" and not torch.is_grad_enabled():
            return (
                alone()
            )  # batches of evaluation fill a CPU by themselves: five times 64 rows at once took it twice as long
        # its weights may have come to a GPU just now
        rows.share(self._meeting.plan, [self._meeting.first().backbone, self.backbone])
        mode = (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            multiplied_in(device),
            self.backbone.training,
        )
        key = (what, *mode, batch.slots.shape[1], self._numbers(tokens))
        found = self._ask(key, (what, batch, tokens), self._read_for)
        return alone() if found is None else found

    def _numbers(self, tokens: Tensor | None) -> tuple[int, ...] | None:
        """Tokens as numbers, looked up once: on a GPU that means to wait for it."""
        if tokens is not None and (self._tokens[0] is None or self._tokens[0].data_ptr() != tokens.data_ptr()):
            self._tokens = tokens, tuple(tokens.tolist())
        return None if tokens is None else self._tokens[1]

    # ---------------------------------------------------------------- waiting

    def _ask(self, key: tuple[Any, ...], given: tuple[Any, ...], answer: Callable[[list["Member"]], list[Any]]) -> Any:
        asked = self.asked = _Asked(key, given)
        meeting, drawn = self._meeting, _drawn()
        self._pause()
        meeting.call()
        meeting.baton.wait_for(lambda: asked.leads or asked.is_answered or meeting.is_stopped)
        self._since = time.perf_counter()
        _draw_on(drawn)
        self._stop_if_asked()
        if asked.leads:
            self._answer(asked.leads, answer)
        if isinstance(asked.answer, BaseException):
            raise asked.answer
        return asked.answer

    def _pause(self) -> None:
        """The next one's time begins."""
        self.had, self._since = self.clock(), None

    def _stop_if_asked(self) -> None:
        if self._meeting.is_stopped:
            raise Stopped

    def _answer(self, group: "list[Member]", answer: Callable[[list["Member"]], list[Any]]) -> None:
        found: Sequence[Any]
        start = time.perf_counter()
        try:
            found = answer(group)
        except Exception as error:
            found = [error] * len(group)
        passed = time.perf_counter() - start
        self.had -= passed
        for member in group:
            member.had += passed / len(group)
        for member, one in zip(group, found, strict=True):
            assert member.asked is not None
            member.asked.answer, member.asked.is_answered, member.asked.leads = one, True, None
        self._meeting.baton.notify_all()

    def _settle(self, group: "list[Member]") -> list[None]:
        if len(group) > 1:
            self._meeting.plan = rows.plan([m.backbone for m in group], self._meeting.most)
        return [None] * len(group)

    def _read_for(self, group: "list[Member]") -> list[Tensor] | list[None]:
        plan = self._meeting.plan
        if plan is None or len(group) == 1:
            return [None] * len(group)
        given = [m.asked.given for m in group if m.asked is not None]
        try:
            return rows.read(plan, [m.backbone for m in group], given[0][0], [g[1] for g in given], given[0][2])
        except rows.Apart:
            self._meeting.plan = None
            return [None] * len(group)


def _all_back(group: list[Member]) -> list[None]:
    torch.autograd.backward([m.asked.given[0] for m in group if m.asked is not None])
    return [None] * len(group)


def _drawn() -> tuple[Any, ...]:
    """Where the generators of random numbers are: a run draws what it would have drawn alone."""
    gpu = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    return random.getstate(), numpy.random.get_state(), torch.get_rng_state(), gpu


def _draw_on(drawn: tuple[Any, ...]) -> None:
    python, numbers, cpu, gpu = drawn
    random.setstate(python)
    numpy.random.set_state(numbers)
    torch.set_rng_state(cpu)
    if gpu is not None:
        torch.cuda.set_rng_state(gpu)
