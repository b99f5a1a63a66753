"""Sentiment of one-sentence film reviews: MR, with the hub's split.

LM-BFF draws its own test split of 2,000, so scores differ a little from those it prints. Patterns: LM-BFF (Gao et al.
2021, table 1) and PET's for Yelp (Schick and Schütze 2021), made to fit films. See ``rotten_tomatoes`` for the same
data without a hub.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub(
        "cornell-movie-review-data/rotten_tomatoes",
        columns={"text": "text_a", "label": "label"},
        splits={"train": "train", "test": "test"},
    ),
    labels=("negative", "positive"),
    label_words={"negative": ("terrible",), "positive": ("great",)},
    templates=(
        "{text_a} It was {mask}.",
        "{text_a} All in all, it was {mask}.",
        "{text_a} In summary, the film is {mask}.",
        "Just {mask}! {text_a}",
    ),
    citation="Pang and Lee 2005",
)
