"""Pattern ensembles: the members' answers by hand, one view a pass, weights, verbalizers, and what is refused."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from prompt_lab import ensembling
from prompt_lab.answers.words import Words
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Encoded
from prompt_lab.data.encoded import collate
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.paradigms.pattern_ensemble import PatternEnsemble
from prompt_lab.paradigms.zero_shot import ZeroShot
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.tuning.frozen import Frozen

import runs

TASK = load_task(TOY)
LONG = Words(
    words={"negative": ["terrible", "very bad"], "positive": ["great", "really quite good"]}
)  # rows of 1, 2, 3 masks


def data(k: int = 2) -> FewShotData:
    return FewShotData(TOY, k=k, seed=13, batch_size=4, max_length=64)


def built(backbone: str = "tiny-masked", **settings: Any) -> PatternEnsemble:
    return Subject(lambda: PatternEnsemble(**settings), backbone).built()  # type: ignore[return-value]


def alone(template: Any, answer: Words, backbone: str = "tiny-masked") -> torch.Tensor:
    subject = Subject(lambda: ZeroShot(template, answer), backbone)
    return subject.scores(subject.built(), subject.examples())


MEMBERS = [
    ({"patterns": [0, 2]}, [(0, Words()), (2, Words())]),
    ({"patterns": [0], "answers": [Words(), LONG]}, [(0, Words()), (0, LONG)]),
    ({"patterns": [0, 2], "answers": [Words(), LONG]}, [(0, Words()), (0, LONG), (2, Words()), (2, LONG)]),
    ({"patterns": [0, 2], "answers": [LONG, Words()], "pairs": "matched"}, [(0, LONG), (2, Words())]),
]


@pytest.mark.parametrize("backbone", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
@pytest.mark.parametrize("how", ["log_probabilities", "probabilities", "vote"])
@pytest.mark.parametrize(("settings", "members"), MEMBERS)
def test_the_answer_is_that_of_the_members_together(
    settings: dict[str, Any], members: list[Any], how: Any, backbone: str
) -> None:
    """As many models with one pattern each give, whatever the lengths of their words."""
    module = built(backbone, combine=how, **settings)
    found = Subject(PatternEnsemble).scores(module, Subject(PatternEnsemble).examples()).log_softmax(-1)
    each = torch.stack([alone(template, answer, backbone) for template, answer in members])
    torch.testing.assert_close(found, ensembling.combine(each, how), atol=1e-4, rtol=1e-4)


def test_each_pass_reads_every_example_through_another_member() -> None:
    module, of = built(patterns=[0, 1, 2]), data()
    encoder = module.encoder(of)
    seen = Counter()
    for number in range(3):
        for row, example in zip(encoder.encode_pass(of.drawn.train, number, 0), of.drawn.train, strict=True):
            assert row.view is not None
            seen[example.key, row.view] += 1
            shown = module.reader.tokenizer.decode(row.rows[0].input_ids)
            assert ("verdict" in shown) == (row.view == 2)
            assert shown.startswith("[CLS] it was [MASK]") == (row.view == 1)
    assert set(seen.values()) == {1}
    assert len(seen) == 12
    views = {row.view for row in encoder.encode_pass(of.drawn.unlabeled, 0, 0)}
    assert views == {0, 1, 2}, "a batch mixes the members"


def test_an_example_in_one_view_gets_that_members_answer() -> None:
    module, of = built(patterns=[0, 2], answers=[Words(), LONG]), data()
    rows = module.encoder(of).encode_pass(of.drawn.train, 1, 0)
    with torch.inference_mode():
        found = module(collate(rows, module.reader)).log_softmax(-1)
        for number, row in enumerate(rows):
            template, answer = MEMBERS[2][1][row.view or 0]
            member = Subject(lambda t=template, a=answer: ZeroShot(t, a)).built()
            batch = collate(member.encoder(of).encode([of.drawn.train[number]]), member.reader)
            torch.testing.assert_close(found[number], member(batch).log_softmax(-1)[0], atol=1e-4, rtol=1e-4)


def test_losses_of_all_members_by_weight(tmp_path: Path) -> None:
    """The loss of a step is the weighted mean of the members' own losses."""
    seen: list[tuple[float, float]] = []

    class Watched(PatternEnsemble):
        def on_train_start(self) -> None:
            super().on_train_start()
            self.members.weight_M[:] = torch.tensor([3.0, 1.0, 0.5])

        def training_step(self, batch: Encoded, batch_idx: int) -> torch.Tensor:
            assert batch.view is None
            total = super().training_step(batch, batch_idx)
            own = [F.cross_entropy(s, batch.label) for s in self.members.each(self.backbone, batch)]
            weights = self.members.weight_M
            assert weights.tolist() == [3.0, 1.0, 0.5]
            seen.append(
                (
                    total.item(),
                    sum(w * o.item() for w, o in zip(weights.tolist(), own, strict=True)) / weights.sum().item(),
                )
            )
            return total

    from prompt_lab.tuning.full import Full

    module = Watched(patterns=[0, 1, 2], training="losses", tuning=Full(dropout=False))
    record = execute(runs.of(module, data(), tmp_path), Bars())
    assert len(seen) == 3
    for total, expected in seen:
        assert total == pytest.approx(expected, rel=1e-5)
    assert record["method"]["weights"] == pytest.approx(module.members.weight_M.tolist())


def test_weights_are_the_accuracies_before_training(tmp_path: Path) -> None:
    of = data()
    module = PatternEnsemble(patterns=[0, 1, 2], weighting="accuracy")
    execute(runs.of(module, of, tmp_path, max_steps=1), Bars())
    labels = [e.label for e in of.drawn.train]
    for number in range(3):
        subject = Subject(lambda n=number: ZeroShot(n))
        expected = ensembling.accuracy(subject.scores(subject.built(), list(of.drawn.train)), labels)
        assert float(module.members.weight_M[number]) == pytest.approx(expected)
    state = module.moved_state()
    assert torch.equal(state["answer.weight_M"], module.members.weight_M)
    twin = built(patterns=[0, 1, 2], weighting="accuracy")
    twin.load_moved(state)
    assert torch.equal(twin.members.weight_M, module.members.weight_M)


def test_frozen_it_is_a_zero_shot_ensemble(tmp_path: Path) -> None:
    module = PatternEnsemble(tuning=Frozen())
    record = execute(runs.of(module, data(0), tmp_path), Bars())
    assert record["strategy"] == "tuning-free prompting"
    assert record["cost"]["trained_parameters"] == 0
    assert record["template"] == " | ".join(TASK.templates)
    with pytest.raises(LabError, match="K = 0 draws none"):
        execute(runs.of(PatternEnsemble(tuning=Frozen(), weighting="accuracy"), data(0), tmp_path / "w"), Bars())


def test_only_what_is_read_is_counted(tmp_path: Path) -> None:
    """In a pass of training each example is read once, not once a member."""
    of = data()
    record = execute(runs.of(PatternEnsemble(patterns=[0, 1, 2]), of, tmp_path, max_steps=3), Bars())
    module = built(patterns=[0, 1, 2])
    passes = [module.encoder(of).encode_pass(of.drawn.train, n, 0) for n in range(3)]
    expected = sum(len(e.rows[0].input_ids) for rows in passes for e in rows)
    assert record["cost"]["tokens"]["train"] == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patterns": [0, 1], "pairs": "matched"}, "as many verbalizers as patterns; there are 1 and 2"),
        ({"patterns": [0, 7]}, "template 7 does not exist"),
        ({"answers": [Words(words={"positive": ["great"]})]}, "has no label words"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        PatternEnsemble(**settings).prepare(TASK, load_backbone("tiny-masked").reader)
