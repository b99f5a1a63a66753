"""Whether a text entails a hypothesis: RTE of GLUE.

GLUE's test split has no labels: training examples are drawn from ``train``, and ``validation`` (277) is the test, as
in LM-BFF (Gao et al. 2021, appendix B). Patterns: LM-BFF (table 1), PET (Schick and Schütze 2021), GPT-3 (Brown et
al. 2020).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("nyu-mll/glue", "rte", columns={"sentence1": "text_a", "sentence2": "text_b", "label": "label"}),
    labels=("entailment", "not_entailment"),
    label_words={"entailment": ("Yes",), "not_entailment": ("No",)},
    templates=(
        "{text_a.rstrip_punctuation}? {mask}, {text_b.lower_first}",
        '"{text_b.rstrip_punctuation}"? {sep}{mask}, "{text_a.rstrip_punctuation}"',
        "{text_a} Question: {text_b.rstrip_punctuation}? Answer: {mask}.",
    ),
    fields=("text_a", "text_b"),
    citation="Dagan et al. 2005; Bar Haim et al. 2006; Giampiccolo et al. 2007; Bentivogli et al. 2009",
)
