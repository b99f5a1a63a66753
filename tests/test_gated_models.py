"""Models with gates: what each gate reads, and how much of a method it lets through (UniPELT: Mao et al. 2022, section 3.2)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_adapter import COPIES, ENDS, added, independent
from torch import Tensor
from torch.nn import functional as F
from tuned import BEFORE, by_hand, drawn, gap, moving, noted, plainly, read, same, says, tuned, without_gradient

from prompt_lab.errors import LabError
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.adapter import Adapter
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.gating import Gate
from prompt_lab.tuning.lora import Lora

from test_backbones import batch, first_rows

GATED: dict[str, Callable[..., Tuning]] = {
    "lora": lambda gated=True: Lora(rank=2, alpha=4, targets=["query", "feed_in"], gated=gated),
    "houlsby_adapters": lambda gated=True: Adapter("houlsby", width=3, activation="relu", gated=gated),
    "parallel_adapters": lambda gated=True: Adapter("parallel", width=3, activation="relu", gated=gated),
    "deep_prompt": lambda gated=True: DeepPrompt(3, spread=1.0, gated=gated),
}
methods = pytest.mark.parametrize("method", GATED)
FAMILIES = ("bert", "albert", "gpt2", "llama", "opt", "t5", "bart")
families = pytest.mark.parametrize("name", FAMILIES)
QUERY = {
    "bert": "bert.encoder.layer.{}.attention.self.query",
    "gpt2": "transformer.h.{}.attn.c_attn",
    "llama": "model.layers.{}.self_attn.q_proj",
}


def found_gates(backbone: Any, method: str) -> dict[str, Gate]:
    """By place."""
    return {n: g for n, g in backbone.get_submodule(f"{method}_gates").items() if isinstance(g, Gate)}


def gave(backbone: Any, method: str) -> dict[str, tuple[Gate, Tensor]]:
    """Each gate, by place, with what it gives in the passes that follow."""
    found: dict[str, tuple[Gate, Tensor]] = {}
    for place, gate in found_gates(backbone, method).items():
        gate.register_forward_hook(lambda m, args, output, place=place: found.update({place: (m, output)}))
    return found


def opened(backbone: Any, method: str, bias: float) -> Any:
    """With gates that do not look: all as far open as the sigmoid of the bias."""
    for gate in found_gates(backbone, method).values():
        gate.line.weight.data.zero_()
        gate.line.bias.data.fill_(bias)
    return backbone


def mean(gate: Gate, hidden_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """[B, 1, 1], by hand: over the tokens that are there."""
    rows = []
    for hidden_TD, mask_T in zip(hidden_BTD, mask_BT, strict=True):
        real_D = [h for h, m in zip(hidden_TD, mask_T, strict=True) if m]
        rows.append(sum(torch.sigmoid(h @ gate.line.weight[0] + gate.line.bias[0]) for h in real_D) / len(real_D))
    return torch.stack(rows).detach()[:, None, None]  # type: ignore[arg-type]


class TestInModels:
    @pytest.mark.parametrize("name", QUERY)
    def test_lora_by_hand(self, name: str) -> None:
        """W x + g (alpha / r) B A x, with g from x."""
        backbone = drawn(tuned(Lora(rank=2, alpha=4, targets=["query"], gated=True), name))
        changes: dict[str, Any] = {}
        for i in (0, 1):
            place = QUERY[name].format(i)
            layer: Any = backbone.model.get_submodule(place)
            gate = found_gates(backbone, "lora")[place.replace(".", " ")]
            a, b = (getattr(layer, f"lora_{x}")["lora"].weight.detach() for x in "AB")
            held: list[Tensor] = []
            changes[BEFORE + place] = lambda h, held=held: held.append(h) or h

            def change(h: Tensor, held: Any = held, gate: Any = gate, a: Any = a, b: Any = b) -> Tensor:
                x = held.pop()
                return h + mean(gate, x, batch(name).attention_mask) * 2 * x @ a.T @ b.T

            changes[place] = change
        found = says(backbone, name)
        same(found, by_hand(name, changes))
        assert gap(found, says(opened(backbone, "lora", 50.0), name)) > 0.01

    @pytest.mark.parametrize("name", ["bert", "gpt2", "opt"])
    @pytest.mark.parametrize("kind", ["houlsby", "pfeiffer", "parallel"])
    def test_adapters_by_hand(self, kind: Any, name: str) -> None:
        """The gate reads what its adapter reads; OPT's feed-forward network has texts one behind the other."""
        backbone = drawn(tuned(Adapter(kind, width=3, activation="relu", gated=True), name))
        changes: dict[str, Any] = {}
        for attention, feed_in, feed_out in ENDS[name]:
            for place in [attention, feed_out] if kind == "houlsby" else [feed_out]:
                gate = found_gates(backbone, f"{kind}_adapters")[place.replace(".", " ")]
                add = added(backbone, kind, place, 1.0, F.relu)
                held: list[Tensor] = []
                if kind == "parallel":
                    changes[BEFORE + feed_in] = lambda h, held=held: held.append(h) or h

                def change(h: Tensor, held: Any = held, gate: Any = gate, add: Any = add) -> Tensor:
                    x = (held.pop() if held else h).view(2, 7, -1)
                    return h + (mean(gate, x, batch(name).attention_mask) * add(x)).view(h.shape)

                changes[place] = change
        same(says(backbone, name), by_hand(name, changes))

    @pytest.mark.parametrize(
        ("name", "lead", "layers"),
        [("bert", "bert.encoder.layer.{}.attention.self", 2), ("t5", "encoder.block.{}.layer.0.SelfAttention", 2)],
    )
    def test_a_prompts_gates_read_what_attention_reads(self, name: str, lead: str, layers: int) -> None:
        backbone = drawn(tuned(DeepPrompt(3, gated=True), name))
        own = {f"{lead.format(i)} {i}": lead.format(i) for i in range(layers)}
        said = gave(backbone, "deep_prompt")
        for place, hidden_BTD in noted(backbone, own, name).items():
            gate, open_B11 = said[place.replace(".", " ")]
            same(open_B11, mean(gate, hidden_BTD, batch(name).attention_mask))

    def test_a_decoder_without_a_mask_is_read_at_its_first_token(self) -> None:
        """T5's is given none: all its tokens are there, and the first is the same in every text."""
        backbone = drawn(tuned(DeepPrompt(3, gated=True), "t5"))
        place = "decoder.block.1.layer.0.SelfAttention"
        said = gave(backbone, "deep_prompt")
        reads = noted(backbone, {"it": place}, "t5")["it"]
        gate, open_B11 = next(v for n, v in said.items() if n.startswith(place.replace(".", " ")))
        same(open_B11, mean(gate, reads[:, :1], torch.ones(2, 1)))

    @families
    @methods
    def test_padding_and_neighbours_change_nothing(self, method: str, name: str) -> None:
        """A text of five tokens beside one of seven, and alone."""
        backbone = drawn(tuned(GATED[method](), name))
        together = says(backbone, name)
        same(says(backbone, name, first_rows(batch(name), 1, 5)), together[2:])
        same(says(backbone, name, first_rows(batch(name), 0, 7)), together[:2])

    @families
    @methods
    def test_shut_and_open(self, method: str, name: str) -> None:
        """Shut, nothing is added (of a prompt, its keys and values are zeros); open, all of what the method adds without gates."""
        backbone = drawn(tuned(GATED[method](), name))
        free = tuned(GATED[method](gated=False), name)
        own = dict(backbone.named_parameters())
        for place, value in moving(free).items():
            value.data.copy_(own[place])
        same(says(opened(backbone, method, 50.0), name), says(free, name))
        if method == "deep_prompt":
            before = says(free, name)
            moving(free)["deep_prompt.vectors.weight"].data.zero_()
            shut = says(free, name)
        else:
            before, shut = says(free, name), plainly(name)
        same(says(opened(backbone, method, -50.0), name), shut)
        assert gap(before, shut) > 0.005

    @pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
    def test_half_a_prompt(self, name: str) -> None:
        """Keys and values both are multiplied."""
        backbone = opened(drawn(tuned(DeepPrompt(3, gated=True), name)), "deep_prompt", 0.7)
        free = tuned(DeepPrompt(3), name)
        (vectors,) = moving(free).values()
        vectors.data = (
            dict(backbone.named_parameters())["deep_prompt.vectors.weight"].data * torch.tensor(0.7).sigmoid()
        )
        same(says(backbone, name), says(free, name))

    @families
    @methods
    def test_gradients_reach_every_gate(self, method: str, name: str) -> None:
        backbone = drawn(tuned(GATED[method](), name))
        assert without_gradient(backbone, name) == []

    @pytest.mark.parametrize("how", COPIES)
    @methods
    def test_a_copy_in_the_middle_of_a_pass_is_independent(self, method: str, how: str) -> None:
        one = drawn(tuned(GATED[method](), "bert"))
        found: list[Any] = []
        place = "bert.encoder.layer.1.intermediate.dense"

        def take(*_: Any) -> None:
            if not found:
                found.append(None)
                found.append(COPIES[how](one))

        hook = one.model.get_submodule(place).register_forward_hook(take)
        one.hidden(read("bert", "key_values"))
        hook.remove()
        two = found[1]
        for module in two.model.modules():
            for key in [k for k, h in module._forward_hooks.items() if h is take]:
                del module._forward_hooks[key]
        independent(one, two, "bert")

    @pytest.mark.parametrize("method", ["lora", "houlsby_adapters"])
    def test_gates_of_a_decoder_that_is_not_read_do_not_move(self, method: str) -> None:
        module = Subject(lambda: FineTuning(tuning=GATED[method]()), "tiny-seq2seq").built()
        assert [n for n in moving(module.backbone) if "gates.decoder" in n] == []

    def test_hidden_states_have_no_gates(self) -> None:
        with pytest.raises(LabError, match="gates hold keys and values back"):
            DeepPrompt(mechanism="hidden_states", gated=True)
