"""Whether a Chinese sentence entails another: OCNLI of FewCLUE.

Training examples are drawn from FewCLUE's five training sets together, and its public test set (2,520 with a gold
label) is the test. The first pattern is that of FewCLUE's PET baseline (Xu et al. 2021), whose word for ``neutral``
is 并且.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import few_clue

TASK = Task(
    source=few_clue("ocnli", {"sentence1": "text_a", "sentence2": "text_b", "label": "label"}),
    labels=("entailment", "neutral", "contradiction"),
    label_words={"entailment": ("是的",), "neutral": ("可能",), "contradiction": ("不是",)},
    templates=(
        "{text_a.rstrip_punctuation}？{mask}，{text_b}",
        "“{text_a.rstrip_punctuation}”？{sep}{mask}，“{text_b.rstrip_punctuation}”",
        "{text_a.rstrip_punctuation}。由此可知，{text_b.rstrip_punctuation}吗？{mask}。",
    ),
    fields=("text_a", "text_b"),
    language="zh",
    citation="Hu et al. 2020; Xu et al. 2021",
)
