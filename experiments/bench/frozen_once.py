"""Hidden states of a frozen backbone computed once, against in every pass: a head alone, and the last layer alone."""

from unittest import mock

import work
from run import Ways

from prompt_lab.answers.head import Head
from prompt_lab.backbones import memory
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.last_layers import LastLayers

ABOUT = "a head on a frozen backbone, whose hidden states are computed once, against in every pass"
AIM = None
PAIRS = (("head, once", "head, every pass", None), ("last layer, once", "last layer, every pass", None))


def head() -> Paradigm:
    """A linear probe."""
    return FineTuning(tuning=Frozen(learning_rate=1e-2), answer=Head(dropout=0.0))


def last_layer() -> Paradigm:
    """The last layer of six."""
    return FineTuning(tuning=LastLayers(1, dropout=False))


def ways() -> Ways:
    """Each with a memory and without."""

    def forgetful(make):  # type: ignore[no-untyped-def]
        with mock.patch.object(memory.Memory, "_is_of_use", return_value=False):
            work.ours(make)

    return {
        "head, once": lambda: work.ours(head) and None,
        "head, every pass": lambda: forgetful(head),
        "last layer, once": lambda: work.ours(last_layer) and None,
        "last layer, every pass": lambda: forgetful(last_layer),
    }
