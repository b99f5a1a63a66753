"""Texts as vectors whose cosine says how similar they are: the mean of a backbone's hidden states."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import load_anew
from prompt_lab.batch import Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.encoding import Encoder
from prompt_lab.templates import Template

MOST = 256
"""Tokens of a text that are read: as many as all-MiniLM-L6-v2 was published to read."""
_BATCH = 64
_KEPT = 50_000
_memory: OrderedDict[tuple[str, str], Tensor] = OrderedDict()


def embed(texts: Sequence[str], name: str) -> Tensor:
    """Vectors of length 1 whose scalar product is the cosine similarity of two texts (Reimers and Gurevych 2019, section 3).

    The mean over all tokens, special ones too, of a backbone's last hidden states; with ``minilm`` the same as
    sentence-transformers computes for all-MiniLM-L6-v2. Computed on the GPU where there is one, and kept in memory for the other
    runs of a suite. The record does not count these calls as model calls, nor their tokens: they cost one reading of each text
    by the embedder, and no label.

    Args:
        texts: any number; of each the first 256 tokens are read.
        name: of a backbone; a language-model head is not needed.

    Returns:
        [N, D] on the CPU, in the order of the texts.
    """
    new = list(dict.fromkeys(t for t in texts if (name, t) not in _memory))
    for text, vector_D in zip(new, _computed(new, name), strict=True):
        _memory[name, text] = vector_D
    for text in texts:
        _memory.move_to_end((name, text))
    vector_ND = torch.stack([_memory[name, text] for text in texts])
    while len(_memory) > _KEPT:
        _memory.popitem(last=False)
    return vector_ND


@lru_cache(maxsize=1)
def embedder(name: str) -> Backbone:
    """The backbone that embeds, beside the one that an experiment keeps; no random numbers of the process are used up."""
    with torch.random.fork_rng(devices=[]):
        made = load_anew(name)
    return made.requires_grad_(False).to("cuda" if torch.cuda.is_available() else "cpu")


@torch.no_grad()
def _computed(texts: Sequence[str], name: str) -> list[Tensor]:
    if not texts:
        return []
    backbone = embedder(name)
    device = next(backbone.parameters()).device
    encoder = Encoder(Template("{text}", ("text",)), None, backbone.reader, MOST)
    rows = sorted(encoder.encode([Example({"text": t}) for t in texts]), key=lambda row: row.length)
    found: dict[int, Tensor] = {}
    for start in range(0, len(rows), _BATCH):
        batch = collate(rows[start : start + _BATCH], backbone.reader).to(device)
        weight_BT1 = batch.attention_mask[..., None].float()
        mean_BD = (backbone.hidden(batch) * weight_BT1).sum(1) / weight_BT1.sum(1)
        vector_BD = F.normalize(mean_BD, dim=-1).cpu()
        found.update(zip(batch.index.tolist(), vector_BD, strict=True))
    return [found[i] for i in range(len(texts))]
