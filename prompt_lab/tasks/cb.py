"""Whether a text commits its author to an embedded clause: CommitmentBank of SuperGLUE.

SuperGLUE's test split has no labels: training examples are drawn from ``train`` (250), and ``validation`` (56) is the
test. ``neutral`` has 16 training examples, so K = 16 leaves none for validation. Patterns: PET (Schick and Schütze
2021b, section 4.1), GPT-3 (Brown et al. 2020).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("aps/super_glue", "cb", columns={"premise": "text_a", "hypothesis": "text_b", "label": "label"}),
    labels=("entailment", "contradiction", "neutral"),
    label_words={"entailment": ("Yes",), "contradiction": ("No",), "neutral": ("Maybe",)},
    templates=(
        '"{text_b.rstrip_punctuation}"? {sep}{mask}, "{text_a.rstrip_punctuation}"',
        "{text_b.rstrip_punctuation}? {sep}{mask}, {text_a.lower_first}",
        "{text_a} Question: {text_b.rstrip_punctuation}? Answer: {mask}.",
    ),
    fields=("text_a", "text_b"),
    metric="f1_macro",
    citation="De Marneffe et al. 2019",
)
