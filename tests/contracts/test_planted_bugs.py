"""Every clause of the contract fails on a paradigm that breaks it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from prompt_lab.answers.head import Head
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.testing.checks import checks
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.full import Full


class TooManyColumns(PatternTuning):
    def forward(self, batch):
        return F.pad(super().forward(batch), (0, 1))


class LooksAtItsNeighbour(PatternTuning):
    def forward(self, batch):
        scores_BC = super().forward(batch)
        return scores_BC + scores_BC.roll(1, 0)


class SeesPadding(FineTuning):
    def forward(self, batch):
        return self.answer.linear(self.backbone.hidden(batch).mean(1))


class ReadsAtTheEnd(PatternTuning):
    def forward(self, batch):
        batch.slots[:] = batch.slots - 2
        return super().forward(batch)


class MovesInSecret(FineTuning):
    """Trains only its head, but changes the backbone by hand."""

    def __init__(self):
        super().__init__(tuning=Frozen(learning_rate=1e-2))

    def training_step(self, batch, batch_idx):
        with torch.no_grad():
            next(self.backbone.parameters()).add_(1e-3)
        return super().training_step(batch, batch_idx)


class ScalesWhatOthersRead(FineTuning):
    """Trains only its head, but makes the backbone's weights larger by hand, which runs side by side share."""

    def __init__(self):
        super().__init__(tuning=Frozen(learning_rate=1e-2))

    def training_step(self, batch, batch_idx):
        with torch.no_grad():
            for parameter in self.backbone.parameters():
                parameter.mul_(1.1)
        return super().training_step(batch, batch_idx)


class NeverLearns(PatternTuning):
    def configure_optimizers(self):
        found = super().configure_optimizers()
        for group in found["optimizer"].param_groups:
            group["lr"] = 0.0
        return {"optimizer": found["optimizer"]}


class StoresHalf(PatternTuning):
    """Keeps some trained parameters out of its checkpoint, and does not miss them when it is loaded."""

    def moved_state(self):
        return {n: p for n, p in super().moved_state().items() if "layer.1" not in n}


class LogsItsOwnWay(PatternTuning):
    def log(self, name, *args, **kwargs):
        super().log(name.replace("val/acc", "val/accuracy"), *args, **kwargs)


class DrawsFromTheClock(PatternTuning):
    def on_train_start(self):
        torch.seed()
        super().on_train_start()


class ForgetsDropout(PatternTuning):
    def on_train_start(self):
        self.eval()


class DividesByZeroInHalf(PatternTuning):
    """Fine in float32; in bfloat16 a small number is lost beside a large one."""

    def forward(self, batch):
        scores_BC = super().forward(batch)
        one = (self.backbone.model.get_input_embeddings().weight[:1, :1].detach() * 0 + 1).sum()
        small = (torch.stack([one, one]) @ torch.stack([one * 256, one * 0.25]).view(2, 1)) - 256
        return scores_BC / small


class PeeksAtTheTest(PatternTuning):
    """Trains on a test text with its label."""

    def stages(self, data):
        data._draw = replace(data.drawn, train=(data.sealed_test()[0], *data.drawn.train[1:]))
        yield self, data


class ReadsInSecret(PatternTuning):
    """Trains on texts that are not its own, under labels it makes up, without a word in the budget."""

    def stages(self, data):
        more = [replace(e, label=0) for e in data.drawn.unlabeled]
        yield self, data.trained_on([*data.drawn.train, *more])


BUGS: dict[str, Callable[[], Paradigm]] = {
    "scores_have_a_column_for_each_label": TooManyColumns,
    "row_order_changes_nothing": LooksAtItsNeighbour,
    "padding_and_batch_size_change_nothing": SeesPadding,
    "answer_is_read_at_the_mask": ReadsAtTheEnd,
    "only_what_is_declared_moves": MovesInSecret,
    "learns_four_rows_by_heart": NeverLearns,
    "checkpoint_gives_the_same_answers": StoresHalf,
    "logs_the_shared_keys": LogsItsOwnWay,
    "side_by_side_gives_the_same": ScalesWhatOthersRead,
    "same_seeds_same_losses": DrawsFromTheClock,
    "dropout_is_set_on_purpose": ForgetsDropout,
    "bf16_is_finite": DividesByZeroInHalf,
    "test_labels_stay_sealed": PeeksAtTheTest,
    "counts_what_it_was_told": ReadsInSecret,
}


def test_every_clause_has_its_bug() -> None:
    assert set(BUGS) == set(checks())


@pytest.mark.parametrize("clause", BUGS)
def test_clause_fails_on_its_bug(clause: str) -> None:
    with pytest.raises(AssertionError) as caught:
        checks()[clause](Subject(BUGS[clause]))
    assert str(caught.value), "a failing clause says what it found"


def test_nothing_moves_is_caught() -> None:
    with pytest.raises(AssertionError, match="nothing moved"):
        checks()["only_what_is_declared_moves"](Subject(NeverLearns))


def test_a_backbone_that_moves_under_a_frozen_tuning_is_caught() -> None:
    class Thaws(Frozen):
        def add(self, backbone):
            Full.add(self, backbone)

    with pytest.raises(AssertionError, match="moves nothing, but"):
        checks()["only_what_is_declared_moves"](Subject(lambda: FineTuning(answer=Head(), tuning=Thaws())))
