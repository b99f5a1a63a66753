"""Random models of every kind that are made in a moment, offline: for tests, and to try a language no package has a model for."""

import string
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from prompt_lab.backbones.checkpoint import Checkpoint
from prompt_lab.backbones.reader import Kind
from prompt_lab.tasks.base import load_task

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
HIDDEN = 32


class Tiny(Checkpoint):
    """A random model of two layers with hidden size 32, the same on every machine.

    Args:
        name: the name it goes by.
        kind: masked (BERT), causal (GPT-2) or seq2seq (T5).
        texts: whose words the vocabulary shall hold, beside all letters; by default the patterns and label words of every
            task of the package. Chinese is read character by character.
    """

    def __init__(self, name: str, kind: Kind, texts: Iterable[str] | None = None) -> None:
        self.name = name
        self._kind = kind
        self._texts = sorted(set(_packaged_words() if texts is None else texts))

    def kind(self) -> Kind:
        """As given."""
        return self._kind

    @cached_property
    def _tokenizer(self) -> Any:
        return (
            word_piece(self._texts)
            if self._kind == "masked"
            else byte_pairs(self._texts, seq2seq=self._kind == "seq2seq")
        )

    def tokenizer(self) -> Any:
        """WordPiece for a masked model, byte-level BPE for the others."""
        return self._tokenizer

    def config(self) -> Any:
        """Large initial weights, so that a random model has opinions and its gradients are not tiny."""
        import transformers

        size = len(self._tokenizer)
        if self._kind == "masked":
            return transformers.BertConfig(
                vocab_size=size, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                max_position_embeddings=256, initializer_range=0.2,
            )  # fmt: skip
        if self._kind == "causal":
            return transformers.GPT2Config(
                vocab_size=size, n_embd=HIDDEN, n_layer=2, n_head=2, n_positions=256, bos_token_id=1, eos_token_id=1,
                initializer_range=0.2,
            )  # fmt: skip
        general: dict[str, Any] = {"decoder_start_token_id": 0, "tie_word_embeddings": True}
        return transformers.T5Config(
            vocab_size=size, d_model=HIDDEN, d_kv=16, d_ff=64, num_layers=2, num_heads=2, pad_token_id=0, eos_token_id=1, **general
        )  # fmt: skip

    def model(self) -> tuple[Any, tuple[str, ...]]:
        """Drawn with seed 0, without touching the process's own random state."""
        import torch
        import transformers

        auto = {
            "masked": transformers.BertForMaskedLM,
            "causal": transformers.GPT2LMHeadModel,
            "seq2seq": transformers.T5ForConditionalGeneration,
        }[self._kind]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return auto(self.config()), ()

    def save(self, folder: Path) -> str:
        """Write it as a checkpoint; the folder's path is then a backbone's name."""
        self.model()[0].save_pretrained(folder)
        self._tokenizer.save_pretrained(folder)
        return str(folder)


def word_piece(texts: Iterable[str]) -> Any:
    """A BERT tokenizer whose vocabulary is these texts' words, and letters to spell all others."""
    import transformers
    from tokenizers.pre_tokenizers import BertPreTokenizer

    split = BertPreTokenizer()
    letters = [c for c in string.printable if c.strip() and not c.isupper()]
    words = {w for t in texts for w, _ in split.pre_tokenize_str(_spaced(t.lower()))}
    single = sorted({*letters, *(c for w in words for c in w)})
    vocab = [*SPECIAL, *single, *(f"##{c}" for c in single), *sorted(w for w in words if len(w) > 1)]
    return transformers.BertTokenizer(vocab={w: i for i, w in enumerate(vocab)}, do_lower_case=True)


def byte_pairs(texts: Iterable[str], *, seq2seq: bool) -> Any:
    """A byte-level BPE tokenizer in which these texts' words, with a space before them, are whole tokens."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    special = ["<pad>", "</s>", "<unk>", "<extra_id_0>"] if seq2seq else ["<pad>", "<|endoftext|>"]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator((f" {w}" for t in texts for w in t.split() for _ in range(2)), trainer)
    if seq2seq:
        core.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
        )
    names = {"eos_token": special[1], "pad_token": special[0]}
    names |= {"unk_token": "<unk>"} if seq2seq else {"bos_token": special[1]}
    extra = ["<extra_id_0>"] if seq2seq else []
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, extra_special_tokens=extra, **names)


def _packaged_words() -> Iterable[str]:
    from prompt_lab import discovery

    for name in discovery.entries("task"):
        task = load_task(name)
        for words in task.label_words.values():
            yield from words
        for pattern in task.templates:
            yield from pattern.replace("{", " {").replace("}", "} ").split()


def _spaced(text: str) -> str:
    """The text with spaces around Chinese characters, as BERT's tokenizer puts them."""
    return "".join(f" {c} " if "\u4e00" <= c <= "\u9fff" else c for c in text)
