"""Every clause of the contract, on every paradigm that is discovered, on every kind of backbone."""

from functools import cache

import pytest

from prompt_lab import discovery
from prompt_lab.testing.checks import applies, checks
from prompt_lab.testing.subject import Subject

KINDS = ("tiny-masked", "tiny-causal", "tiny-seq2seq")
PARADIGMS = tuple(discovery.entries("paradigm"))


@cache
def subject(paradigm: str, backbone: str) -> Subject:
    return Subject(discovery.find("paradigm", paradigm), backbone)


CASES = [
    (paradigm, backbone, clause)
    for paradigm in PARADIGMS
    for backbone in KINDS
    for clause, check in checks().items()
    if applies(check, subject(paradigm, backbone)) is None
]


def test_no_subject_is_lost() -> None:
    assert len(PARADIGMS) >= 15
    assert len(checks()) == 14
    # zero_shot trains nothing, so 6 of the clauses apply to it; fine_tuning does not read at a mask; the students of pet and ipet
    # do neither that nor learn labels
    assert len(CASES) >= len(KINDS) * (14 + 14 + 14 + 13 + 12 + 12 + 6)


@pytest.mark.parametrize(("paradigm", "backbone", "clause"), CASES, ids=lambda part: part)
def test_contract(paradigm: str, backbone: str, clause: str) -> None:
    checks()[clause](subject(paradigm, backbone))
