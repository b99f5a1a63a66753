"""Masked language modelling over single tokens, as in BERT (Devlin et al. 2019)."""

import numpy as np

from prompt_lab.pretraining.masking import Masking
from prompt_lab.pretraining.passages import Document


class TokenMasking(Masking):
    """Every token is chosen on its own (Devlin et al. 2019, section 3.1)."""

    def units(self, document: Document) -> np.ndarray:
        """Each token is a unit."""
        return np.arange(len(document.ids))
