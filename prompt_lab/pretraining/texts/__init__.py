"""Texts: where plain text for pretraining comes from."""

from prompt_lab.pretraining.texts.base import Texts

__all__ = ["Texts"]
