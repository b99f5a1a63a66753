"""One file a task: source, fields, labels, patterns, label words, metric."""

from prompt_lab.tasks.base import Source, Split, Task, load_task

__all__ = ["Source", "Split", "Task", "load_task"]
