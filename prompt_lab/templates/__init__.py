"""Templates: what the model reads. The pattern language and its mechanisms."""

from prompt_lab.templates.slots.base import Piece, Slot
from prompt_lab.templates.template import Template, resolve

__all__ = ["Piece", "Slot", "Template", "resolve"]
