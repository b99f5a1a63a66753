"""Causal language modelling: every token from those before it (Radford et al. 2018), to fit a causal model to a domain."""

from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.pretraining.objective import Learnt, Objective
from prompt_lab.pretraining.passages import Passages


class CausalLm(Objective):
    """The next token at every position (Radford et al. 2018, section 3.1)."""

    kinds = ("causal",)
    predicts_words = True

    def learn(self, backbone: Backbone, hidden_BTD: Tensor, passages: Passages) -> Learnt:
        """Cross-entropy of every token but the first."""
        asked = passages.attention_mask[:, 1:] == 1
        return Learnt(*backbone.word_loss(hidden_BTD[:, :-1][asked], passages.original_ids[:, 1:][asked]))
