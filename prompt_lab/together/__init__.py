"""Runs side by side: several trainings over one frozen backbone, which reads all their batches at once."""

from prompt_lab.together.grouping import groups
from prompt_lab.together.running import execute

__all__ = ["execute", "groups"]
