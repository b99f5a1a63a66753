"""Demonstrations: solved examples in the input, chosen for each text that is asked about (Gao et al. 2021, section 6)."""

from prompt_lab.demonstrations.settings import Demonstrations

__all__ = ["Demonstrations"]
