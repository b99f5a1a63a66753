"""What product a Chinese comment is about, ten products: the example data of transformers_tasks.

The 63 training comments are unbalanced (16 of hotels, 1 of a dairy), and there are none of telephones and appliances, so K a class
cannot be drawn: the task is run with ``--data.k full``, or 0. The repository's 417 validation comments are the test. The label words
are the labels, two characters each; the first pattern is the repository's.
"""

import csv

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

LABELS = ("书籍", "平板", "手机", "水果", "洗浴", "电器", "电脑", "蒙牛", "衣服", "酒店")
REPOSITORY = "https://raw.githubusercontent.com/HarderThenHarder/transformers_tasks"
COMMIT = "6b4af58d9bd45b950dff7a243840367f756d6224"
ADDRESS = f"{REPOSITORY}/{COMMIT}/prompt_tasks/p-tuning/data/comment_classify"

TASK = Task(
    source=Hub(
        "csv",
        columns={"text": "text_a", "label": "label"},
        splits={"train": "train", "test": "dev"},
        files={name: f"{ADDRESS}/{name}.txt" for name in ("train", "dev")},
        # a label, a tab and a comment a line, with quotation marks that quote nothing
        options={"sep": "\t", "column_names": ["label", "text"], "quoting": csv.QUOTE_NONE, "keep_default_na": False},
    ),
    labels=LABELS,
    label_words={label: (label,) for label in LABELS},
    templates=(
        "这是一条{mask}评论：{text_a}。",
        "{text_a}。这条评论说的是{mask}。",
        "下面是顾客对{mask}的评价：{text_a}",
    ),
    metric="f1_macro",
    language="zh",
    citation="HarderThenHarder 2023",
)
