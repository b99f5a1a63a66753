"""The attention that goes backwards quickly on a CPU."""

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from prompt_lab.backbones.attention import SHORT, quick_attention
from prompt_lab.backbones.load import load_backbone
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
            with quick_attention(torch.zeros(2, 20)) if short else sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                said = scaled_dot_product_attention(*given)
        (said.float() * parts[3]).sum().backward()
        return torch.cat([one.grad for one in (queries, keys, values) if one.grad is not None])

    torch.testing.assert_close(gradient(short=True), gradient(short=False), rtol=0.05, atol=0.02)


def test_what_is_read_for_its_scores_alone_is_fused() -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), quick_attention(torch.zeros(2, 20)):
        assert torch.backends.cuda.flash_sdp_enabled()
    with torch.autocast("cpu", torch.bfloat16), quick_attention(torch.zeros(2, 20)):
        assert not torch.backends.cuda.flash_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()
