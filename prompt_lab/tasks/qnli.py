"""Whether a sentence holds the answer to a question: QNLI of GLUE.

GLUE's test split has no labels: training examples are drawn from ``train``, and ``validation`` (5,463) is the test,
as in LM-BFF (Gao et al. 2021, appendix B). The first pattern and the label words are LM-BFF's (table 1).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("nyu-mll/glue", "qnli", columns={"question": "text_a", "sentence": "text_b", "label": "label"}),
    labels=("entailment", "not_entailment"),
    label_words={"entailment": ("Yes",), "not_entailment": ("No",)},
    templates=(
        "{text_a.rstrip_punctuation}? {mask}, {text_b.lower_first}",
        "{text_b} Does this answer the question: {text_a.rstrip_punctuation}? {mask}.",
        "Question: {text_a.rstrip_punctuation}? {sep}{mask}. {text_b}",
    ),
    fields=("text_a", "text_b"),
    citation="Rajpurkar et al. 2016; Wang et al. 2019",
)
