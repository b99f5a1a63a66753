"""Text that all rows of a batch begin with is read once, and gives the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from prompt_lab.backbones import backbone as of_backbones
from prompt_lab.backbones import front
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Encoded
from prompt_lab.demonstrations.settings import Demonstrations
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.lm_bff import LmBff
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.lora import Lora

import runs
from test_backbones import CAUSAL, V, close, made

SHARED = 20


def rows(slot: int = 24) -> Encoded:
    """Three rows that begin with the same twenty tokens, and end after 27, 25 and 21."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, V, (3, 27), generator=generator)
    ids[:, :SHARED] = ids[0, :SHARED]
    mask = torch.ones_like(ids)
    mask[1, 25:], mask[2, 21:] = 0, 0
    nothing = torch.zeros(3, dtype=torch.long)
    return Encoded(ids, mask, torch.tensor([[[slot, 26]], [[SHARED, 24]], [[3, 20]]]), nothing, nothing, None, None)


class Seen:
    """How many tokens a backbone's word embeddings read."""

    def __init__(self, backbone: Backbone) -> None:
        self.tokens = 0
        self._hook = backbone.embeddings().register_forward_hook(self._count)

    def _count(self, module: Any, args: Any, output: torch.Tensor) -> None:
        self.tokens += output.shape[0] * output.shape[1]

    def __enter__(self) -> "Seen":
        return self

    def __exit__(self, *_: Any) -> None:
        self._hook.remove()


@pytest.mark.parametrize("name", CAUSAL)
def test_the_same_from_fewer_tokens(name: str) -> None:
    backbone, batch = made(name).fresh(), rows()
    with torch.enable_grad():
        slots, hidden = backbone.slot_logits(batch).detach(), backbone.hidden(batch).detach()
    with torch.inference_mode(), Seen(backbone) as seen:
        close(backbone.slot_logits(batch), slots)
        found = backbone.hidden(batch)
    assert seen.tokens == SHARED + 2 * 3 * 7, "the second pass knows what is in front"
    is_there = batch.attention_mask.bool()
    close(found[is_there], hidden[is_there])


@pytest.mark.parametrize("name", CAUSAL)
def test_slots_may_lie_in_front(name: str) -> None:
    backbone, batch = made(name).fresh(), rows(slot=SHARED - 1)
    with torch.enable_grad():
        wanted = backbone.slot_logits(batch).detach()
    with torch.no_grad():
        close(backbone.slot_logits(batch), wanted)


def test_how_much_is_shared() -> None:
    batch = rows()
    assert front.shared(batch) == SHARED
    batch.attention_mask[1, 0] = 0
    assert front.shared(batch) == 0, "a row that begins with padding is at other positions"
    same = rows()
    same.input_ids[:], same.attention_mask[:] = same.input_ids[0], 1
    assert front.shared(same) == same.input_ids.shape[1] - 1, "one token is left of every row"
    one = Encoded(*(part[:1] for part in (same.input_ids, same.attention_mask, same.slots, same.label, same.index)))
    assert front.shared(one) == 0


@pytest.mark.parametrize("kind", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
def test_who_reads_it_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A causal model without gradients, to which nothing was added that might look at a row as a whole."""
    monkeypatch.setattr(front.Front, "read_once", _refused)
    plain, added = load_backbone(kind).fresh().eval(), load_backbone(kind).fresh().eval()
    Lora(rank=1).apply(added)
    batch = replace(rows(), decoder_input_ids=torch.full((3, 27), 5) if kind == "tiny-seq2seq" else None)
    with torch.enable_grad():
        plain.slot_logits(batch)
    with torch.no_grad():
        added.slot_logits(batch)
        if kind == "tiny-causal":
            with pytest.raises(RuntimeError, match="once"):
                plain.slot_logits(batch)
        else:
            plain.slot_logits(batch)


def _refused(*_: Any) -> Any:
    raise RuntimeError("once")


def shown() -> Paradigm:
    """With one example a label, every text is shown the same demonstrations."""
    return LmBff(tuning=Frozen(), demonstrations=Demonstrations(select="random", sets=2, max_length=24))


def test_demonstrations_in_front_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, once = [], front.Front.read_once
    read: list[int] = []
    monkeypatch.setattr(front.Front, "read_once", lambda *args: read.append(1) or once(*args))
    for least in (8, 10**6):
        read.clear()
        monkeypatch.setattr(of_backbones, "LEAST", least)
        data = Subject(shown, "tiny-causal").data()
        data.k = 1
        one = runs.of(shown(), data, tmp_path / str(least))
        one.run.backbone = "tiny-causal"
        execute(one, Bars())
        assert bool(read) == (least == 8)
        lines = runs.lines(one.folder / "predictions.jsonl")
        said.append(torch.tensor([row["log_probabilities"] for row in lines]))
    close(*said)


# ------------------------------------------------------------------------------------------------- kept for the next batch


@pytest.mark.parametrize("name", CAUSAL)
def test_the_next_batch_reads_no_text_in_front(name: str) -> None:
    backbone, batch = made(name).fresh(), rows()
    other = replace(batch, input_ids=torch.cat([batch.input_ids[:, :SHARED], batch.input_ids[:, SHARED:].flip(1)], 1))
    with torch.inference_mode():
        alone = made(name).fresh().hidden(other)
        backbone.hidden(batch)
        with Seen(backbone) as seen:
            close(backbone.hidden(other), alone)
    assert seen.tokens == 3 * 7
    assert backbone.memory.front.hits == 1


def test_what_changes_is_read_again() -> None:
    """Other tokens, another precision, weights that have been written to or moved, a layer that draws numbers."""
    backbone, batch = made("llama").fresh(), rows()
    kept = backbone.memory.front

    def is_known(**given: Any) -> bool:
        before = kept.hits
        with torch.no_grad():
            backbone.hidden(replace(batch, **given))
        return kept.hits > before

    assert not is_known()
    assert is_known()
    ids = batch.input_ids.clone()
    ids[:, 3] = 7
    assert not is_known(input_ids=ids), "a token in front"
    assert not is_known()
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_known()
    assert not is_known(), "what was made in half the bits is not for others"
    weight = next(backbone.parameters())
    with torch.no_grad():
        weight.mul_(1.0)
    assert not is_known(), "a weight was written to"
    assert is_known()
    weight.data = weight.data.clone()
    assert not is_known(), "a weight lies elsewhere"
    backbone.train()
    assert not is_known()
    assert not is_known(), "nothing is kept of what is drawn"
    backbone.eval()
    assert not is_known()
    assert is_known()


def test_a_copy_keeps_its_own() -> None:
    backbone, batch = made("gpt2").fresh(), rows()
    with torch.no_grad():
        backbone.hidden(batch)
        twin = backbone.fresh()
        twin.hidden(batch)
    assert twin.memory.front is not backbone.memory.front
    assert twin.memory.front.hits == 0


def test_texts_that_begin_alike_by_chance() -> None:
    backbone, batch = made("gpt2").fresh(), rows()
    longer = replace(batch, input_ids=batch.input_ids.clone())
    longer.input_ids[:, SHARED] = 5
    assert front.shared(longer) == SHARED + 1
    with torch.inference_mode():
        wanted = made("gpt2").fresh().hidden(longer)
        backbone.hidden(batch)
        close(backbone.hidden(longer), wanted)
        assert backbone.memory.front.hits == 1, "what is known of twenty tokens serves for twenty-one"


def test_what_is_too_large_is_not_kept() -> None:
    backbone, batch = made("gpt2").fresh(), rows()
    backbone.memory.front = front.Front(limit=64)
    with torch.no_grad():
        backbone.hidden(batch)
        backbone.hidden(batch)
    assert backbone.memory.front.hits == 0
