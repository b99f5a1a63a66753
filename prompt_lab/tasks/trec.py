"""What a question asks for, six types: TREC.

The first pattern and the label words are LM-BFF's (Gao et al. 2021, table 1). Some test questions also stand in the
published training data, and in LM-BFF's own 16-shot files.
"""

from prompt_lab.tasks.base import Task
from prompt_lab.tasks.sources import Hub

TASK = Task(
    source=Hub(
        "CogComp/trec",
        revision="refs/convert/parquet",
        columns={"text": "text_a", "coarse_label": "label"},
        splits={"train": "train", "test": "test"},
        labels={0: "Abbreviation", 1: "Entity", 2: "Description", 3: "Human", 4: "Location", 5: "Number"},
    ),
    labels=("Abbreviation", "Description", "Entity", "Human", "Location", "Number"),
    label_words={
        "Abbreviation": ("Expression",),
        "Description": ("Description",),
        "Entity": ("Entity",),
        "Human": ("Human",),
        "Location": ("Location",),
        "Number": ("Number",),
    },
    templates=(
        "{mask}: {text_a}",
        "{text_a} The answer is of the type {mask}.",
        "[ Category: {mask} ] {text_a}",
        "{text_a} ( {mask} )",
    ),
    citation="Li and Roth 2002; Voorhees and Tice 2000",
)
