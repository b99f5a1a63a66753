"""Polarity of short opinion phrases: MPQA.

Patterns: LM-BFF (Gao et al. 2021, table 1) and PET's for Yelp (Schick and Schütze 2021), made to fit phrases.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("jxm/mpqa", splits={"train": "train", "test": "test"}),
    labels=("negative", "positive"),
    label_words={"negative": ("terrible",), "positive": ("great",)},
    templates=(
        "{text_a} It was {mask}.",
        "{text_a} All in all, it was {mask}.",
        "{text_a} In summary, it is {mask}.",
        "Just {mask}! {text_a}",
    ),
    citation="Wiebe et al. 2005",
)
