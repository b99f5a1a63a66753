"""Virtual tokens in the embedding sequence of a backbone: what stands at ids behind the end of the vocabulary."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.folding import Folded
from prompt_lab.tuning.encoders import Encoding, encoder

NEAREST = 3
FREQUENT = 5000
"""Words that a vector may begin as (Lester et al. 2021, section 3.2)."""


class VirtualTokens(nn.Module):
    """Vectors that a backbone reads at virtual ids; positions, masks and segments are those of any other token.

    Args:
        start_PD: the vectors before training; the inputs of the encoder where there is one.
        first: id of the first.
        encoding: what they are trained through.
    """

    def __init__(self, start_PD: Tensor, first: int, encoding: Encoding = "none") -> None:
        super().__init__()
        self.first = first
        self.vectors = Folded(start_PD, encoder(encoding, start_PD, start_PD.shape[1]))

    def attach(self, backbone: Backbone) -> None:
        """Let the backbone read them.

        Raises:
            LabError: it has virtual tokens already.
        """
        if hasattr(backbone, "virtual"):
            raise LabError("this backbone has virtual tokens already; one SoftPrompt trains all of them")
        backbone.virtual = self
        embedding = backbone.embeddings()
        embedding.register_forward_pre_hook(self._stand_in)
        embedding.register_forward_hook(self._put_in)

    def _stand_in(self, embedding: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self._ids = args[0]
        return (self._ids.where(self._ids < self.first, 0), *args[1:])

    def _put_in(self, embedding: nn.Module, args: Any, output_BTD: Tensor) -> Tensor:
        return put_in(self.vectors.for_rows(), self.places(), output_BTD)

    def places(self) -> Tensor:
        """[B, T]: which virtual token stands where, in the pass that is under way; negative where a word does."""
        return self._ids - self.first

    def nearest(self, backbone: Backbone) -> list[list[tuple[str, float]]]:
        """The words whose embeddings point most nearly in the direction of each vector, with the cosine."""
        with torch.no_grad():
            words_VD = F.normalize(backbone.embeddings().weight.float(), dim=-1)
            cosine_PV = F.normalize(self.vectors().float(), dim=-1) @ words_VD.T
            best, which = cosine_PV[:, : len(backbone.reader.tokenizer)].topk(NEAREST)
        names = [backbone.reader.names(row) for row in which.tolist()]
        return [
            [(n, round(c, 3)) for n, c in zip(*pair, strict=True)] for pair in zip(names, best.tolist(), strict=True)
        ]


def put_in(vectors_BPD: Tensor, which_BT: Tensor, hidden_BTD: Tensor) -> Tensor:
    """Hidden states with vectors in some places.

    Args:
        vectors_BPD: P vectors for each row, or [1, P, D] for all.
        which_BT: which vector stands in a place; negative where none does.
        hidden_BTD: the others.
    """
    row_B1 = torch.arange(len(vectors_BPD), device=which_BT.device)[:, None]
    vectors_BTD = vectors_BPD.to(hidden_BTD.dtype)[row_B1, which_BT.clamp_min(0)]
    return torch.where((which_BT >= 0)[..., None], vectors_BTD, hidden_BTD)


def virtual_tokens(backbone: Backbone) -> VirtualTokens:
    """Those of a backbone that has some."""
    found = backbone.virtual
    assert isinstance(found, VirtualTokens)
    return found


def frequent_words(reader: Reader, at_most: int = FREQUENT) -> list[int]:
    """The most frequent whole words of a vocabulary, by their ids: vocabularies list words by how often they occur."""
    tokens = reader.tokenizer.convert_ids_to_tokens(list(range(len(reader.tokenizer))))
    marks = ("Ġ", "▁")
    marked = any(t.startswith(marks) and len(t) > 1 for t in tokens)
    plain = [t.lstrip("Ġ▁") if marked == t.startswith(marks) else "" for t in tokens]
    words = [i for i, t in enumerate(plain) if t.isalpha() and (len(t) > 1 or not t.isascii())]
    return words[:at_most]


def embedded(backbone: Backbone, ids: Sequence[int]) -> Tensor:
    """What the backbone reads at these tokens, [len(ids), D]."""
    embedding = backbone.embeddings()
    with torch.no_grad():
        return embedding(torch.tensor([list(ids)], device=embedding.weight.device))[0].float().clone()
