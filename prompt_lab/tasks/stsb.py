"""How much two sentences mean the same, from 0 to 5: STS-B of GLUE.

GLUE's test split has no labels: training examples are drawn from ``train``, and ``validation`` (1,500) is the test, as in LM-BFF (Gao
et al. 2021, appendix B). It is regression between two poles (their section 4.1); the first pattern and the label words are theirs
(table 1). Their published code hands ``KLDivLoss(log_target=True)`` probabilities instead of their logarithms, which is another
loss than the paper's; ours is the paper's.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("nyu-mll/glue", "stsb", columns={"sentence1": "text_a", "sentence2": "text_b", "label": "label"}),
    labels=("dissimilar", "equivalent"),
    label_words={"dissimilar": ("No",), "equivalent": ("Yes",)},
    templates=(
        "{text_a} {mask}, {text_b.lower_first}",
        "{text_a.rstrip_punctuation}? {sep}{mask}, {text_b.lower_first}",
        "{text_a} {text_b} Do these sentences mean the same? {mask}.",
    ),
    fields=("text_a", "text_b"),
    metric="pearson",
    citation="Cer et al. 2017",
    bounds=(0.0, 5.0),
)
