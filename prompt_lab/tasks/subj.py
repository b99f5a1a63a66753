"""Whether a sentence about a film is an opinion or tells the plot: SUBJ.

Patterns and label words: LM-BFF (Gao et al. 2021; the first from table 1, the second found by its template search).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub(
        "SetFit/subj", columns={"text": "text_a", "label_text": "label"}, splits={"train": "train", "test": "test"}
    ),
    labels=("objective", "subjective"),
    label_words={"objective": ("objective",), "subjective": ("subjective",)},
    templates=(
        "{text_a} This is {mask}.",
        "{text_a} It's all {mask}.",
        "{text_a} This sentence is {mask}.",
        "A {mask} sentence: {text_a}",
    ),
    citation="Pang and Lee 2004",
)
