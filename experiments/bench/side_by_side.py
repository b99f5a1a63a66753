"""Five seeds of a soft prompt side by side against one after the other, and against one of them."""

import tempfile

import torch
import work
from run import Ways

from prompt_lab import together
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.progress import Bars
from prompt_lab.tuning.soft_prompt import SoftPrompt

ABOUT = (
    "five seeds of a soft prompt side by side against one after the other (on a GPU the aim is 1.3 times one of them)"
)
AIM = 1.0
PAIRS = (
    ("side by side", "one after the other", AIM),
    ("side by side", "one seed", 1.3 if torch.cuda.is_available() else None),
)
SEEDS = (13, 21, 42, 87, 100)


def soft() -> Paradigm:
    """Twenty virtual tokens before a frozen backbone."""
    return PatternTuning(tuning=SoftPrompt(length=20))


def ways() -> Ways:
    """Five together, five apart, one."""

    def side_by_side() -> None:
        with tempfile.TemporaryDirectory() as out:
            found = together.execute([work.experiment(soft, out, seed=seed) for seed in SEEDS], Bars())
        failed = [one for one in found if isinstance(one, Exception)]
        if failed:
            raise failed[0]

    def apart() -> None:
        for seed in SEEDS:
            work.ours(soft, seed=seed)

    return {"side by side": side_by_side, "one after the other": apart, "one seed": lambda: work.ours(soft) and None}
