"""The contract that every paradigm keeps, a function a clause.

Each takes a ``Subject`` and raises ``AssertionError`` with what was expected and what was found. ``prompt-lab check
my_package.MyParadigm`` runs them on a paradigm of your own; the tests run them on all that are discovered.
"""

import csv
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prompt_lab.paradigms.base import LOG_KEYS, Paradigm
from prompt_lab.reporting import delta
from prompt_lab.testing.subject import FLIPPED, TOY, Subject
from prompt_lab.tuning.full import Full

Check = Callable[[Subject], None]
CLOSE = 1e-4


def checks() -> dict[str, Check]:
    """All clauses by name, without their ``check_``."""
    return {name.removeprefix("check_"): f for name, f in globals().items() if name.startswith("check_")}


def applies(check: Check, subject: Subject) -> str | None:
    """Why a clause does not apply to a paradigm, or None if it does."""
    module = subject.built()
    needs = getattr(check, "needs", "")
    if needs in ("training", "labels") and not trains(module):
        return "it trains nothing"
    if needs == "labels" and not module.learns_labels:
        return "it learns from its teachers, not from the labels themselves"
    if needs == "mask" and not module.answer.needs_mask:
        return "it does not read at a mask"
    return None


def trains(module: Paradigm) -> bool:
    """Whether a built paradigm has anything to train."""
    return any(p.requires_grad for p in module.parameters())


def _needs(what: str) -> Callable[[Check], Check]:
    def mark(check: Check) -> Check:
        check.needs = what  # type: ignore[attr-defined]
        return check

    return mark


def check_scores_have_a_column_for_each_label(subject: Subject) -> None:
    """Scores are [B, C] and finite."""
    module, examples = subject.built(), subject.examples()
    scores_BC = subject.scores(module, examples)
    expected = (len(examples), len(module.task.labels))
    assert tuple(scores_BC.shape) == expected, f"scores must be [B, C] = {expected}; they are {tuple(scores_BC.shape)}"
    assert scores_BC.isfinite().all(), "scores must be finite"


def check_row_order_changes_nothing(subject: Subject) -> None:
    """An example's scores do not depend on its place in the batch."""
    module, examples = subject.built(), subject.examples()
    _same(subject.scores(module, examples[::-1]).flip(0), subject.scores(module, examples), "reversing the batch")


def check_padding_and_batch_size_change_nothing(subject: Subject) -> None:
    """An example alone gets the scores it gets beside longer ones."""
    module, examples = subject.built(), subject.examples()
    alone = torch.cat([subject.scores(module, [e]) for e in examples])
    _same(alone, subject.scores(module, examples), "padding, or the batch size,")


@_needs("mask")
def check_answer_is_read_at_the_mask(subject: Subject) -> None:
    """On a model that copies the token before each place, the label whose word stands before the mask wins."""

    def make() -> Paradigm:
        """With nothing in layers, which that model has none of and which does not change where the answer is read."""
        module = subject.make()
        module.tuning = module.tuning if module.tuning.moves_prompt else Full()
        return module

    module = Subject(make).built(backbone="copycat")
    examples = subject.examples(2)
    batch = subject.batch(module, examples)
    answer_ids = {label: _first_word(module, number) for number, label in enumerate(module.task.labels)}
    for number, (label, token) in enumerate(answer_ids.items()):
        rows = torch.arange(len(batch.input_ids))
        batch.input_ids[rows, batch.slots[:, :, 0].flatten() - 1] = token
        with torch.inference_mode():
            found = module(batch).argmax(1).tolist()
        assert found == [number] * len(found), (
            f"{label!r} stands before the mask, but the answer was read elsewhere: {found}"
        )


@_needs("training")
def check_only_what_is_declared_moves(subject: Subject) -> None:
    """Training changes some of the parameters that require a gradient, and none of the others."""
    before = _parameters(subject.built(seed=13))
    module = subject.run(learning_rate=1e-2).module
    moved = {n for n, p in module.named_parameters() if not torch.equal(p, before[n])}
    declared = set(module.moved_state())
    assert moved, "nothing moved"
    assert moved <= declared, f"moved without being declared: {sorted(moved - declared)[:3]}"
    in_backbone = [n for n in declared if n.startswith("backbone.")]
    assert module.tuning.moves or not in_backbone, (
        f"{type(module.tuning).__name__} moves nothing, but {in_backbone[:3]} may move"
    )


@_needs("labels")
def check_learns_four_rows_by_heart(subject: Subject) -> None:
    """After sixty steps at ten times the usual learning rate, 0.01 at least, without dropout, four examples get their labels.

    A few vectors in front of a small random model cannot say everything: that their loss falls by two fifths is enough.
    """
    rate = max(1e-2, 10 * subject.make().tuning.learning_rate)
    finished = subject.run(max_steps=60, learning_rate=rate, dropout=False)
    losses = logged(finished.metrics, "train/loss")
    given = subject.scores(finished.module.eval(), list(finished.train)).argmax(1).tolist()
    wanted = [e.label for e in finished.train]
    assert given == wanted or losses[-1] < 0.6 * losses[0], (
        f"trained on labels {wanted}, answers {given}; the loss went from {losses[0]:.3f} to {losses[-1]:.3f}"
    )
    assert losses[-1] < losses[0], f"the loss on four examples went up, from {losses[0]:.3f} to {losses[-1]:.3f}"


@_needs("training")
def check_checkpoint_gives_the_same_answers(subject: Subject) -> None:
    """What is stored is what moved, and a fresh paradigm that loads it answers the same."""
    finished = subject.run(learning_rate=1e-2)
    examples = subject.examples()
    module, fresh = finished.module.eval(), subject.built(seed=99)
    assert finished.stored, "nothing was stored"
    with tempfile.TemporaryDirectory() as folder:
        path = finished.write(Path(folder))
        stored, declared = set(delta.read(path, fresh)), set(module.moved_state())
        assert stored == declared, f"stored but not moved, or moved but not stored: {sorted(stored ^ declared)[:3]}"
        delta.load(path, fresh)
    _same(subject.scores(fresh, examples), subject.scores(module, examples), "storing and loading")


@_needs("training")
def check_logs_the_shared_keys(subject: Subject) -> None:
    """Curves of all paradigms have the same names, so that dashboards can lay them over each other."""
    metrics = subject.run().metrics
    found = set(next(csv.reader(io.StringIO(metrics)), []))
    assert set(LOG_KEYS) <= found, f"missing from the log: {sorted(set(LOG_KEYS) - found)}; found {sorted(found)}"


@_needs("training")
def check_same_seeds_same_losses(subject: Subject) -> None:
    """Two runs with the same seeds log the same losses to the last digit; another seed logs others."""
    runs = subject.run(seed=13), subject.run_anew(seed=13), subject.run(seed=21)
    first, again, other = (logged(run.metrics, "train/loss") for run in runs)
    assert first == again, f"the same seeds gave {first} and {again}"
    assert first != other, f"seeds 13 and 21 gave the same losses {first}"


@_needs("training")
def check_dropout_is_set_on_purpose(subject: Subject) -> None:
    """While it trains, the backbone is in training mode exactly if the tuning wants dropout; checkpoints arrive without."""
    seen: list[bool] = []

    class Watched(subject.make().__class__):  # type: ignore[misc]
        def training_step(self, batch, batch_idx):  # type: ignore[no-untyped-def]
            seen.extend(m.training for m in self.backbone.modules() if isinstance(m, torch.nn.Dropout))
            return super().training_step(batch, batch_idx)

    module = Subject(Watched, subject.backbone).run(check_val_every_n_epoch=1, max_steps=3).module
    wanted = module.tuning.dropout
    assert seen, "the backbone has no dropout to look at"
    assert set(seen) == {wanted}, (
        f"the tuning says dropout={wanted}, but while training its modules were in modes {set(seen)}"
    )


@_needs("training")
def check_side_by_side_gives_the_same(subject: Subject) -> None:
    """Two seeds that read through one backbone say of the test what they say when run one after the other.

    What is compared is the log of the loss, and the scores: parameters without a gradient but for rounding, such as the biases of
    keys, are moved by AdamW all the same.
    """
    seeds = 13, 21
    how: dict[str, Any] = {"dropout": False, "max_steps": 3}
    for seed, beside in zip(seeds, subject.run_together(seeds, **how), strict=True):
        alone = subject.run(seed=seed, **how)
        losses = [torch.tensor(logged(run.metrics, "train/loss")) for run in (alone, beside)]
        gap = float((losses[0] - losses[1]).abs().max())
        assert gap < CLOSE, f"reading together changed the loss of seed {seed} by up to {gap:.2g}"
        examples = subject.examples()
        one, other = (subject.scores(run.module.eval(), examples) for run in (alone, beside))
        _same(one, other, "reading together")


def check_bf16_is_finite(subject: Subject) -> None:
    """A run in bfloat16 mixed precision gives finite scores."""
    record = subject.run(precision="bf16-mixed").record
    assert torch.tensor(list(record["scores"].values())).isfinite().all(), f"scores in bf16: {record['scores']}"


@_needs("training")
def check_counts_what_it_was_told(subject: Subject) -> None:
    """No fit sees more texts than the information budget in the record owns up to."""
    record = subject.run().record
    told = record["budget"]
    counted = told["labels_train"] + told["unlabeled_texts"] + told["external_labels"]
    for stage in record["stages"]:
        assert stage["texts"] <= counted, (
            f"{stage['name']!r} was fitted on {stage['texts']} texts, but the budget counts {counted}: {told}. Take unlabelled texts "
            "through data.unlabeled(), which counts them"
        )


def check_test_labels_stay_sealed(subject: Subject) -> None:
    """With every test label wrong, nothing changes but the test scores."""
    honest, planted = subject.run(task=TOY), subject.run(task=FLIPPED)
    for (name, one), other in zip(honest.module.named_parameters(), planted.module.parameters(), strict=True):
        assert torch.equal(one, other), f"{name} depends on the labels of the test"
    for key, value in honest.record["scores"].items():
        if key.startswith("val/"):
            assert value == planted.record["scores"][key], f"{key} depends on the labels of the test"
    accuracy = [r.record["scores"]["test/acc"] for r in (honest, planted)]
    assert abs(sum(accuracy) - 1) < CLOSE, (
        f"of two labels, flipping all must turn accuracy a into 1 - a; it was {accuracy}"
    )


def logged(metrics: str, key: str) -> list[float]:
    """A column of the CSV log, without its gaps."""
    return [float(row[key]) for row in csv.DictReader(io.StringIO(metrics)) if row.get(key)]


def results(subject: Subject) -> Iterator[tuple[str, str]]:
    """Every clause with ``ok``, why it does not apply, or what was found."""
    for name, check in checks().items():
        try:
            reason = applies(check, subject)
            if not reason:
                check(subject)
            yield name, f"does not apply: {reason}" if reason else "ok"
        except AssertionError as error:
            yield name, f"FAILED: {error}"
        except Exception as error:  # a paradigm that breaks in a clause has failed it; the others still tell something
            yield name, f"FAILED: {type(error).__name__}: {error}"


def _same(one: Tensor, other: Tensor, what: str) -> None:
    gap = float((one - other).abs().max())
    assert gap < CLOSE, f"{what} changed the scores by up to {gap:.2g}"


def _parameters(module: Paradigm) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def _first_word(module: Paradigm, label: int) -> int:
    """The first token of a label's first word."""
    word = module.task.label_words[module.task.labels[label]][0]
    return module.reader.word_ids(word, module.template.before_mask())[0]
