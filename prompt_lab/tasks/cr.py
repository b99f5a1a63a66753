"""Sentiment of sentences from customer reviews: CR.

Patterns: LM-BFF (Gao et al. 2021, table 1) and PET's for Yelp (Schick and Schütze 2021), made to fit products.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub(
        "SetFit/SentEval-CR",
        columns={"text": "text_a", "label_text": "label"},
        splits={"train": "train", "test": "test"},
    ),
    labels=("negative", "positive"),
    label_words={"negative": ("terrible",), "positive": ("great",)},
    templates=(
        "{text_a} It was {mask}.",
        "{text_a} All in all, it was {mask}.",
        "{text_a} In summary, the product is {mask}.",
        "Just {mask}! {text_a}",
    ),
    citation="Hu and Liu 2004",
)
