"""Quick ways on a CPU: the same numbers as torch's own but for rounding, and dropout that is dropout."""

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from prompt_lab.backbones import quick as quick_ways
from prompt_lab.backbones.load import load_backbone
from prompt_lab.backbones.quick import SHORT, quick
from prompt_lab.batch import Encoded


def _read(length: int) -> Encoded:
    ids = torch.randint(5, 90, (2, length), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[1, length // 2 :] = 0
    one = torch.zeros(2, dtype=torch.long)
    return Encoded(ids, mask, torch.full((2, 1, 1), 2), one, one)


def _is_fused(result: Tensor) -> bool:
    """Whether the graph behind a result has PyTorch's fused attention."""
    seen, waiting = set(), [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting += [after for after, _ in node.next_functions]
    return any("FlashAttention" in node.name() for node in seen)


@pytest.mark.parametrize("name", ["tiny-masked", "tiny-causal"])
@pytest.mark.parametrize(("half", "length", "fused"), [(True, 12, False), (True, SHORT + 1, True), (False, 12, True)])
def test_short_texts_in_bfloat16_are_not_fused_where_there_is_a_way_back(
    name: str, half: bool, length: int, fused: bool
) -> None:
    backbone = load_backbone(name).fresh().eval().requires_grad_(False)
    backbone.embeddings().weight.requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        assert _is_fused(backbone.hidden(_read(length))) is fused
        assert _is_fused(backbone.slot_logits(_read(length))) is fused


def test_gradients_are_those_of_the_fused_one_but_for_rounding() -> None:
    parts = [torch.randn(2, 3, 20, 8, generator=torch.Generator().manual_seed(n)) for n in range(4)]

    def gradient(short: bool) -> Tensor:
        queries, keys, values = (part.clone().requires_grad_() for part in parts[:3])
        with torch.autocast("cpu", torch.bfloat16):
            given = [part.bfloat16() for part in (queries, keys, values)]
            with quick(torch.device("cpu")) if short else sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                said = scaled_dot_product_attention(*given)
        (said.float() * parts[3]).sum().backward()
        return torch.cat([one.grad for one in (queries, keys, values) if one.grad is not None])

    torch.testing.assert_close(gradient(short=True), gradient(short=False), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("mask", ["none", "bool", "float", "causal"])
def test_attention_is_torch_s_own_but_for_rounding(mask: str) -> None:
    queries, keys, values = (torch.randn(2, 3, 20, 8, generator=torch.Generator().manual_seed(n)) for n in range(3))
    seen = torch.ones(2, 1, 20, 20, dtype=torch.bool)
    seen[1, :, :, 13:] = False
    float_mask = torch.zeros(2, 1, 20, 20).masked_fill(~seen, float("-inf"))
    more = {"none": {}, "bool": {"attn_mask": seen}, "float": {"attn_mask": float_mask}, "causal": {"is_causal": True}}[
        mask
    ]
    given = [part.bfloat16().requires_grad_() for part in (queries, keys, values)]
    with torch.autocast("cpu", torch.bfloat16), quick(torch.device("cpu")):
        ours = scaled_dot_product_attention(*given, **more)
    torch.testing.assert_close(
        ours.float(), scaled_dot_product_attention(queries, keys, values, **more), rtol=0.05, atol=0.02
    )


def test_what_is_read_for_its_scores_alone_is_fused() -> None:
    parts = [torch.randn(2, 3, 20, 8).bfloat16() for _ in range(3)]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        usual = scaled_dot_product_attention(*parts)
        with quick(torch.device("cpu")):
            assert torch.equal(scaled_dot_product_attention(*parts), usual)


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float, kind: torch.dtype) -> None:
    given = torch.ones(7, 30_001, dtype=kind, requires_grad=True)

    def dropped() -> Tensor:
        torch.manual_seed(5)
        with quick(torch.device("cpu")):
            return F.dropout(given, p, training=True)

    result = dropped()
    assert torch.equal(result, dropped())
    assert (result == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert result.detach().float().mean().item() == pytest.approx(1, abs=0.02)
    assert (result == 0).float().mean(0).std() > 0.5 * (p * (1 - p) / 7) ** 0.5, "rows are not dropped alike"
    result.sum().backward()
    assert given.grad is not None
    assert torch.equal(given.grad, result.detach()), "the way back goes through what was kept"


def test_dropout_does_nothing_when_nothing_trains() -> None:
    given = torch.randn(3, 4)
    with quick(torch.device("cpu")):
        assert torch.equal(F.dropout(given, 0.5, training=False), given)


def test_a_frozen_weight_is_halved_once_and_to_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Linear(6, 4).requires_grad_(False)
    given = torch.randn(3, 6)
    halved = []
    kept = quick_ways._half
    monkeypatch.setattr(quick_ways, "_half", lambda weight: halved.append(kept(weight)) or halved[-1])
    with torch.autocast("cpu", torch.bfloat16):
        usual = layer(given)
        with torch.inference_mode(), quick(torch.device("cpu")):
            layer(given)
        with quick(torch.device("cpu")):
            ours = layer(given.requires_grad_())
    assert torch.equal(ours, usual)
    assert halved[0] is halved[1]
    ours.float().sum().backward()  # what was made in inference mode can be gone back through


@pytest.mark.parametrize("way", ["in place", "other data", "trained", "through data"])
def test_a_changed_weight_is_halved_anew(way: str) -> None:
    backbone = load_backbone("tiny-masked").fresh().requires_grad_(False)
    layer = next(m for m in backbone.modules() if isinstance(m, nn.Linear))
    given = torch.randn(3, layer.in_features)

    def said() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16), quick(torch.device("cpu")):
            return layer(given).float()

    before = said()
    if way == "in place":
        layer.weight.mul_(2)
    elif way == "other data":
        layer.weight.data = layer.weight.data * 2
    elif way == "through data":
        layer.weight.data.mul_(2)
        backbone.eval()  # as whoever changes weights by hand and reads on does
    else:
        layer.weight.requires_grad_(True)
        optimizer = torch.optim.SGD([layer.weight], lr=1.0)
        layer(given).sum().backward()
        optimizer.step()
        layer.weight.requires_grad_(False)
    after = said()
    assert not torch.allclose(after, before)
    torch.testing.assert_close(after, F.linear(given, layer.weight, layer.bias), rtol=0.05, atol=0.05)


def test_a_trained_weight_is_left_to_autocast() -> None:
    layer = nn.Linear(6, 4)
    with torch.autocast("cpu", torch.bfloat16), quick(torch.device("cpu")):
        layer(torch.randn(3, 6)).float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight not in quick_ways._HALVES


def test_what_is_computed_again_on_the_way_back_is_not_quickened() -> None:
    """Also where a paradigm of somebody's own has turned it on in the model itself: it is seen when training begins."""
    backbone = load_backbone("tiny-masked").fresh()
    backbone.model.gradient_checkpointing_enable()
    backbone.train()
    assert backbone.recomputes
    backbone.embeddings().weight.requires_grad_(True)
    gradients = []
    for _ in range(2):
        torch.manual_seed(3)
        backbone.zero_grad()
        backbone.hidden(_read(12)).sum().backward()
        gradients.append(backbone.embeddings().weight.grad.clone())
        backbone.model.gradient_checkpointing_disable()
        backbone.train()
        backbone._quick = lambda batch: nullcontext()  # type: ignore[method-assign]
    torch.testing.assert_close(gradients[0], gradients[1])
