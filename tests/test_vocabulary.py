"""The loss over the whole vocabulary: the plain cross-entropy, from chunks, through the language-model head of any model."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from prompt_lab.backbones.backbone import Backbone, DecoderBackbone
from prompt_lab.backbones.vocabulary import CHUNK, ChunkedCrossEntropy, cross_entropy

from test_backbones import ALL, AUTO, BODY, CAUSAL, GROUPED, MASKED, SEQ2SEQ, V, architectures, batch, close, made

LENGTHS = pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 200])


def parts(count: int, words: int = 50, width: int = 8) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, weight, bias and targets; every second target is the most probable token."""
    generator = torch.Generator().manual_seed(count)
    hidden, weight, bias = (
        torch.randn(size, generator=generator).requires_grad_() for size in ((count, width), (words, width), (words,))
    )
    target = torch.randint(words, (count,), generator=generator)
    target[::2] = F.linear(hidden, weight, bias).argmax(-1)[::2]
    return hidden, weight, bias, target


def plainly(hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight, bias).float(), target)


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


class Watch(TorchDispatchMode):
    """Counts matrix products, and remembers the largest tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.products, self.largest = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.products += func.overloadpacket.__name__ in ("mm", "addmm")
        out = func(*args, **(kwargs or {}))
        self.largest = max(self.largest, out.numel() if isinstance(out, Tensor) else 0)
        return out


class TestChunkedCrossEntropy:
    @LENGTHS
    @pytest.mark.parametrize("with_bias", [True, False])
    @pytest.mark.parametrize("frozen", [(), ("weight",), ("weight", "bias"), ("hidden",)])
    def test_is_the_plain_one(self, count: int, with_bias: bool, frozen: tuple[str, ...]) -> None:
        hidden, weight, bias, target = parts(count)
        given = {"hidden": hidden, "weight": weight, "bias": bias if with_bias else None}
        for name in frozen:
            given[name] = None if given[name] is None else given[name].detach()  # type: ignore[union-attr]
        moving = [t for t in given.values() if t is not None and t.requires_grad]
        loss, right = ChunkedCrossEntropy.apply(*given.values(), target)
        logits = F.linear(hidden, weight, given["bias"])
        assert torch.equal(right, logits.argmax(-1) == target)
        assert not right.requires_grad
        found = torch.autograd.grad(3 * loss, moving)
        if count:
            expected = plainly(*given.values(), target)  # type: ignore[arg-type]
            close(loss, expected)
            close_all(found, torch.autograd.grad(3 * expected, moving))
        else:
            assert loss == 0
            assert all(not gradient.any() for gradient in found)
        assert [gradient.shape for gradient in found] == [t.shape for t in moving]

    def test_by_hand(self) -> None:
        """Two tokens with logits (ln 3, 0): probabilities 3/4 and 1/4."""
        hidden = torch.tensor([[torch.tensor(3.0).log()]], requires_grad=True)
        loss, right = cross_entropy(hidden, torch.tensor([[1.0], [0.0]]), None, torch.tensor([1]))
        loss.backward()
        assert loss.item() == pytest.approx(1.386294)
        assert right.tolist() == [False]
        assert hidden.grad is not None
        assert hidden.grad.item() == pytest.approx(0.75)

    def test_agrees_with_finite_differences(self) -> None:
        hidden, weight, bias, target = (t.detach() for t in parts(5))
        change = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) / 100
        moving = weight.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(hidden, moving, bias, target)[0], [moving])
        up, down = (plainly(hidden, weight + sign * change, bias, target) for sign in (1, -1))
        assert float((gradient * change).sum()) == pytest.approx(float(up - down) / 2, rel=1e-2)

    def test_on_the_way_back_gradients_go_on_through_what_came_before(self) -> None:
        hidden, weight, bias, target = parts(100)
        start = torch.ones(8, requires_grad=True)
        loss = cross_entropy(hidden * start, weight, bias, target)[0]
        expected = plainly(hidden * start, weight, bias, target)
        close_all(torch.autograd.grad(loss, [start, hidden]), torch.autograd.grad(expected, [start, hidden]))

    def test_backward_twice(self) -> None:
        hidden, *rest = parts(70)
        loss = cross_entropy(hidden, *rest)[0]
        loss.backward(retain_graph=True)
        assert hidden.grad is not None
        once = hidden.grad.clone()
        loss.backward()
        close(hidden.grad, 2 * once)
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()

    def test_there_is_no_second_derivative(self) -> None:
        hidden, *rest = parts(3)
        scaled = torch.ones((), requires_grad=True) * cross_entropy(hidden, *rest)[0]
        (gradient,) = torch.autograd.grad(scaled, [hidden], create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            gradient.sum().backward()

    def test_bfloat16(self) -> None:
        hidden, weight, bias, target = parts(200)
        moving = [hidden, weight, bias]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = cross_entropy(hidden, weight, bias, target)[0]
        exact = plainly(hidden, weight, bias, target)
        assert loss.item() == pytest.approx(exact.item(), rel=1e-2)
        found = torch.autograd.grad(loss, moving)
        assert [g.dtype for g in found] == [torch.float32] * 3
        for one, expected in zip(found, torch.autograd.grad(exact, moving), strict=True):
            assert 1e-5 < distance(one, expected) < 1e-2

    def test_float16_neither_underflows_nor_overflows(self) -> None:
        """A gradient of 1 / (200 * 5000) is below what float16 can hold, and Lightning's first scale is beyond it."""
        hidden, weight, _, target = parts(200, words=5000)
        target[:] = 7
        half = (hidden.detach() / 100).half().requires_grad_()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = cross_entropy(half, weight, None, target)[0]
        found = torch.autograd.grad(65536 * loss, [half, weight])
        assert found[0].dtype == torch.float16
        exact = plainly(half.float(), weight, None, target)
        for one, expected in zip(found, torch.autograd.grad(65536 * exact, [half, weight]), strict=True):
            rows = slice(8, None) if len(one) == 5000 else slice(None)
            assert distance(one[rows], expected[rows]) < 1e-2

    def test_all_in_bfloat16(self) -> None:
        """Chunks are added up in float32."""
        hidden, weight, bias, target = (t.detach() for t in parts(8000))
        moving = weight.bfloat16().requires_grad_()
        loss = cross_entropy(hidden.bfloat16(), moving, bias.bfloat16(), target)[0]
        (found,) = torch.autograd.grad(loss, [moving])
        exact = moving.detach().float().requires_grad_()
        expected = torch.autograd.grad(
            plainly(hidden.bfloat16().float(), exact, bias.bfloat16().float(), target), [exact]
        )[0]
        assert found.dtype == torch.bfloat16
        assert distance(found, expected) < 5e-3

    def test_the_logits_of_a_chunk_are_the_most_that_is_held(self) -> None:
        given = parts(200)
        kept: list[int] = []
        with (
            torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t),
            Watch() as seen,
        ):
            cross_entropy(*given)
        assert 0 < max(kept) <= max(200 * 8, 50 * 8)
        assert seen.largest == CHUNK * 50

    def test_without_gradients_none_are_computed(self) -> None:
        given = parts(200)
        with Watch() as training:
            expected = cross_entropy(*given)
        with torch.no_grad(), Watch() as measuring:
            found = cross_entropy(*given)
        assert (measuring.products, training.products) == (4, 12)
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def close_all(found: Any, expected: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        close(one, other)


MORE = {
    "esm": hf.EsmConfig(**BODY, mask_token_id=3),  # adds a bias of its own to the logits
    "camembert": hf.CamembertConfig(**BODY),
    "funnel": hf.FunnelConfig(vocab_size=V, d_model=32, n_head=2, d_head=16, d_inner=37, block_sizes=[1, 1]),
    "bloom": hf.BloomConfig(vocab_size=V, hidden_size=32, n_layer=2, n_head=2, initializer_range=0.3),
    "falcon": hf.FalconConfig(vocab_size=V, hidden_size=32, num_hidden_layers=2, num_attention_heads=2),
    "gptj": hf.GPTJConfig(vocab_size=V, n_embd=32, n_layer=2, n_head=2, rotary_dim=4, bos_token_id=0, eos_token_id=2),
    "cohere": hf.CohereConfig(**GROUPED, logit_scale=0.3),
    "gemma3": hf.Gemma3TextConfig(**GROUPED, head_dim=16, final_logit_softcapping=2.0),
    "qwen2_moe": hf.Qwen2MoeConfig(
        **GROUPED, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16, shared_expert_intermediate_size=16
    ),
    "xlnet": hf.XLNetConfig(vocab_size=V, d_model=32, n_layer=2, n_head=2, d_inner=37),
}  # fmt: skip
OWN_WAY = {"deberta-v2 with its own head", "mobilebert", "gemma2", "gemma3", "cohere", "esm"}
"""Models whose head is more than a projection at its end; theirs is computed as it is."""


def model(name: str) -> Backbone:
    """A random model with weights of its own."""
    if name in ALL:
        return made(name).fresh()
    masked = name in ("esm", "camembert", "funnel")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = AUTO["masked" if masked else "causal"].from_config(MORE[name])
    return (Backbone if masked else DecoderBackbone)(found, SimpleNamespace(name=name)).eval()  # type: ignore[arg-type]


def inputs() -> Any:
    return batch("bert")


def gradients(backbone: Backbone, loss: Tensor) -> dict[str, Tensor]:
    backbone.zero_grad()
    (5 * loss).backward()
    return {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}


def untouched(backbone: Backbone) -> bool:
    return not [m for m in backbone.modules() if "forward" in vars(m)]


class TestWordLoss:
    @pytest.mark.parametrize("name", [*MASKED, *CAUSAL, *MORE])
    def test_is_that_of_the_models_own_logits(self, name: str) -> None:
        backbone, reads = model(name), inputs()
        asked = reads.attention_mask.bool()
        asked[0, 3] = False
        logits = backbone.model(input_ids=reads.input_ids, attention_mask=reads.attention_mask).logits[asked]
        target = torch.arange(len(logits))
        target[::2] = logits.argmax(-1)[::2]
        expected = F.cross_entropy(logits, target)
        wanted = gradients(backbone, expected)
        loss, right = backbone.word_loss(backbone.hidden(reads)[asked], target)
        close(loss, expected)
        assert torch.equal(right, logits.argmax(-1) == target)
        assert right[::2].all()
        found = gradients(backbone, loss)
        assert found.keys() == wanted.keys()
        for parameter, gradient in found.items():
            torch.testing.assert_close(gradient, wanted[parameter], atol=1e-4, rtol=1e-4)
        assert untouched(backbone)

    @pytest.mark.parametrize("name", [*MASKED, *CAUSAL, *MORE])
    def test_is_computed_in_chunks_wherever_that_is_the_same(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[int] = []

        def watched(hidden: Tensor, *rest: Any) -> Any:
            seen.append(len(hidden))
            return cross_entropy(hidden, *rest)

        monkeypatch.setattr("prompt_lab.backbones.backbone.cross_entropy", watched)
        hidden = model(name).hidden(inputs())[0]
        model(name).word_loss(hidden, torch.arange(7))
        assert seen == ([] if name in OWN_WAY else [7])

    @pytest.mark.parametrize("name", ["t5", "bart"])
    def test_of_a_decoders_states(self, name: str) -> None:
        backbone = model(name)
        reads = batch(name)
        given = {"input_ids": reads.input_ids, "attention_mask": reads.attention_mask}
        own = backbone.model(**given, decoder_input_ids=reads.decoder_input_ids, output_hidden_states=True)
        target = torch.arange(6)
        close(backbone.word_loss(own.decoder_hidden_states[-1][1], target)[0], F.cross_entropy(own.logits[1], target))
        assert untouched(backbone)

    @pytest.mark.parametrize("name", ["bert", "gpt2", "deberta-v2 with its own head"])
    def test_of_nothing_is_zero(self, name: str) -> None:
        backbone = model(name)
        hidden = backbone.hidden(inputs())
        loss, right = backbone.word_loss(hidden[:, :0].flatten(0, 1), torch.arange(0))
        loss.backward()
        assert (loss.item(), len(right)) == (0, 0)

    @pytest.mark.parametrize("name", ["bert", "llama", "bart", "gemma2"])
    def test_a_failing_head_is_left_as_it_was(self, name: str) -> None:
        backbone = model(name)
        before = backbone.slot_logits(batch(name)).detach()
        with pytest.raises(RuntimeError):
            backbone.word_loss(torch.zeros(3, 31), torch.arange(3))
        assert untouched(backbone)
        assert torch.equal(backbone.slot_logits(batch(name)), before)

    def test_more_positions_than_the_model_can_read(self) -> None:
        """A batch has more masks than a text has tokens."""
        backbone = model("bert")
        count = 2 * backbone.model.config.max_position_embeddings
        loss, right = backbone.word_loss(torch.zeros(count, 32), torch.zeros(count, dtype=torch.long))
        assert loss.isfinite()
        assert len(right) == count

    def test_under_autocast(self) -> None:
        backbone = model("bert")
        hidden = backbone.hidden(inputs())[0]
        exact = gradients(backbone, backbone.word_loss(hidden, torch.arange(7))[0])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, _ = backbone.word_loss(backbone.hidden(inputs())[0], torch.arange(7))
        found = gradients(backbone, loss)
        assert loss.dtype == torch.float32
        assert found.keys() == exact.keys()
        dense = "model.cls.predictions.transform.dense.weight"
        assert distance(found[dense], exact[dense]) < 0.1


def names(backbone: Backbone, parameters: list[nn.Parameter]) -> set[str]:
    wanted = {id(p) for p in parameters}
    return {n for n, p in backbone.model.named_parameters() if id(p) in wanted}


class TestHead:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("bert", {f"cls.predictions.{n}" for n in ("bias", "transform.dense.weight", "transform.dense.bias",
                                                       "transform.LayerNorm.weight", "transform.LayerNorm.bias")}),
            ("gpt2", set()),
            ("llama", {"lm_head.weight"}),
            ("opt-350m", set()),
        ],
    )  # fmt: skip
    def test_is_what_stands_behind_the_body(self, name: str, expected: set[str]) -> None:
        assert names(made(name), made(name).head_parameters()) == expected

    @pytest.mark.parametrize("name", SEQ2SEQ)
    def test_holds_the_decoder_of_a_seq2seq_model(self, name: str) -> None:
        found = names(made(name), made(name).head_parameters())
        own = {n for n, _ in made(name).model.named_parameters() if "decoder." in n or n == "lm_head.weight"}
        assert found == own

    @architectures
    def test_never_holds_the_embeddings_of_the_words(self, name: str) -> None:
        found = {id(p) for p in made(name).head_parameters()}
        assert id(made(name).model.get_input_embeddings().weight) not in found

    @architectures
    def test_frozen_is_exactly_what_hidden_gives_no_gradient(self, name: str) -> None:
        backbone = made(name).fresh()
        backbone.hidden(batch(name)).square().sum().backward()
        reached = {n for n, p in backbone.named_parameters() if p.grad is not None}
        backbone.freeze_head()
        assert {n for n, p in backbone.named_parameters() if p.requires_grad} == reached

    @architectures
    def test_bodies_are_what_runs_before_it(self, name: str) -> None:
        backbone = made(name)
        bodies = backbone.bodies()
        assert len({id(b) for b in bodies}) == len(bodies) == (2 if name in SEQ2SEQ or "opt" in name else 1)
        inside = {id(p) for b in bodies for p in b.parameters()}
        outside = names(backbone, [p for p in backbone.model.parameters() if id(p) not in inside])
        head = names(backbone, backbone.head_parameters())
        assert outside == (head & {"lm_head.weight"} if name in SEQ2SEQ else head)
