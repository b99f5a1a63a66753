"""Answers: what is read out of a backbone."""

from prompt_lab.answers.base import Answer

__all__ = ["Answer"]
