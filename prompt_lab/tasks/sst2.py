"""Sentiment of phrases from film reviews: SST-2 of GLUE.

GLUE's test split has no labels: training examples are drawn from ``train``, and ``validation`` (872) is the test, as
in LM-BFF (Gao et al. 2021, appendix B). Patterns: LM-BFF (table 1) and PET's for Yelp (Schick and Schütze 2021), made
to fit films.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("stanfordnlp/sst2"),
    labels=("negative", "positive"),
    label_words={"negative": ("terrible",), "positive": ("great",)},
    templates=(
        "{text_a} It was {mask}.",
        "{text_a} All in all, it was {mask}.",
        "{text_a} In summary, the film is {mask}.",
        "Just {mask}! {text_a}",
    ),
    citation="Socher et al. 2013",
)
