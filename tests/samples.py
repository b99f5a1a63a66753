"""Small tokenizers and random models of the families people use, made on the spot, for the tests of reading and scoring."""

import json
import string
from functools import cache
from typing import Any

import transformers as hf
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from prompt_lab.backbones.backbone import Backbone, DecoderBackbone, Seq2SeqBackbone
from prompt_lab.backbones.checkpoint import READERS
from prompt_lab.backbones.reader import Kind, Reader
from prompt_lab.backbones.tiny import word_piece
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files

WORDS = [
    "It",
    "was",
    "great",
    "terrible",
    "good",
    "bad",
    "film",
    "movie",
    "the",
    "a",
    "an",
    "All",
    "in",
    "all",
    "Yes",
    "No",
    ".",
    ",",
    "(",
    ")",
    "!",
    "?",
    ":",
    '"',
    "'",
]
CHINESE = "满意失望很好差感觉这。，"
MASKED = ("bert", "roberta", "xlmr", "deberta")
CAUSAL = ("gpt2", "llama")
SEQ2SEQ = ("t5", "bart")
FAMILIES = (*MASKED, *CAUSAL, *SEQ2SEQ)
KIND: dict[str, Kind] = (
    dict.fromkeys(MASKED, "masked") | dict.fromkeys(CAUSAL, "causal") | dict.fromkeys(SEQ2SEQ, "seq2seq")
)
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def task(*labels: str, fields: tuple[str, ...] = ("text_a",), **words: Any) -> Task:
    """A task without texts: ``task("no", "yes", no=["bad"], yes=["good"])``."""
    return Task(Files(), labels, words, (), fields, name="sample")


def byte_pairs(special: list[str]) -> dict[str, Any]:
    """Vocabulary and merges of a byte-level BPE that has the words with and without a space before them."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=3000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator([f"{lead}{w}" for w in WORDS for lead in ("", " ") for _ in range(2)], trainer)
    model = json.loads(core.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(m) for m in model["merges"]]}


def metaspace(special: list[str], *last: str) -> list[tuple[str, float]]:
    """A sentencepiece vocabulary in which a word with a space before it is another piece than the word alone."""
    words = [w for w in WORDS if len(w) > 1]
    scores = {**dict.fromkeys(special, 0.0), "▁": -3.0}
    scores |= dict.fromkeys(string.printable.strip() + CHINESE, -6.0)
    scores |= dict.fromkeys(words, -2.5) | {f"▁{w}": -2.0 for w in words} | dict.fromkeys(last, 0.0)
    return list(scores.items())


@cache
def tokenizer(family: str) -> Any:
    """The tokenizer of a family as its own class in transformers makes it."""
    if family == "bert":
        return word_piece([*WORDS, *CHINESE])
    mask = AddedToken("<mask>", lstrip=True, special=True)
    if family == "roberta":
        return hf.RobertaTokenizer(**byte_pairs(ROBERTA), mask_token=mask)
    if family == "bart":
        return hf.BartTokenizer(**byte_pairs(ROBERTA), mask_token=mask)
    if family == "xlmr":
        return hf.XLMRobertaTokenizer(vocab=metaspace(ROBERTA[:4], "<mask>"), mask_token=mask)
    if family == "deberta":
        return hf.DebertaV2Tokenizer(vocab=metaspace(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "[MASK]"))
    if family == "gpt2":
        return hf.GPT2Tokenizer(**byte_pairs(["<|endoftext|>"]))
    if family == "t5":
        gaps = [f"<extra_id_{i}>" for i in range(99, -1, -1)]
        return hf.T5Tokenizer(vocab=metaspace(["<pad>", "</s>", "<unk>"], *gaps))
    return _llama()


def _llama() -> Any:
    core = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=3000, special_tokens=special, initial_alphabet=["▁", *CHINESE], show_progress=False
    )
    core.train_from_iterator([w for w in WORDS for _ in range(2)], trainer)
    model = json.loads(core.to_str())["model"]
    merges = [tuple(m) for m in model["merges"]]
    return hf.LlamaTokenizer(vocab=model["vocab"], merges=merges, add_bos_token=True)


@cache
def config(family: str) -> Any:
    """Two layers of 32, with large weights, so that what is read makes a difference."""
    made = tokenizer(family)
    sizes = {"vocab_size": len(made), "initializer_range": 0.3}
    body = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37, **sizes}
    pad = {"pad_token_id": made.pad_token_id}
    if family == "bert":
        return hf.BertConfig(**body)
    if family == "roberta":
        return hf.RobertaConfig(**body, **pad, max_position_embeddings=130, type_vocab_size=1)
    if family == "xlmr":
        return hf.XLMRobertaConfig(**body, **pad, max_position_embeddings=130, type_vocab_size=1)
    if family == "deberta":
        relative = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]}
        return hf.DebertaV2Config(**body, **relative, type_vocab_size=0)
    if family == "gpt2":
        return hf.GPT2Config(n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0, **sizes)
    if family == "llama":
        return hf.LlamaConfig(**body)
    if family == "t5":
        return hf.T5Config(
            d_model=32, d_kv=16, d_ff=37, num_layers=2, num_heads=2, decoder_start_token_id=0, vocab_size=len(made)
        )
    half = {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in (("layers", 2), ("ffn_dim", 37))}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "init_std": 0.3}
    ends = {"bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": None}
    return hf.BartConfig(vocab_size=len(made), d_model=32, **half, **heads, **ends, **pad)


@cache
def reader(family: str) -> Reader:
    """How the family reads."""
    return READERS[KIND[family]](tokenizer(family), config(family), family)


@cache
def backbone(family: str) -> Backbone:
    """A random model of the family."""
    import torch

    auto = {"masked": hf.AutoModelForMaskedLM, "causal": hf.AutoModelForCausalLM, "seq2seq": hf.AutoModelForSeq2SeqLM}
    made = {"masked": Backbone, "causal": DecoderBackbone, "seq2seq": Seq2SeqBackbone}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = auto[KIND[family]].from_config(config(family))
        if getattr(model, "final_logits_bias", None) is not None:
            model.final_logits_bias.normal_()
    return made[KIND[family]](model, reader(family)).eval()
