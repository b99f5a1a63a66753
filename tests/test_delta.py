"""A delta and its base make the model that was learnt, wherever they lie; what cannot be that model is refused."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from prompt_lab.backbones import delta
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.checkpoint import Checkpoint, revision_of
from prompt_lab.backbones.delta import Adapted, Made, adapter_settings, still_missing, write
from prompt_lab.backbones.load import checkpoint, load_backbone
from prompt_lab.backbones.packaged.minilm_mlm import FOLDER, MinilmMlm
from prompt_lab.backbones.tiny import Tiny
from prompt_lab.errors import LabError
from prompt_lab.reporting import delta as of_runs
from prompt_lab.tuning.lora import Lora

import runs
from samples import MASKED, backbone, config, tokenizer

QUERY = "bert.encoder.layer.0.attention.self.query.weight"
WORDS = "bert.embeddings.word_embeddings.weight"
NORM = "bert.encoder.layer.1.output.LayerNorm.bias"
HEAD = "cls.predictions.transform.dense.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local checkpoint."""
    return Path(Tiny("x", "masked", ["a great film"]).save(tmp_path_factory.mktemp("bases") / "whole"))


@pytest.fixture(scope="module")
def headless(base: Path) -> Path:
    """The same without its head."""
    folder = base.with_name("headless")
    shutil.copytree(base, folder)
    Tiny("x", "masked", ["a great film"]).model()[0].bert.save_pretrained(folder)
    return folder


def weights(source: Checkpoint) -> dict[str, Tensor]:
    """By name, without those that the checkpoint does not hold."""
    model, missing = source.model()
    return {n: v for n, v in model.state_dict().items() if n not in missing}


def moved(before: Mapping[str, Tensor], *names: str) -> dict[str, Tensor]:
    """Parameters after some training."""
    generator = torch.Generator().manual_seed(0)
    return {n: before[n] + torch.randn(before[n].shape, generator=generator) / 50 for n in names}


def made_for(name: str | Path, **changes: str) -> Made:
    source = checkpoint(str(name))
    return replace(Made(str(name), revision_of(source, *source.model()), source.kind()), **changes)


def stored(folder: Path, on: str | Path, learnt: Mapping[str, Tensor], *, int8: bool = False, **changes: str) -> Path:
    """A folder with a delta."""
    before = weights(checkpoint(str(on)))
    write(folder / delta.FILE, learnt, before, made_for(on, **changes), int8=int8)
    return folder


def spoilt(
    folder: Path, change: Callable[[dict[str, Tensor]], object] = lambda stored: None, **made: str | None
) -> None:
    """Change what a delta holds, or what it says of itself."""
    path = folder / delta.FILE
    tensors, said = load_file(path), asdict(Adapted.made(folder)) | made
    change(tensors)
    save_file(tensors, path, {k: v for k, v in said.items() if v is not None})


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(LabError) as error:
        load()
    return str(error.value)


@torch.no_grad()
def draw(parameters: Mapping[str, Tensor]) -> None:
    """Give them random values that float16 can hold."""
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters.values():
        parameter.normal_(std=0.3, generator=generator)
        parameter.copy_(parameter.half())


def half(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: v.half().float() for n, v in values.items()}


class TestWhatWasLearnt:
    def test_in_float16(self, base: Path, tmp_path: Path) -> None:
        before = weights(checkpoint(str(base)))
        learnt = moved(before, QUERY, NORM, HEAD)
        loaded = load_backbone(str(stored(tmp_path, base, learnt)))
        expected = before | half(learnt)
        found = loaded.model.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in found.items())
        assert not torch.equal(found[QUERY], before[QUERY])

    def test_in_8_bits_is_half_a_step_off_at_most(self, base: Path, tmp_path: Path) -> None:
        before = weights(checkpoint(str(base)))
        learnt = moved(before, QUERY, NORM, WORDS)
        learnt[QUERY][0] = before[QUERY][0]  # a row that did not move
        learnt[QUERY][1] += 100  # and one that moved far: every row has a scale of its own
        found = load_backbone(str(stored(tmp_path, base, learnt, int8=True))).model.state_dict()
        for name in (QUERY, WORDS):
            step = (learnt[name] - before[name]).abs().amax(1, keepdim=True) / 127
            error = (found[name] - learnt[name]).abs()
            assert (error <= step / 2 * 1.001 + 1e-5 * step.amax()).all()
            assert (error > step / 8).any(), "8 bits cannot be exact"
        assert torch.equal(found[QUERY][0], before[QUERY][0])
        assert torch.equal(found[NORM], learnt[NORM].half().float())
        types = {n: v.dtype for n, v in load_file(tmp_path / delta.FILE).items()}
        assert types == {QUERY: torch.int8, QUERY + "::scale": torch.float32, WORDS: torch.int8,
                         WORDS + "::scale": torch.float32, NORM: torch.float16}  # fmt: skip

    def test_8_bits_take_half_the_room(self, base: Path, tmp_path: Path) -> None:
        learnt = moved(weights(checkpoint(str(base))), WORDS, QUERY)
        sizes = [
            (stored(tmp_path / str(int8), base, learnt, int8=int8) / delta.FILE).stat().st_size
            for int8 in (True, False)
        ]
        assert sizes[0] < 0.7 * sizes[1]

    @pytest.mark.parametrize("int8", [True, False])
    def test_what_the_base_lacks_is_stored_whole(self, headless: Path, tmp_path: Path, int8: bool) -> None:
        torch.manual_seed(5)
        model, missing = checkpoint(str(headless)).model()
        learnt = {n: p.detach() for n, p in model.named_parameters() if n in missing}
        assert HEAD in learnt
        torch.manual_seed(6)
        loaded = load_backbone(str(stored(tmp_path, headless, learnt, int8=int8)))
        assert loaded.missing == ()
        loaded.require_head()
        found = loaded.model.state_dict()
        assert all(torch.equal(found[n], v) for n, v in half(learnt).items())
        assert torch.equal(found["cls.predictions.decoder.bias"], found["cls.predictions.bias"])

    def test_what_is_still_missing_is_told(self, headless: Path, tmp_path: Path) -> None:
        model, missing = checkpoint(str(headless)).model()
        learnt = {n: p.detach() for n, p in model.named_parameters() if n in missing and "LayerNorm" not in n}
        loaded = load_backbone(str(stored(tmp_path, headless, learnt)))
        assert loaded.missing == (
            "cls.predictions.transform.LayerNorm.bias",
            "cls.predictions.transform.LayerNorm.weight",
        )
        assert "comes without a language-model head" in refusal(loaded.require_head)

    def test_a_tensor_with_two_names_is_there_if_one_of_them_is(self) -> None:
        model = Tiny("x", "masked", ["a"]).model()[0]
        both = ("cls.predictions.bias", "cls.predictions.decoder.bias")
        assert still_missing(model, (*both, HEAD), both[:1]) == still_missing(model, (*both, HEAD), both[1:]) == (HEAD,)
        assert still_missing(model, ("cls.predictions.decoder.weight",), ()) == (), "the base has it as its embeddings"

    @pytest.mark.parametrize("int8", [True, False])
    def test_strange_layouts_and_types(self, base: Path, tmp_path: Path, int8: bool) -> None:
        before = weights(checkpoint(str(base)))
        wanted = {QUERY: before[QUERY] + 1, HEAD: before[HEAD] * 2, NORM: before[NORM] + 1}
        learnt = {QUERY: wanted[QUERY].T.contiguous().T, HEAD: wanted[HEAD].double(), NORM: wanted[NORM].bfloat16()}
        turned = {n: v.T.contiguous().T for n, v in before.items() if v.ndim == 2}
        write(tmp_path / delta.FILE, learnt, turned, made_for(base), int8=int8)
        found = load_backbone(str(tmp_path)).model.state_dict()
        for name, value in wanted.items():
            assert (found[name] - value).abs().max() < 5e-3

    @pytest.mark.parametrize("twice", [True, False])
    def test_a_tensor_with_two_names_moves_once(self, base: Path, tmp_path: Path, twice: bool) -> None:
        before = weights(checkpoint(str(base)))
        other = "cls.predictions.decoder.weight"
        learnt = moved(before, WORDS)
        if twice:
            learnt[other] = learnt[WORDS]
        model = load_backbone(str(stored(tmp_path, base, learnt, int8=True))).model
        assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
        assert (model.state_dict()[other] - learnt[WORDS]).abs().max() < 1e-3
        assert (learnt[WORDS] - before[WORDS]).abs().max() > 1e-2

    def test_nothing_at_all_is_the_base(self, base: Path, tmp_path: Path) -> None:
        found, before = (
            load_backbone(str(stored(tmp_path, base, {}))).model.state_dict(),
            weights(checkpoint(str(base))),
        )
        assert all(torch.equal(value, before[name]) for name, value in found.items())


class TestAsABackbone:
    def test_reads_as_its_base_does(self, base: Path, tmp_path: Path) -> None:
        loaded = load_backbone(str(stored(tmp_path, base, moved(weights(checkpoint(str(base))), QUERY))))
        own = checkpoint(str(base)).reader
        assert type(loaded) is Backbone
        assert loaded.reader.name == str(tmp_path)
        assert (loaded.reader.kind, loaded.reader.max_length) == (own.kind, own.max_length)
        assert loaded.reader.tokenizer("a great film") == own.tokenizer("a great film")
        assert not loaded.training
        assert all(p.requires_grad for p in loaded.parameters())
        assert {p.dtype for p in loaded.parameters()} == {torch.float32}

    def test_revision_names_delta_and_base(self, base: Path, tmp_path: Path) -> None:
        learnt = moved(weights(checkpoint(str(base))), QUERY)
        one, same = (stored(tmp_path / n, base, learnt) for n in ("one", "same"))
        other = stored(tmp_path / "other", base, {QUERY: learnt[QUERY] + 1})
        found = [load_backbone(str(folder)).reader.revision for folder in (one, same, other)]
        assert found[0] == found[1] != found[2]
        assert found[0].startswith("sha256:")
        assert found[0] != made_for(base).base_revision

    def test_a_run_on_it(self, base: Path, tmp_path: Path) -> None:
        folder = stored(tmp_path / "made", base, moved(weights(checkpoint(str(base))), QUERY))
        record = runs.record(tmp_path, {"backbone": str(folder), "save_model": True, "trainer": {"max_steps": 1}})
        assert record["backbone_revision"] == load_backbone(str(folder)).reader.revision

    @pytest.mark.parametrize("of", ["masked", "causal", "seq2seq"])
    @pytest.mark.parametrize("int8", [True, False])
    def test_low_rank_matrices_are_merged(self, of: Any, int8: bool, tmp_path: Path) -> None:
        tiny = Tiny("x", of, ["a great film"])
        name = tiny.save(tmp_path / "base")
        unmerged = load_backbone(name).fresh()
        Lora(rank=2, alpha=3).apply(unmerged)
        learnt = {n: p for n, p in unmerged.model.named_parameters() if p.requires_grad}
        draw(learnt)
        folder = stored(tmp_path / "made", name, learnt, int8=int8, peft=adapter_settings(unmerged.model))
        merged, plain = load_backbone(str(folder)), load_backbone(name)
        assert [n for n, _ in merged.model.named_parameters()] == [n for n, _ in plain.model.named_parameters()]
        assert not adapter_settings(merged.model)
        assert all(p.requires_grad for p in merged.parameters())
        one, two, three = (logits(b) for b in (merged, unmerged, plain))
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
        assert (one - three).abs().max() > 0.1

    def test_only_some_layers_and_the_head_besides(self, headless: Path, tmp_path: Path) -> None:
        torch.manual_seed(3)
        learning = load_backbone(str(headless)).fresh()
        head = learning.head_parameters()
        Lora(rank=2, targets=["query", "attention.output.dense"]).apply(learning)
        for parameter in head:
            parameter.requires_grad_(True)
        learnt = {n: p for n, p in learning.model.named_parameters() if p.requires_grad}
        draw(learnt)
        folder = stored(tmp_path, headless, learnt, peft=adapter_settings(learning.model))
        merged = load_backbone(str(folder))
        assert merged.missing == ()
        torch.testing.assert_close(logits(merged), logits(learning), atol=1e-4, rtol=1e-4)

    def test_without_an_adapter_there_are_no_settings(self) -> None:
        assert adapter_settings(Tiny("x", "masked", ["a"]).model()[0]) == ""


@torch.no_grad()
def logits(of: Backbone) -> Tensor:
    ids = torch.tensor([[5, 9, 7, 3, 11, 6]])
    more = {"decoder_input_ids": ids.flip(1)} if of.reader.kind == "seq2seq" else {}
    return of.model(input_ids=ids, **more).logits


class TestOnADelta:
    @pytest.mark.parametrize("upper", ["full", "lora"])
    @pytest.mark.parametrize("lower", ["full", "lora"])
    def test_another_one(self, base: Path, tmp_path: Path, lower: str, upper: str) -> None:
        name = str(base)
        for number, what in enumerate((lower, upper)):
            learning = load_backbone(name).fresh()
            if what == "lora":
                Lora(rank=2).apply(learning)
                learnt = {n: p for n, p in learning.model.named_parameters() if p.requires_grad}
                draw(learnt)
            else:
                learnt = half(moved(learning.model.state_dict(), QUERY, NORM))
                learning.model.load_state_dict(learnt, strict=False)
            settings = adapter_settings(learning.model)
            name = str(stored(tmp_path / str(number), name, learnt, peft=settings))
        torch.testing.assert_close(logits(load_backbone(name)), logits(learning), atol=1e-4, rtol=1e-4)
        assert (logits(load_backbone(name)) - logits(load_backbone(str(tmp_path / "0")))).abs().max() > 0.05

    def test_that_was_changed_since(self, base: Path, tmp_path: Path) -> None:
        before = weights(checkpoint(str(base)))
        lower = stored(tmp_path / "lower", base, moved(before, QUERY))
        upper = stored(tmp_path / "upper", lower, moved(before, NORM))
        stored(lower, base, moved(before, HEAD))
        assert f"was made for {lower} (sha256:" in refusal(checkpoint(str(upper)).model)

    def test_that_is_itself(self, base: Path, tmp_path: Path) -> None:
        stored(tmp_path, base, {})
        spoilt(tmp_path, base=str(tmp_path))
        assert "stands on" in refusal(lambda: checkpoint(str(tmp_path)))
        assert "that is the delta itself" in refusal(lambda: checkpoint(str(tmp_path)))


class TestPlaces:
    def test_a_delta_that_was_moved(self, base: Path, tmp_path: Path) -> None:
        learnt = moved(weights(checkpoint(str(base))), QUERY)
        stored(tmp_path / "here", base, learnt).rename(tmp_path / "there")
        assert torch.equal(load_backbone(str(tmp_path / "there")).model.state_dict()[QUERY], half(learnt)[QUERY])

    @pytest.mark.parametrize("given", ["bases/whole", "./bases/whole", "~/bases/whole"])
    def test_a_base_that_was_given_by_a_relative_path(
        self, base: Path, tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        shutil.copytree(base, "bases/whole")
        write(Path("made", delta.FILE), {}, {}, Made(given, made_for(base).base_revision, "masked"), int8=False)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
        assert checkpoint("../made").model()[1] == ()
        assert Adapted.made(Path("../made")).base == str((tmp_path / "bases/whole").resolve())

    def test_the_name_of_a_packaged_base_stays_as_it_is(self, tmp_path: Path) -> None:
        write(tmp_path / delta.FILE, {}, {}, Made("tiny-masked", "x", "masked"), int8=False)
        assert Adapted.made(tmp_path).base == "tiny-masked"

    def test_a_base_that_is_gone(self, base: Path, tmp_path: Path) -> None:
        copy = tmp_path / "base"
        shutil.copytree(base, copy)
        folder = stored(tmp_path / "made", copy, {})
        shutil.rmtree(copy)
        assert refusal(lambda: load_backbone(str(folder))).startswith(
            f"the delta {folder / delta.FILE} stands on {str(copy)!r}: no such folder"
        )

    def test_a_base_that_is_gone_after_it_was_found(self, base: Path, tmp_path: Path) -> None:
        copy = tmp_path / "base"
        shutil.copytree(base, copy)
        source = checkpoint(str(stored(tmp_path / "made", copy, {})))
        shutil.rmtree(copy)
        for ask in (source.tokenizer, source.model):
            assert f"{delta.FILE} stands on {str(copy)!r}: " in refusal(ask)

    def test_a_base_of_the_hub_that_cannot_be_had(
        self, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        stored(tmp_path, base, {})
        spoilt(tmp_path, base="org/none")
        for ask in (checkpoint(str(tmp_path)).config, lambda: checkpoint(str(tmp_path)).reader):
            assert "stands on 'org/none': backbone 'org/none' could not be had from the hub" in refusal(ask)

    def test_beside_a_whole_checkpoint_it_is_not_read(self, base: Path, tmp_path: Path) -> None:
        shutil.copytree(base, tmp_path / "both")
        (tmp_path / "both" / delta.FILE).write_bytes(b"")
        assert checkpoint(str(tmp_path / "both")).model()[1] == ()


class TestRefused:
    def test_other_weights_of_the_base(self, base: Path, tmp_path: Path) -> None:
        copy = tmp_path / "base"
        shutil.copytree(base, copy)
        folder = stored(tmp_path / "made", copy, {})
        model = checkpoint(str(copy)).model()[0]
        model.bert.embeddings.LayerNorm.bias.data += 1
        model.save_pretrained(copy)
        message = refusal(checkpoint(str(folder)).model)
        assert f"was made for {copy} (sha256:" in message
        assert f"but that is now {made_for(copy).base_revision}. Use the same version of it" in message

    @pytest.mark.parametrize("family", MASKED)
    def test_not_a_base_whose_head_is_drawn_anew_every_time(self, family: str, tmp_path: Path) -> None:
        backbone(family).model.base_model.save_pretrained(tmp_path / "base")
        config(family).save_pretrained(tmp_path / "base")
        tokenizer(family).save_pretrained(tmp_path / "base")
        source = checkpoint(str(tmp_path / "base"))
        found = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            found.append(source.model())
        one, two = (model.state_dict() for model, _ in found)
        assert not all(torch.equal(value, two[name]) for name, value in one.items())
        assert revision_of(source, *found[0]) == revision_of(source, *found[1])
        folder = stored(tmp_path / "made", tmp_path / "base", {})
        assert set(checkpoint(str(folder)).model()[1]) == set(found[0][1])

    @pytest.mark.parametrize("content", [b"", b"no tensors", "half", "one byte less"])
    def test_a_damaged_file(self, base: Path, tmp_path: Path, content: Any) -> None:
        path = stored(tmp_path, base, moved(weights(checkpoint(str(base))), QUERY)) / delta.FILE
        whole = path.read_bytes()
        cut = {"half": whole[: len(whole) // 2], "one byte less": whole[:-1]}
        path.write_bytes(cut.get(content, content))
        message = refusal(lambda: checkpoint(str(tmp_path)))
        assert message.startswith(f"{path} is not a delta that `prompt-lab pretrain` wrote, or it is damaged (")

    @pytest.mark.parametrize(
        "said",
        [{"base": None}, {"base_revision": None}, {"kind": None}, {"more": "x"}, {"kind": "nonsense"},
         {"base": None, "base_revision": None, "kind": None, "peft": None}],
    )  # fmt: skip
    def test_a_file_that_does_not_say_what_it_is(self, base: Path, tmp_path: Path, said: dict[str, Any]) -> None:
        spoilt(stored(tmp_path, base, {}), **said)
        assert "is not a delta that `prompt-lab pretrain` wrote" in refusal(lambda: checkpoint(str(tmp_path)))

    @pytest.mark.parametrize("settings", ["{", "[]", "{}", '{"peft_type": "NONE"}', '{"peft_type": "LORA", "x": 1}',
                                          '{"peft_type": "LORA", "target_modules": ["none"]}'])  # fmt: skip
    def test_settings_of_an_adapter_that_cannot_be_read(self, base: Path, tmp_path: Path, settings: str) -> None:
        spoilt(stored(tmp_path, base, {}), peft=settings)
        assert "is not a delta that `prompt-lab pretrain` wrote" in refusal(checkpoint(str(tmp_path)).model)

    def test_the_delta_of_a_run(self, tmp_path: Path) -> None:
        runs.record(tmp_path, {"save_model": True, "trainer": {"max_steps": 1}})
        (path,) = tmp_path.rglob(of_runs.FILE)
        assert "is not a delta that `prompt-lab pretrain` wrote" in refusal(lambda: checkpoint(str(path.parent)))

    @pytest.mark.parametrize("int8", [True, False])
    @pytest.mark.parametrize(
        ("what", "change"),
        [
            ("bert.nonsense", lambda s, i: s.update({"bert.nonsense": s[QUERY].clone()})),
            (QUERY, lambda s, i: s.update({QUERY: s[QUERY][:, :1].clone()})),
            (QUERY, lambda s, i: s.update({QUERY: s[QUERY][:3].clone()})),
            (NORM, lambda s, i: s.update({NORM: torch.zeros(1)})),
            ("none::scale", lambda s, i: s.update({"none::scale": torch.zeros(1)})),
            (QUERY, lambda s, i: s.pop(QUERY + "::scale") if i else s.update({QUERY: torch.zeros(1)})),
            (QUERY + "::scale", lambda s, i: s.update({QUERY + "::scale": torch.ones(1)})),
        ],
    )
    def test_what_does_not_fit(self, base: Path, tmp_path: Path, int8: bool, what: str, change: Any) -> None:
        learnt = moved(weights(checkpoint(str(base))), QUERY, NORM)
        spoilt(stored(tmp_path, base, learnt, int8=int8), lambda s: change(s, int8))
        message = refusal(checkpoint(str(tmp_path)).model)
        assert message.startswith(f"the delta {tmp_path / delta.FILE} does not fit {base}: ")
        assert what in message

    def test_a_full_disk(self, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> None:
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

        stored(tmp_path, base, {})
        before = (tmp_path / delta.FILE).read_bytes()
        monkeypatch.setattr("safetensors.torch.save_file", full)
        message = refusal(lambda: stored(tmp_path, base, moved(weights(checkpoint(str(base))), QUERY)))
        assert message.startswith(f"cannot write {tmp_path / delta.FILE}: ")
        assert "No space left on device" in message
        assert [p.name for p in tmp_path.iterdir()] == [delta.FILE]
        assert (tmp_path / delta.FILE).read_bytes() == before


class TestMinilm:
    def test_can_be_fine_tuned(self, tmp_path: Path) -> None:
        record = runs.record(
            tmp_path, {"backbone": "minilm", "model": {"class_path": "FineTuning"}, "trainer": {"max_steps": 1}}
        )
        encoder = sum(p.numel() for n, p in load_backbone("minilm").model.named_parameters() if n.startswith("bert."))
        assert record["cost"]["trained_parameters"] == encoder + 2 * 384 + 2
        assert record["cost"]["steps"] == 1

    def test_but_not_prompted(self, tmp_path: Path) -> None:
        assert "backbone 'minilm' comes without a language-model head (cls.predictions." in refusal(
            lambda: runs.record(tmp_path, {"backbone": "minilm", "trainer": {"max_steps": 1}})
        )

    def test_is_the_base_of_minilm_mlm(self) -> None:
        source = MinilmMlm()
        assert (Adapted.made(FOLDER).base, source.kind(), source.name) == ("minilm", "masked", "minilm-mlm")
        with safe_open(FOLDER / delta.FILE, framework="pt") as file:
            assert HEAD in file.keys()  # noqa: SIM118
        assert isinstance(load_backbone("minilm").model, hf.BertForMaskedLM)
