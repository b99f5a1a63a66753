"""Plain text as one long run of tokens, with the places where documents and sentences begin."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.masking import NO_UNIT
from prompt_lab.pretraining.objective import Objective
from prompt_lab.pretraining.passages import Document

SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|(?<=[。！？])(?![。！？])[\"'”’」』）]*\s*|\n\s*")
AT_ONCE = 1000
"""Documents that are tokenised at a time."""


@dataclass(frozen=True)
class Corpus:
    """N tokens of D documents. A document ends in a separator, which is the token between two of them.

    Attributes:
        ids: [N] token ids.
        units: by objective, [N] the unit each token belongs to, numbered through all documents; -1 for none.
        documents: [D + 1] where each document begins, and N.
        sentences: [S + 1] where each sentence begins, and N; separators belong to the last sentence.
    """

    ids: np.ndarray
    units: dict[str, np.ndarray]
    documents: np.ndarray
    sentences: np.ndarray


def is_held_out(text: str, share: float) -> bool:
    """Whether a document is among the share that is held out: it depends on its text alone."""
    return int.from_bytes(hashlib.sha256(f"held out\n{text}".encode()).digest()[:8]) < share * 2**64


def corpus(
    texts: Sequence[str],
    reader: Reader,
    objectives: Sequence[Objective],
    progress: Callable[[int], None] = lambda done: None,
) -> Corpus:
    """Tokenise documents, and ask every objective for its units.

    Args:
        texts: the documents.
        reader: whose tokenizer reads.
        objectives: those that hide units of text say what these are.
        progress: called with the number of documents that are done.

    Raises:
        LabError: there are no documents.
    """
    if not texts:
        raise LabError("there is no text to learn from: all of it was left out or held out, or there was none")
    separator = _separator(reader)
    special = np.array(reader.tokenizer.all_special_ids)
    ids: list[np.ndarray] = []
    units: dict[str, list[np.ndarray]] = {}
    documents, sentences, at, unit_at = [0], [0], 0, dict.fromkeys((o.name for o in objectives), 0)
    for number, document in enumerate(_tokenised(texts, reader), 1):
        ids += [document.ids, separator]
        for objective in objectives:
            own = objective.units(document)
            if own is None:
                continue
            unknown = own[np.isin(document.ids, special)]  # no unit is chosen in part
            ordinary = (own != NO_UNIT) & ~np.isin(own, unknown)
            numbered = np.where(ordinary, own + unit_at[objective.name], NO_UNIT)
            unit_at[objective.name] += int(own.max(initial=-1)) + 1
            units.setdefault(objective.name, []).extend((numbered, np.full(len(separator), NO_UNIT)))
        begins = [m.end() for m in SENTENCE_END.finditer(document.text) if m.end() < len(document.text)]
        within = np.unique(np.searchsorted(document.offsets[:, 0], begins))
        sentences += [at + int(i) for i in within if 0 < i < len(document.ids)]
        at += len(document.ids) + len(separator)
        documents.append(at)
        sentences.append(at)
        progress(number)
    return Corpus(
        np.concatenate(ids).astype(np.int32),
        {name: np.concatenate(parts).astype(np.int32) for name, parts in units.items()},
        np.array(documents),
        np.array(sentences),
    )


def _tokenised(texts: Sequence[str], reader: Reader) -> Iterator[Document]:
    """Each text with its tokens; what looks like a special token in it is read as plain text."""
    for start in range(0, len(texts), AT_ONCE):
        plain = [reader.plain(text) for text in texts[start : start + AT_ONCE]]
        encodings = reader.tokenizer(plain, add_special_tokens=False, verbose=False).encodings
        for text, encoding in zip(plain, encodings, strict=True):
            words = [NO_UNIT if w is None else w for w in encoding.word_ids]
            yield Document(
                text, np.array(encoding.ids, dtype=np.int64), _trimmed(text, encoding), np.array(words, dtype=np.int64)
            )


def _trimmed(text: str, encoding: Any) -> np.ndarray:
    """[N, 2] offsets without the blank before a word, which some tokenizers count to its first token, or make a token of."""
    words = [*encoding.word_ids, None]
    offsets = [
        (start if text[start:end].isspace() and word != after else end - len(text[start:end].lstrip()), end)
        for (start, end), word, after in zip(encoding.offsets, words, words[1:], strict=False)
    ]
    return np.array(offsets, dtype=np.int64).reshape(-1, 2)


def _separator(reader: Reader) -> np.ndarray:
    """What stands between two documents: the token that ends a text."""
    end = reader.suffix[:1] or [reader.tokenizer.eos_token_id]
    if end == [None]:
        raise LabError(
            f"the tokenizer of {reader.name!r} has no token that ends a text, which must stand between documents"
        )
    return np.array(end, dtype=np.int64)
