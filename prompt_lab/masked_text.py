"""Masked language modelling beside another loss: PET's auxiliary task on unlabelled texts (Schick & Schütze 2021)."""

from dataclasses import replace

import torch
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.errors import LabError
from prompt_lab.masking import NO_UNIT, RATE, Hiding, choose


class MaskedText:
    """Asks for 15 % of the tokens of a text in its pattern, chosen and hidden as in BERT: never special or virtual ones, or the mask.

    Args:
        reader: of a masked backbone.

    Raises:
        LabError: the backbone is none.
    """

    def __init__(self, reader: Reader) -> None:
        if reader.kind != "masked":
            raise LabError(
                f"the auxiliary loss is masked language modelling, and {reader.name!r} is a {reader.kind} model; set auxiliary to 0"
            )
        self._hiding = Hiding(reader)
        self._special = torch.tensor(reader.tokenizer.all_special_ids)
        self._end = reader.first_virtual

    def loss(self, backbone: Backbone, batch: Encoded) -> Tensor:
        """Mean cross-entropy of the hidden tokens; which these are follows from torch's random numbers."""
        first = batch.rows(0, 1)  # further rows hold the same text
        ids_BT = first.input_ids.cpu()
        ordinary_BT = first.attention_mask.cpu().bool() & ~torch.isin(ids_BT, self._special) & (ids_BT < self._end)
        units_BT = torch.where(ordinary_BT, torch.arange(ids_BT.shape[1]), NO_UNIT)
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        chosen_BT = choose(units_BT, torch.zeros_like(ordinary_BT), RATE, generator)
        hidden = replace(first, input_ids=self._hiding(ids_BT, chosen_BT, generator).to(first.input_ids.device))
        chosen_BT = chosen_BT.to(first.input_ids.device)
        return backbone.word_loss(backbone.hidden(hidden)[chosen_BT], first.input_ids[chosen_BT])[0]
