"""The classification head reads the hidden state it says, wherever padding stands."""

from typing import Any

import pytest
import torch
from torch import Tensor

from prompt_lab.answers.head import Head
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.encoding import Encoder
from prompt_lab.errors import LabError
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.templates import Template
from prompt_lab.testing.subject import Subject

from samples import FAMILIES, backbone, config, reader, task

TEXTS = ["the film", "All in all a good movie"]
TASK = task("no", "maybe", "yes")


def built(family: str, pattern: str, **how: Any) -> tuple[Head, Encoded]:
    head, template = Head(**how).eval(), Template(pattern, TASK.fields)
    head.build(TASK, reader(family), template)
    made = Encoder(template, head.plan, reader(family), 100)
    return head, collate(made.encode([Example({"text_a": t}) for t in TEXTS]), made.reader)


def expected(head: Head, family: str, batch: Encoded, read: str) -> Tensor:
    """Row by row, from the hidden states of the real tokens."""
    scores = []
    for row, hidden_TD in enumerate(backbone(family).hidden(batch)):
        real_TD = hidden_TD[batch.attention_mask[row].bool()]
        mask_id = reader(family).mask_id if read == "mask" and reader(family).has_mask else None
        at = {"first": 0, "last": -1, "mask": -1}.get(read, 0)
        if mask_id is not None:
            at = batch.input_ids[row].tolist().index(mask_id)
        scores.append(head.linear(real_TD.mean(0) if read == "mean" else real_TD[at]))
    return torch.stack(scores)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pool", ["auto", "first", "mean", "last"])
def test_reads_where_it_says(family: str, pool: Any) -> None:
    head, batch = built(family, "{text_a}", pool=pool)
    usual = {"masked": "first", "causal": "last", "seq2seq": "mean"}[reader(family).kind]
    with torch.no_grad():
        found = head(backbone(family), batch)
        torch.testing.assert_close(found, expected(head, family, batch, usual if pool == "auto" else pool))
    assert found.shape == (2, 3)
    assert head.linear.in_features == config(family).hidden_size


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama"])
def test_reads_at_the_mask(family: str) -> None:
    head, batch = built(family, "{text_a} It was {mask}.", pool="mask")
    with torch.no_grad():
        torch.testing.assert_close(head(backbone(family), batch), expected(head, family, batch, "mask"))


def test_a_template_with_a_mask_can_be_read_elsewhere() -> None:
    head, batch = built("bert", "{text_a} It was {mask}.")
    assert batch.slots.shape == (2, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(head(backbone("bert"), batch), expected(head, "bert", batch, "first"))


def test_auto_is_decided_anew_for_every_backbone() -> None:
    head, _ = built("bert", "{text_a}")
    head.build(TASK, reader("gpt2"), Template("{text_a}", TASK.fields))
    _, batch = built("gpt2", "{text_a}")
    with torch.no_grad():
        torch.testing.assert_close(head(backbone("gpt2"), batch), expected(head, "gpt2", batch, "last"))


def test_refused() -> None:
    with pytest.raises(LabError, match=r"Head reads at the mask, but the template '\{text_a\}' has none"):
        built("bert", "{text_a}", pool="mask")
    with pytest.raises(LabError, match="Head cannot read at the mask of a seq2seq model"):
        built("t5", "{text_a} {mask}", pool="mask")


def test_what_the_head_does_not_read_is_not_trained() -> None:
    """An unused language-model head gets no gradient: it is neither trained nor stored; shared embeddings are."""
    for name in ("tiny-masked", "tiny-seq2seq"):
        module = Subject(FineTuning, name).built()
        batch = Subject(FineTuning, name).batch(module, Subject(FineTuning, name).examples())
        module(batch).sum().backward()
        assert {n for n, p in module.named_parameters() if p.grad is not None} == set(module.moved_state())
        assert any("embed" in n or "shared" in n for n in module.moved_state())
