"""What peft put into a backbone is stored in peft's own format: peft alone loads it, and so does the lab, one copy of each tensor."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from prompt_lab.backbones.load import load_backbone
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.reporting import delta
from prompt_lab.reporting.adapters import plain_name
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.ada_lora import AdaLora
from prompt_lab.tuning.bit_fit import BitFit
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.ia3 import Ia3
from prompt_lab.tuning.layer_norm import LayerNorm
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture

TINY = pytest.mark.parametrize("backbone", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
TUNINGS: dict[str, Callable[[], Tuning]] = {
    "lora": Lora,
    "dora": lambda: Lora(dora=True),
    "rslora": lambda: Lora(rslora=True, targets=["query", "value"]),
    "ia3": Ia3,
    "ada_lora": AdaLora,
    "layer_norm": LayerNorm,
}
PATTERN = "{text_a} It was {mask}"


def drawn(module: Paradigm) -> Paradigm:
    """With other numbers in all that moves."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module


def subject(tuning: Callable[[], Tuning], backbone: str = "tiny-masked") -> Subject:
    return Subject(lambda: PatternTuning(template=PATTERN, tuning=tuning()), backbone)


@torch.no_grad()
def words(module: Paradigm, backbone: Any) -> Tensor:
    """Logits of all words at the mask."""
    one = Subject(type(module), module.reader.name)
    return backbone.slot_logits(one.batch(module, one.examples()))


def loaded(folder: Path, backbone: str) -> Any:
    """A plain model, with what peft itself finds in a folder."""
    plain = load_backbone(backbone).fresh()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of keys that are missing
        warnings.filterwarnings("ignore", "Unsupported layer type")
        plain.model = peft.PeftModel.from_pretrained(plain.model, folder).base_model.model
    return plain


@TINY
@pytest.mark.parametrize("name", TUNINGS)
def test_peft_loads_it(name: str, backbone: str, tmp_path: Path) -> None:
    one = subject(TUNINGS[name], backbone)
    module = drawn(one.built())
    delta.save(tmp_path / delta.FILE, module)
    (folder,) = (tmp_path / "peft").iterdir()
    assert folder.name == next(iter(module.backbone.model.peft_config))
    found = words(module, loaded(folder, backbone))
    torch.testing.assert_close(found, words(module, module.backbone), atol=1e-5, rtol=0)
    assert (found - words(module, load_backbone(backbone))).abs().max() > 0.01

    again = one.built(seed=5)
    delta.load(tmp_path / delta.FILE, again)
    torch.testing.assert_close(words(module, again.backbone), words(module, module.backbone), atol=0, rtol=0)


def test_what_no_answer_reads_is_in_pefts_file_too(tmp_path: Path) -> None:
    """A head stands on the encoder; peft would complain of a decoder without matrices."""
    one = Subject(lambda: FineTuning(tuning=Lora()), "tiny-seq2seq")
    module = drawn(one.built())
    delta.save(tmp_path / delta.FILE, module)
    stored = load_file(tmp_path / "peft/lora/adapter_model.safetensors")
    assert {n.split(".")[2] for n in stored} == {"encoder", "decoder"}
    again = one.built(seed=5)
    assert set(delta.read(tmp_path / delta.FILE, again)) == set(module.moved_state())
    loaded(tmp_path / "peft/lora", "tiny-seq2seq")
    delta.load(tmp_path / delta.FILE, again)
    torch.testing.assert_close(one.scores(again, one.examples()), one.scores(module, one.examples()))


class TestSeveral:
    """LoRA on layers of (IA)^3's, normalisation, biases and a head."""

    @staticmethod
    def subject() -> Subject:
        return Subject(lambda: FineTuning(tuning=Mixture([Lora(), Ia3(), LayerNorm(), BitFit()])))

    def test_one_copy_of_each_tensor(self, tmp_path: Path) -> None:
        one = self.subject()
        module = drawn(one.built())
        delta.save(tmp_path / delta.FILE, module)
        assert sorted(p.name for p in (tmp_path / "peft").iterdir()) == ["ia3", "layer_norm", "lora"]
        state, rest = module.moved_state(), load_file(tmp_path / delta.FILE)
        assert rest
        assert not [n for n in rest if "lora" in n or "ia3" in n or "ln_tuning" in n]
        paths = [tmp_path / "peft" / n / "adapter_model.safetensors" for n in ("ia3", "layer_norm", "lora")]
        stored = sum(v.numel() for path in paths for v in load_file(path).values()) + sum(
            v.numel() for v in rest.values()
        )
        assert stored == sum(v.numel() for v in state.values())
        again = one.built(seed=5)
        delta.load(tmp_path / delta.FILE, again)
        assert all(torch.equal(v, state[n]) for n, v in again.moved_state().items())
        assert delta.files(tmp_path) == [
            tmp_path / delta.FILE,
            *(tmp_path / "peft" / n / f for n in ("ia3", "layer_norm", "lora") for f in
              ("adapter_config.json", "adapter_model.safetensors")),
        ]  # fmt: skip

    @pytest.mark.parametrize("name", ["lora", "ia3", "layer_norm"])
    def test_names_are_those_of_a_plain_model(self, name: str, tmp_path: Path) -> None:
        """So that peft finds them, though one stands on the other's layers here."""
        module = drawn(self.subject().built())
        delta.save(tmp_path / delta.FILE, module)
        alone = drawn(Subject(lambda: FineTuning(tuning=TUNINGS[name]())).built())
        delta.save(tmp_path / "alone" / delta.FILE, alone)
        found, expected = (
            load_file(f / "peft" / name / "adapter_model.safetensors") for f in (tmp_path, tmp_path / "alone")
        )
        assert {n: v.shape for n, v in found.items()} == {n: v.shape for n, v in expected.items()}
        loaded(tmp_path / "peft" / name, "tiny-masked")

    def test_plain_name(self) -> None:
        assert plain_name("a.base_layer.base_layer.weight") == "a.weight"
        assert plain_name("base_layer.b.base_layers.weight") == "b.base_layers.weight"


def test_what_the_files_say(tmp_path: Path) -> None:
    module = subject(Lora).built()
    delta.save(tmp_path / delta.FILE, module)
    config = json.loads((tmp_path / "peft/lora/adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["inference_mode"]) == ("LORA", 8, True)
    assert config["base_model_name_or_path"] == "tiny-masked"
    said = delta.made_for(tmp_path / "peft/lora/adapter_model.safetensors")
    assert said["revision"] == module.backbone.reader.revision
    assert delta.made_for(tmp_path / delta.FILE)["paradigm"] == "PatternTuning"


class TestRefused:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        delta.save(tmp_path / delta.FILE, subject(Lora).built())
        return tmp_path / delta.FILE

    @pytest.mark.parametrize("other", [Full, Ia3, lambda: Mixture([Lora(), Ia3()]), lambda: Lora(targets=["query"])])
    def test_other_settings(self, other: Any, path: Path) -> None:
        with pytest.raises(LabError, match=r"not those of this paradigm: .* made with other settings"):
            delta.load(path, subject(other).built())

    def test_another_rank(self, path: Path) -> None:
        with pytest.raises(LabError, match=r"saved parameters are not those of this paradigm.*lora_A"):
            delta.load(path, subject(lambda: Lora(rank=2)).built())

    @pytest.mark.parametrize("content", [None, b"", b"nonsense"])
    def test_an_adapter_that_cannot_be_read(self, content: bytes | None, path: Path) -> None:
        weights = path.parent / "peft/lora/adapter_model.safetensors"
        weights.unlink()
        if content is not None:
            weights.write_bytes(content)
        with pytest.raises(LabError, match=r"adapter_model.safetensors cannot be read .* run it again"):
            delta.load(path, subject(Lora).built())

    def test_an_adapter_of_another_backbone(self, path: Path) -> None:
        weights = path.parent / "peft/lora/adapter_model.safetensors"
        save_file(load_file(weights), weights, {**delta.made_for(weights), "revision": "sha256:0"})
        with pytest.raises(LabError, match=r"adapter_model.safetensors was made for tiny-masked \(sha256:0\), not for"):
            delta.load(path, subject(Lora).built())
