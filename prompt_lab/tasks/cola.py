"""Whether a sentence is acceptable English: CoLA of GLUE.

GLUE's test split has no labels: training examples are drawn from ``train``, and ``validation`` (1,043) is the test,
as in LM-BFF (Gao et al. 2021, appendix B). The first pattern and the label words are LM-BFF's (table 1).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("nyu-mll/glue", "cola"),
    labels=("unacceptable", "acceptable"),
    label_words={"unacceptable": ("incorrect",), "acceptable": ("correct",)},
    templates=(
        "{text_a} This is {mask}.",
        "{text_a} The grammar of this sentence is {mask}.",
        "The following sentence is {mask}: {text_a}",
    ),
    metric="mcc",
    citation="Warstadt et al. 2019",
)
