"""The contract that every tuning keeps: clauses of the paradigms', with a head and under a cloze, on each kind of backbone."""

from collections.abc import Callable, Iterator

from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.testing.checks import checks, trains
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning import Tuning

KINDS = ("tiny-masked", "tiny-causal", "tiny-seq2seq")
UNDER: dict[str, Callable[[Tuning], Paradigm]] = {
    "cloze": lambda tuning: PatternTuning(tuning=tuning),
    "head": lambda tuning: FineTuning(tuning=tuning),
}
CLAUSES = {
    "cloze": (
        "padding_and_batch_size_change_nothing",
        "only_what_is_declared_moves",
        "learns_four_rows_by_heart",
        "checkpoint_gives_the_same_answers",
        "side_by_side_gives_the_same",
    ),
    "head": ("only_what_is_declared_moves", "checkpoint_gives_the_same_answers", "side_by_side_gives_the_same"),
}


def subject(make: Callable[[], Tuning], kind: str, under: str) -> Subject:
    """A paradigm with the tuning, on a tiny backbone of a kind."""
    return Subject(lambda: UNDER[under](make()), kind)


def results(make: Callable[[], Tuning]) -> Iterator[tuple[str, str]]:
    """Every clause on every kind with ``ok``, why it does not apply, or what was found."""
    for kind in KINDS:
        for under, clauses in CLAUSES.items():
            found = subject(make, kind, under)
            for clause in clauses:
                yield f"{kind}, {under}: {clause}", _result(found, clause)


def _result(found: Subject, clause: str) -> str:
    try:
        if not trains(found.built()):
            return "does not apply: it trains nothing"
        checks()[clause](found)
    except LabError as error:
        return f"does not apply: it refuses this backbone: {error}"
    except AssertionError as error:
        return f"FAILED: {error}"
    except Exception as error:  # a tuning that breaks in a clause has failed it; the others still tell something
        return f"FAILED: {type(error).__name__}: {error}"
    return "ok"
