"""Sentiment of sentences from film reviews in five degrees: SST-5.

Patterns and label words: LM-BFF (Gao et al. 2021, table 1) and PET's for Yelp (Schick and Schütze 2021), made to fit
films.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub(
        "SetFit/sst5", columns={"text": "text_a", "label_text": "label"}, splits={"train": "train", "test": "test"}
    ),
    labels=("very negative", "negative", "neutral", "positive", "very positive"),
    label_words={
        "very negative": ("terrible",),
        "negative": ("bad",),
        "neutral": ("okay",),
        "positive": ("good",),
        "very positive": ("great",),
    },
    templates=(
        "{text_a} It was {mask}.",
        "{text_a} All in all, it was {mask}.",
        "{text_a} In summary, the film is {mask}.",
        "Just {mask}! {text_a}",
    ),
    citation="Socher et al. 2013",
)
