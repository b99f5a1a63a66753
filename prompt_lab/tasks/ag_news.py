"""Topic of news headlines with their first lines, four topics: AG News.

Patterns: the first two from KPT (Hu et al. 2022), the others from PET (Schick and Schütze 2021).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub(
        "fancyzhx/ag_news", columns={"text": "text_a", "label": "label"}, splits={"train": "train", "test": "test"}
    ),
    labels=("World", "Sports", "Business", "Sci/Tech"),
    label_words={"World": ("World",), "Sports": ("Sports",), "Business": ("Business",), "Sci/Tech": ("Technology",)},
    templates=(
        "{text_a} This topic is about {mask}.",
        "A {mask} news: {text_a}",
        "{mask} News: {text_a}",
        "[ Category: {mask} ] {text_a}",
        "{text_a} ( {mask} )",
    ),
    citation="Zhang et al. 2015",
)
