"""Whether two short Chinese utterances mean the same: BUSTM of FewCLUE.

Training examples are drawn from FewCLUE's five training sets together, and its public test set is the test. The first
pattern reads like that of FewCLUE's PET baseline (Xu et al. 2021), ``意思{mask}同``, with words of two characters.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import few_clue

TASK = Task(
    source=few_clue(
        "bustm", {"sentence1": "text_a", "sentence2": "text_b", "label": "label"}, {"0": "different", "1": "same"}
    ),
    labels=("different", "same"),
    label_words={"different": ("不同",), "same": ("相同",)},
    templates=(
        "{text_a}和{text_b}意思{mask}。",
        "{text_a}。{text_b}。这两句话的意思{mask}。",
        "下面两句话意思{mask}。{text_a}。{text_b}。",
    ),
    fields=("text_a", "text_b"),
    language="zh",
    citation="Xu et al. 2021",
)
