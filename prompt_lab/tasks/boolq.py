"""Yes-or-no questions about a passage: BoolQ of SuperGLUE.

SuperGLUE's test split has no labels: training examples are drawn from ``train``, and ``validation`` (3,270) is the
test. Patterns and label words: PET (Schick and Schütze 2021b, section 4.1), whose second verbalizer is true and
false.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("aps/super_glue", "boolq", columns={"passage": "text_a", "question": "text_b", "label": "label"}),
    labels=("false", "true"),
    label_words={"false": ("No",), "true": ("Yes",)},
    templates=(
        "{text_a} Question: {text_b.rstrip_punctuation}? Answer: {mask}.",
        "{text_a} Based on the previous passage, {text_b.rstrip_punctuation}? {mask}.",
        "Based on the following passage, {text_b.rstrip_punctuation}? {mask}. {text_a}",
    ),
    fields=("text_a", "text_b"),
    citation="Clark et al. 2019",
)
