"""iPET: how large each generation's sets are, who labels them, what is drawn, and that the record tells it."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prompt_lab.backbones.load import load_backbone
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Stage
from prompt_lab.paradigms.ipet import Ipet, draw
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject

import runs

TASK = load_task(TOY)


def data(k: int = 2) -> FewShotData:
    return FewShotData(TOY, k=k, seed=13, batch_size=4, max_length=64)


def built(**settings: Any) -> Ipet:
    return Subject(lambda: Ipet(**settings)).built()  # type: ignore[return-value]


def logp(*of_second: float) -> torch.Tensor:
    second = torch.tensor(of_second)
    return torch.stack([1 - second, second], 1).clamp_min(1e-9).log()


class TestDraw:
    def test_a_label_takes_only_texts_it_is_first_on(self) -> None:
        found = draw(logp(0.9, 0.8, 0.4, 0.1), [1, 2])
        assert Counter(label for _, label in found) == {0: 1, 1: 2}
        assert {n for n, label in found if label == 1} == {0, 1}
        assert {n for n, label in found if label == 0} <= {2, 3}

    def test_in_proportion_to_how_sure_the_teachers_are(self) -> None:
        """Texts 0 and 1 have probabilities 0.9 and 0.6 of label 1: the first is drawn in 3 of 5 cases."""
        torch.manual_seed(0)
        drawn = Counter(draw(logp(0.9, 0.6), [0, 1])[0][0] for _ in range(2000))
        assert drawn[0] / 2000 == pytest.approx(0.6, abs=0.03)

    def test_where_a_label_has_too_few_they_come_again(self) -> None:
        found = draw(logp(0.9, 0.8, 0.1), [0, 5])
        assert len(found) == 5
        assert sorted(Counter(n for n, _ in found).values()) == [2, 3]

    def test_where_a_label_has_none_the_likeliest_take_their_place(self) -> None:
        assert {n for n, _ in draw(logp(0.9, 0.7, 0.8), [2, 0])} == {1, 2}

    def test_without_labels_every_label_draws_from_its_likeliest(self) -> None:
        """A model that says label 1 of all texts still gives label 0 the texts it is least unsure of."""
        found = draw(logp(0.9, 0.7, 0.8, 0.6), [2, 1], most_likely=2)
        assert {n for n, label in found if label == 0} == {1, 3}
        assert {n for n, label in found if label == 1} <= {0, 2}

    @given(st.integers(1, 8), st.lists(st.integers(0, 9), min_size=2, max_size=4), st.integers(0, 99))
    def test_always_as_many_as_are_wanted(self, texts: int, wanted: list[int], seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randn(texts, len(wanted), generator=generator).log_softmax(-1)
        counts = Counter(label for _, label in draw(scores, wanted))
        assert [counts[c] for c in range(len(wanted))] == wanted


def generations(module: Ipet, of: FewShotData, says: torch.Tensor) -> list[Stage]:
    """The stages that fit something, or score texts, when every teacher says the same."""
    stages, result, found = module.stages(of), None, []
    while True:
        try:
            stage = Stage(*stages.send(result))
        except StopIteration:
            return found
        found.append(stage)
        result = says if stage.score else None


def test_sets_grow_by_the_factor_and_keep_the_labelled_examples() -> None:
    module, of = built(patterns=[0, 1, 2], weighting="uniform", generations=2, factor=2), data()
    torch.manual_seed(0)
    says = logp(*([0.8] * 12 + [0.2] * 12))
    stages = generations(module, of, says)
    sizes = [len(s.data.drawn.train) for s in stages if s.data]
    assert sizes == [4] * 3 + [8] * 3 + [16] * 3 + [24], "2, 4, 8 of each label; then the student on all texts"
    assert [s.name for s in stages][3:7] == [
        "generation 1 teacher 0", "generation 1 teacher 1", "generation 1 teacher 2", "generation 2 teacher 0",
    ]  # fmt: skip
    texts = {e.key: i for i, e in enumerate(of.drawn.unlabeled)}
    for stage in stages[3:9]:
        assert stage.data is not None
        train = stage.data.drawn.train
        assert train[:4] == of.drawn.train
        assert Counter(e.label for e in train) == {0: len(train) // 2, 1: len(train) // 2}
        assert all((texts[e.key] < 12) == (e.label == 1) for e in train[4:]), "labelled as the teachers say"
    sets = {tuple(e.key for e in s.data.drawn.train) for s in stages[3:6] if s.data}
    assert len(sets) == 3, "every teacher has texts of its own"


def test_a_teacher_is_taught_by_others_only() -> None:
    """Each of three teachers is sure of another thing; what one learns is never what it said itself."""
    module, of = built(patterns=[0, 1, 2], weighting="uniform", generations=1, factor=2), data()
    answers = [logp(*[0.9 if i % 3 == t else 0.1 for i in range(24)]) for t in range(3)]
    stages, result, fitted = module.stages(of), None, []
    given = iter(answers)
    for number in range(6):
        stage = Stage(*stages.send(result))
        result = next(given) if number < 3 else torch.zeros(24, 2)
        fitted += [stage] if number >= 3 else []
    texts = {e.key: i for i, e in enumerate(of.drawn.unlabeled)}
    for number, stage in enumerate(fitted):
        assert stage.data is not None
        positive = [texts[e.key] % 3 for e in stage.data.drawn.train[4:] if e.label == 1]
        assert positive
        assert len(set(positive)) == 1, "a quarter of two others is one"
        assert positive[0] != number


def test_weights_of_patterns_count_among_the_others() -> None:
    """Of three others, the two with weight 0 have no say."""
    module = built(patterns=[0, 1, 2], repetitions=2, share=1.0)
    torch.manual_seed(0)
    answers = torch.stack([logp(0.9), logp(0.1), logp(0.2), logp(0.2), logp(0.2), logp(0.2)])
    assert module._others(answers, [1, 0, 0, 0, 0, 0], 1).exp()[0, 1] == pytest.approx(0.9, abs=1e-4)
    assert module._others(answers, [1, 1, 0, 0, 0, 0], 0).exp()[0, 1] == pytest.approx(0.1, abs=1e-4)


def test_from_no_labels_at_all(tmp_path: Path) -> None:
    change = {"class_path": "Ipet", "init_args": {"patterns": [0, 2], "first": 4, "most_likely": 5, "factor": 3}}
    experiment = runs.experiment(tmp_path, {"model": change, "data": {"k": 0}})
    record = execute(experiment, Bars())
    assert [(s["name"], s["examples"]) for s in record["stages"]] == [
        ("teacher 0", 0), ("teacher 1", 0), ("generation 1 teacher 0", 4), ("generation 1 teacher 1", 4),
        ("generation 2 teacher 0", 12), ("generation 2 teacher 1", 12), ("fit", 32),
    ]  # fmt: skip
    assert record["budget"]["labels_train"] == 0
    assert record["budget"]["unlabeled_texts"] == 32


@pytest.mark.parametrize(("first", "sizes"), [(10, [5, 25]), (3, [1, 5]), (1, [1, 5])])
def test_the_first_generation_without_labels_shares_its_texts_out(first: int, sizes: list[int]) -> None:
    """10 / |L| of every label, then five times as many (EACL, section 3.4)."""
    module = built(first=first)
    assert [module._wanted((), g)[0] for g in (1, 2)] == [[n, n] for n in sizes]
    assert [module._wanted((), g)[1] for g in (1, 2)] == [100, None]


def test_the_record_counts_what_each_generation_used(tmp_path: Path) -> None:
    change = {"class_path": "Ipet", "init_args": {"patterns": [0, 2], "factor": 2, "generations": 2, "unlabeled": 12}}
    record = execute(runs.experiment(tmp_path, {"model": change}), Bars())
    teachers = record["method"]["teachers"]
    assert [(t["generation"], t["labeled"], t["unlabeled"]) for t in teachers] == [
        (0, 4, 0), (0, 4, 0), (1, 4, 4), (1, 4, 4), (2, 4, 12), (2, 4, 12),
    ]  # fmt: skip
    assert all(len(set(t["by_label"].values())) == 1 for t in teachers), "balanced"
    assert len(record["method"]["weights"]) == 2
    assert record["budget"]["unlabeled_texts"] == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generations": 0}, "generations=0"),
        ({"factor": 1.0}, "factor=1.0"),
        ({"share": 0.0}, "share=0.0"),
        ({"first": 0}, "first=0"),
        ({"most_likely": 3}, "most_likely=3"),
        ({"patterns": [0]}, "needs two teachers at least"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        Ipet(**settings).prepare(TASK, load_backbone("tiny-masked").reader)


def test_one_pattern_with_two_repetitions_is_enough() -> None:
    assert len(built(patterns=[0], repetitions=2)._members) == 2
