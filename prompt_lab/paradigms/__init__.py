"""Paradigms: one published method a file, each a LightningModule. Found on disk by ``prompt_lab.discovery``."""

from prompt_lab.paradigms.base import Paradigm

__all__ = ["Paradigm"]
