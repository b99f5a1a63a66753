"""Whether two questions ask the same: QQP of GLUE.

GLUE's test split has no labels: training examples are drawn from ``train``, and ``validation`` (40,430) is the test,
as in LM-BFF (Gao et al. 2021, appendix B). The first pattern and the label words are LM-BFF's (table 1).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("nyu-mll/glue", "qqp", columns={"question1": "text_a", "question2": "text_b", "label": "label"}),
    labels=("not_duplicate", "duplicate"),
    label_words={"not_duplicate": ("No",), "duplicate": ("Yes",)},
    templates=(
        "{text_a} {mask}, {text_b.lower_first}",
        "{text_a.rstrip_punctuation}? {sep}{mask}, {text_b.lower_first}",
        "{text_a} {text_b} Do these questions mean the same? {mask}.",
    ),
    fields=("text_a", "text_b"),
    metric="f1",
    citation="Iyer et al. 2017",
)
