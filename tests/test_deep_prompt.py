"""Deep prompts in paradigms: which layers have one, what they begin as, what is trained, stored and said of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors import safe_open
from test_soft_prompt_runs import metrics
from torch import Tensor

from prompt_lab import folding
from prompt_lab.backbones.load import load_backbone, load_reader
from prompt_lab.backbones.tiny import Tiny
from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.p_tuning_v2 import PTuningV2
from prompt_lab.paradigms.prefix_tuning import PrefixTuning
from prompt_lab.reporting import delta
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Finished, Subject
from prompt_lab.tuning.deep_prompt import WIDTH, DeepPrompt
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture
from prompt_lab.tuning.virtual import frequent_words

D = 32
VECTORS = "backbone.deep_prompt.vectors.weight"
BOTH = pytest.mark.parametrize("mechanism", ["key_values", "hidden_states"])


def prompted(backbone: str = "tiny-masked", template: int | str = 0, **how: Any) -> Subject:
    return Subject(lambda: PrefixTuning(template, tuning=DeepPrompt(**{"length": 3, **how})), backbone)


def weight(module: Paradigm) -> Any:
    """[P, E], the vectors as they are kept."""
    found: Any = module.backbone.deep_prompt
    return found.vectors.weight


def trained(module: Paradigm) -> dict[str, int]:
    return {n: p.numel() for n, p in module.named_parameters() if p.requires_grad}


def saved(folder: Path, of: type[hf.BertConfig | hf.AlbertConfig], **sizes: Any) -> str:
    """A random masked backbone with the words of the tiny one."""
    words = Tiny("words", "masked").tokenizer()
    body = {"hidden_size": D, "num_attention_heads": 2, "intermediate_size": 37, "initializer_range": 0.3, **sizes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf.AutoModelForMaskedLM.from_config(of(vocab_size=len(words), **body)).save_pretrained(folder)
    words.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(tmp_path_factory.mktemp("six"), hf.BertConfig, num_hidden_layers=6)


def layer_states(module: Paradigm, batch: Any) -> list[Tensor]:
    """What comes out of each layer of BERT, without virtual tokens."""
    found: list[Tensor] = []
    layers = module.backbone.model.bert.encoder.layer
    hooks = [layer.register_forward_hook(lambda m, a, output: found.append(output)) for layer in layers]
    with torch.no_grad():
        module(batch)
    for hook in hooks:
        hook.remove()
    return found


class TestLayers:
    @pytest.mark.parametrize(
        ("layers", "chosen"),
        [
            ("all", {1, 2, 3, 4, 5, 6}), ("first_third", {1, 2}), ("middle_third", {3, 4}), ("last_third", {5, 6}),
            ("2-3", {2, 3}), ("6", {6}), ("1-6", {1, 2, 3, 4, 5, 6}),
        ],
    )  # fmt: skip
    def test_those_asked_for_have_prompts(self, six: str, layers: str, chosen: set[int]) -> None:
        module = prompted(six, layers=layers).built()
        assert trained(module) == {VECTORS: 3 * 2 * len(chosen) * D}
        batch = prompted(six).batch(module, prompted().examples(2))
        module(batch).square().sum().backward()
        assert weight(module).grad.view(3, 2 * len(chosen), -1).any(-1).all()
        own = {i: layer.attention.self for i, layer in enumerate(module.backbone.model.bert.encoder.layer, 1)}
        assert {i for i, m in own.items() if module.backbone.deep_prompt.of(m, m.deep_prompt[1])} == chosen

    @pytest.mark.parametrize(("layers", "first"), [("1", 0), ("2", 1), ("last_third", 1)])
    def test_layers_below_see_nothing(self, layers: str, first: int) -> None:
        subject = prompted(layers=layers, spread=1.0)
        module = subject.built()
        batch, plain = subject.batch(module, subject.examples()), load_backbone("tiny-masked").fresh()
        found = layer_states(module, batch)
        module.backbone = plain
        expected = layer_states(module, batch)
        real = batch.attention_mask.bool()
        differs = [float((a - b)[real].abs().max()) for a, b in zip(found, expected, strict=True)]
        assert [d > 0.01 for d in differs] == [i >= first for i in range(2)]
        assert max(differs[:first], default=0) < 1e-5

    @BOTH
    @pytest.mark.parametrize("layers", ["first_third", "last_third"])
    def test_a_third_of_two_layers_is_one(self, layers: str, mechanism: str) -> None:
        module = prompted(layers=layers, mechanism=mechanism).built()
        assert len(weight(module)[0]) == (2 * D if mechanism == "key_values" else D)

    @BOTH
    def test_the_middle_third_of_two_layers_is_none(self, mechanism: str) -> None:
        with pytest.raises(LabError, match="middle_third"):
            prompted(layers="middle_third", mechanism=mechanism).built()

    def test_first_vectors_are_read_as_embedded_where_the_first_layer_has_none(self) -> None:
        """Virtual tokens stand in the text all the same, so they are trained."""
        virtual = "backbone.virtual.vectors.weight"
        found = {n: trained(prompted(layers=n, mechanism="hidden_states").built()) for n in ("1", "2", "all")}
        assert found == {"1": {VECTORS: 3 * D}, "2": {VECTORS: 3 * D, virtual: 3 * D}, "all": {VECTORS: 3 * 2 * D}}

    @pytest.mark.parametrize("layers", ["7", "2-3", "0", "0-1", "2-1"])
    @BOTH
    def test_those_that_do_not_exist(self, layers: str, mechanism: str) -> None:
        with pytest.raises(LabError, match=f"layers {layers} do not exist: the backbone has layers 1 to 2"):
            prompted(layers=layers, mechanism=mechanism).built()

    @pytest.mark.parametrize("layers", ["", "some", "1,2", "-1", "1-", "first", "1-2-3", "2 "])
    def test_nonsense(self, layers: str) -> None:
        with pytest.raises(LabError, match=f"numbers from 1 such as 17-24 or 3; it was {layers!r}"):
            DeepPrompt(layers=layers)


class TestInit:
    @BOTH
    @pytest.mark.parametrize("backbone", ["tiny-masked", "tiny-causal"])
    def test_words_are_what_the_layers_make_of_them(
        self, backbone: str, mechanism: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the plain model computes for these words: a decoder's keys and values as its cache holds them."""
        drawn: list[Tensor] = []
        words = DeepPrompt._words

        def noted(tuning: DeepPrompt, of: Any) -> Any:
            drawn.append((found := words(tuning, of)).input_ids)
            return found

        monkeypatch.setattr(DeepPrompt, "_words", noted)
        module = prompted(backbone, init="words", mechanism=mechanism).built(seed=1)
        assert set(drawn[0][0].tolist()) <= set(frequent_words(module.reader))
        plain = load_backbone(backbone).model
        with torch.no_grad():
            own = plain(drawn[0], output_hidden_states=True)
            if mechanism == "hidden_states":
                parts = [state[0, :3] for state in own.hidden_states[:2]]
            elif backbone == "tiny-causal":
                pairs = [(layer.keys, layer.values) for layer in own.past_key_values.layers]
                parts = [part[0].transpose(0, 1).flatten(1)[:3] for pair in pairs for part in pair]
            else:
                layers = zip(own.hidden_states[:2], plain.bert.encoder.layer, strict=True)
                parts = [f(x)[0, :3] for x, m in layers for f in (m.attention.self.key, m.attention.self.value)]
        torch.testing.assert_close(weight(module).detach(), torch.cat(parts, 1), atol=1e-5, rtol=0)

    @BOTH
    @pytest.mark.parametrize("init", ["words", "normal"])
    def test_is_drawn_by_the_seed(self, init: str, mechanism: str) -> None:
        first, again, other = (weight(prompted(init=init, mechanism=mechanism).built(s)) for s in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.isclose(first, other).all(1).any(), "no vector is the same"

    @BOTH
    def test_normal_has_its_spread(self, mechanism: str) -> None:
        found = weight(prompted(length=100, spread=0.5, mechanism=mechanism).built()).detach()
        assert float(found.std()) == pytest.approx(0.5, rel=0.05)
        assert abs(float(found.mean())) < 0.02

    @pytest.mark.parametrize("encoder", ["mlp", "lstm"])
    def test_words_through_an_encoder_are_refused(self, encoder: Any) -> None:
        with pytest.raises(LabError, match="an encoder says what the vectors begin as"):
            DeepPrompt(init="words", encoder=encoder)


class TestFolding:
    @BOTH
    @pytest.mark.parametrize("encoder", ["mlp", "lstm"])
    def test_changes_no_score(self, encoder: str, mechanism: str) -> None:
        subject = prompted(encoder=encoder, mechanism=mechanism)
        module = subject.built()
        batch = subject.batch(module, subject.examples())
        moving = [p for p in module.parameters() if p.requires_grad]
        untrained = module(batch).detach()
        module.loss(module(batch), batch).backward()
        assert all(p.grad is not None and p.grad.any() for p in moving)
        torch.optim.SGD(moving, lr=10.0).step()
        before = module(batch).detach()
        assert (before - untrained).abs().max() > 1e-3
        folding.fold(module)
        torch.testing.assert_close(module(batch).detach(), before, atol=1e-6, rtol=0)
        assert list(trained(module)) == [VECTORS]

    @BOTH
    def test_a_run_counts_the_encoder_and_stores_the_vectors(self, mechanism: str, tmp_path: Path) -> None:
        size = 2 * 2 * D if mechanism == "key_values" else 2 * D
        subject = prompted(encoder="mlp", mechanism=mechanism)
        finished = subject.run(learning_rate=0.1)
        cost = finished.record["cost"]
        assert cost["trained_parameters"] == 3 * D + (D + 1) * WIDTH + (WIDTH + 1) * size
        assert cost["stored_bytes"] == 3 * size * 4
        put_back(finished, subject, tmp_path)


def put_back(finished: Finished, subject: Subject, folder: Path) -> Path:
    """A module of another seed that loads what a run stored, kilobytes of vectors, answers as the run's own."""
    path = finished.write(folder)
    assert path.stat().st_size < 8000
    with safe_open(path, framework="pt") as stored:
        assert list(stored.keys()) == [VECTORS]
    module, examples = subject.built(seed=5), subject.examples()
    before = subject.scores(module, examples)
    delta.load(path, module)
    found = subject.scores(module, examples)
    torch.testing.assert_close(found, subject.scores(finished.module.eval(), examples), atol=1e-6, rtol=0)
    assert (found - before).abs().max() > 1e-3
    return path


class TestRuns:
    @BOTH
    @pytest.mark.parametrize("backbone", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
    def test_what_a_run_says_and_stores(self, backbone: str, mechanism: str, tmp_path: Path) -> None:
        subject = prompted(backbone, mechanism=mechanism)
        finished = subject.run(learning_rate=0.3, max_steps=3)
        layers = 4 if backbone == "tiny-seq2seq" and mechanism == "key_values" else 2
        numbers = 3 * layers * D * (2 if mechanism == "key_values" else 1)
        record = finished.record
        prompt = record["method"]["prompt"]
        assert (prompt["vectors"], prompt["numbers"]) == (3, numbers)
        assert prompt["moved"] > 0.1
        assert record["strategy"] == "fixed-LM prompt tuning"
        assert (record["cost"]["trained_parameters"], record["cost"]["stored_bytes"]) == (numbers, numbers * 4)
        assert len(metrics(finished.metrics, "prompt/grad_norm")) == 3
        assert min(metrics(finished.metrics, "prompt/grad_norm")) > 0
        before = load_backbone(backbone).model.state_dict()
        assert all(torch.equal(v, before[n]) for n, v in finished.module.backbone.model.state_dict().items())
        path = put_back(finished, subject, tmp_path)
        with pytest.raises(LabError, match="are not those of this paradigm"):
            delta.load(path, prompted(backbone, mechanism=mechanism, length=4).built())

    @pytest.mark.parametrize("backbone", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
    def test_a_head_beside_a_prompt(self, backbone: str) -> None:
        """P-tuning v2: of an encoder and a decoder the encoder alone has one."""
        module = Subject(lambda: PTuningV2(tuning=DeepPrompt(length=3)), backbone).built()
        assert trained(module) == {VECTORS: 3 * 2 * 2 * D, "answer.linear.weight": 2 * D, "answer.linear.bias": 2}

    @BOTH
    def test_bf16_is_finite(self, mechanism: str) -> None:
        finished = prompted(mechanism=mechanism, encoder="mlp").run_anew(precision="bf16-mixed")
        assert all(torch.tensor(v).isfinite() for v in finished.record["scores"].values())
        assert torch.tensor(metrics(finished.metrics, "train/loss")).isfinite().all()
        assert weight(finished.module).dtype == torch.float32

    @pytest.mark.parametrize(("mechanism", "prompt_first"), [("key_values", True), ("hidden_states", False)])
    def test_a_mixture_with_matrices_trains_both(self, mechanism: Any, prompt_first: bool) -> None:
        parts = [DeepPrompt(3, mechanism=mechanism, learning_rate=0.3), Lora(rank=2, learning_rate=0.1)]
        subject = Subject(lambda: PrefixTuning(tuning=Mixture(parts if prompt_first else parts[::-1])))
        finished = subject.run(max_steps=3)
        moving = trained(finished.module)
        matrices = [p for n, p in finished.module.named_parameters() if n in moving and ".lora_B." in n]
        assert {n for n in moving if ".lora_" not in n} == {VECTORS}
        assert matrices
        assert all(p.any() for p in matrices), "they began as zero"
        assert finished.record["method"]["prompt"]["moved"] > 0.1
        assert finished.record["strategy"] == "prompt+LM tuning"

    def test_shared_layers_from_a_folder(self, tmp_path: Path) -> None:
        """ALBERT calls one layer twice, and each call has a prompt of its own."""
        subject = prompted(saved(tmp_path / "albert", hf.AlbertConfig, num_hidden_layers=2, embedding_size=16))
        finished = subject.run(learning_rate=0.3, max_steps=3)
        assert finished.record["cost"]["trained_parameters"] == 3 * 2 * 2 * D
        put_back(finished, subject, tmp_path)
        module = finished.module
        whole, vectors = subject.scores(module, subject.examples()), weight(module).detach().clone()
        for call in (0, 1):
            weight(module).data = vectors.clone()
            weight(module).data.chunk(2, 1)[call].mul_(-50)
            assert (subject.scores(module, subject.examples()) - whole).abs().max() > 1e-3


class TestPasses:
    @BOTH
    @pytest.mark.parametrize("encoder", ["none", "mlp"])
    def test_two_passes_before_one_step_back(self, mechanism: str, encoder: str) -> None:
        subject = prompted(mechanism=mechanism, encoder=encoder)
        module = subject.built()
        one, two = (subject.batch(module, subject.examples()[i : i + 3]) for i in (0, 3))
        moving = {n: p for n, p in module.named_parameters() if p.requires_grad}

        def gradients(*losses: Tensor) -> list[Tensor]:
            module.zero_grad()
            for loss in losses:
                loss.backward()
            return [p.grad.clone() for p in moving.values() if p.grad is not None]

        apart = gradients(module.loss(module(one), one)), gradients(module.loss(module(two), two))
        losses = module.loss(module(one), one), module.loss(module(two), two)
        for found, a, b in zip(gradients(*losses), *apart, strict=True):
            torch.testing.assert_close(found, a + b)
            assert found.any()

    @BOTH
    def test_a_copy_in_the_middle_of_a_pass(self, mechanism: str) -> None:
        subject = prompted(mechanism=mechanism, encoder="mlp")
        module = subject.built()
        batch = subject.batch(module, subject.examples())
        scores = module(batch)
        twin = module.backbone.fresh()
        scores.sum().backward()
        own, module.backbone = module.backbone, twin
        torch.testing.assert_close(module(batch), scores, atol=1e-6, rtol=0)
        folding.fold(twin)
        weight(module).data.mul_(50)
        assert (module(batch) - scores).abs().max() > 1e-3
        module.backbone = own
        torch.testing.assert_close(module(batch), scores, atol=1e-6, rtol=0)


class TestRefused:
    @BOTH
    @pytest.mark.parametrize(
        "template", ["{soft}{text_a} {mask}", "{text_a} {soft:2}{mask}", "{soft:It was}{text_a} {mask}"]
    )
    def test_virtual_tokens_of_the_template(self, template: str, mechanism: str) -> None:
        with pytest.raises(LabError, match="has virtual tokens, and DeepPrompt trains none"):
            prompted(template=template, mechanism=mechanism).make().prepare(load_task(TOY), load_reader("tiny-masked"))

    @pytest.mark.parametrize("length", [0, -1])
    def test_no_vectors(self, length: int) -> None:
        with pytest.raises(LabError, match=f"1 or more; it was {length}"):
            DeepPrompt(length)

    def test_a_prompt_without_a_template(self) -> None:
        with pytest.raises(LabError, match="DeepPrompt belongs to a template and an answer"):
            DeepPrompt().apply(load_backbone("tiny-masked").fresh())
