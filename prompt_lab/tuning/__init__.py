"""Tunings: what moves."""

from prompt_lab.tuning.base import Tuning

__all__ = ["Tuning"]
