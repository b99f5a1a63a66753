"""Whether two sentences from the news say the same: MRPC of GLUE.

Training examples are drawn from ``train``, and ``validation`` (408) is the test, as in LM-BFF (Gao et al. 2021,
appendix B). The first pattern and the label words are LM-BFF's (table 1).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("nyu-mll/glue", "mrpc", columns={"sentence1": "text_a", "sentence2": "text_b", "label": "label"}),
    labels=("not_equivalent", "equivalent"),
    label_words={"not_equivalent": ("No",), "equivalent": ("Yes",)},
    templates=(
        "{text_a} {mask}, {text_b.lower_first}",
        "{text_a.rstrip_punctuation}? {sep}{mask}, {text_b.lower_first}",
        "{text_a} {text_b} Do these sentences mean the same? {mask}.",
    ),
    fields=("text_a", "text_b"),
    metric="f1",
    citation="Dolan and Brockett 2005",
)
