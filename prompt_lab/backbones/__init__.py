"""Backbones: one interface over masked, causal and seq2seq models."""

from prompt_lab.backbones.reader import Plan, Reader

__all__ = ["Plan", "Reader"]
