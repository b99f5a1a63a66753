"""Masked language modelling beside another loss: PET's auxiliary task on unlabelled texts (Schick & Schütze 2021)."""

import torch
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.pretraining.objectives.token_masking import TokenMasking
from prompt_lab.pretraining.passages import NO_UNIT, Passages


class MaskedText:
    """Asks for tokens of a text in its pattern: 15 % of them, chosen and hidden as in BERT, never special tokens or the answer's mask.

    Args:
        reader: of a masked backbone.

    Raises:
        LabError: the backbone is none.
    """

    def __init__(self, reader: Reader) -> None:
        self._objective = TokenMasking()
        self._objective.prepare(reader)
        self._special = torch.tensor(reader.tokenizer.all_special_ids)

    def loss(self, backbone: Backbone, batch: Encoded) -> Tensor:
        """Mean cross-entropy of the hidden tokens; which these are follows from torch's random numbers."""
        first = batch.rows(0, 1)  # further rows hold the same text
        ids = first.input_ids.cpu()
        ordinary = first.attention_mask.cpu().bool() & ~torch.isin(ids, self._special)
        places = torch.arange(ids.shape[1]).expand_as(ids)
        passages = Passages(
            ids, first.attention_mask.cpu(), ids,
            None if first.token_type_ids is None else first.token_type_ids.cpu(),
            units={self._objective.name: torch.where(ordinary, places, NO_UNIT)},
        )  # fmt: skip
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        hidden = self._objective.hide(passages, generator).to(first.input_ids.device)
        return self._objective.learn(backbone, backbone.hidden(hidden), hidden).loss
