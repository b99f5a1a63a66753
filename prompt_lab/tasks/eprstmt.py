"""Sentiment of Chinese product reviews: EPRSTMT of FewCLUE.

Training examples are drawn from FewCLUE's five training sets together, and its public test set (610) is the test.
FewCLUE's PET baseline asks ``{mask}满意`` with 很 and 不; here the label words are words of one and of two characters.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import few_clue

TASK = Task(
    source=few_clue("eprstmt", {"sentence": "text_a", "label": "label"}),
    labels=("Negative", "Positive"),
    label_words={"Negative": ("差", "失望"), "Positive": ("好", "满意")},
    templates=(
        "{text_a}总之，感觉很{mask}。",
        "{text_a}这次购物让人觉得很{mask}。",
        "感觉很{mask}。{text_a}",
    ),
    language="zh",
    citation="Xu et al. 2021",
)
