"""Whether a picture's caption entails a hypothesis: SNLI.

Training examples are drawn from ``train``, and ``validation`` (9,842) is the test, as in LM-BFF (Gao et al. 2021,
appendix B). Patterns: LM-BFF (table 1), PET (Schick and Schütze 2021), GPT-3 (Brown et al. 2020).
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub("stanfordnlp/snli", columns={"premise": "text_a", "hypothesis": "text_b", "label": "label"}),
    labels=("entailment", "neutral", "contradiction"),
    label_words={"entailment": ("Yes",), "neutral": ("Maybe",), "contradiction": ("No",)},
    templates=(
        "{text_a.rstrip_punctuation}? {mask}, {text_b.lower_first}",
        '"{text_a.rstrip_punctuation}"? {sep}{mask}, "{text_b.rstrip_punctuation}"',
        "{text_a} Question: {text_b.rstrip_punctuation}? Answer: {mask}.",
    ),
    fields=("text_a", "text_b"),
    citation="Bowman et al. 2015",
)
