"""(c) Pattern tuning and a soft prompt against OpenPrompt, which lives in an environment of its own beside the results."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import work
from run import Ways

from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.tuning.soft_prompt import SoftPrompt

ABOUT = "pattern tuning against OpenPrompt 1.0.1: same weights, texts, steps, batch size, precision; training and test"
AIM = 0.33
PAIRS = (("prompt_lab", "OpenPrompt", AIM), ("prompt_lab, soft prompt", "OpenPrompt, soft prompt", AIM))
HOME = Path("runs/bench/openprompt")
NEEDS = (
    "torch==2.13.0", "transformers==4.30.2", "numpy<2", "pyarrow<17", "datasets<3", "yacs", "tensorboardX", "dill", "nltk",
    "rouge==1.0.0", "scikit-learn", "sentencepiece==0.1.99", "tqdm",
)  # fmt: skip


def ways() -> Ways:
    """Ours and theirs, with all parameters trained and with twenty soft tokens alone; times of fit and test, without start-up."""
    python = _environment()
    folder = Path(tempfile.mkdtemp())
    work.as_folder(folder / "backbone")
    source = work.data()
    texts = {
        name: [(e.fields["text_a"], e.label) for e in part]
        for name, part in (
            ("train", source.drawn.train),
            ("validation", source.drawn.validation),
            ("test", source.sealed_test()),
        )
    }
    told = {
        "texts": texts, "steps": work.STEPS, "batch_size": source.batch_size, "eval_batch_size": source.eval_batch_size,
        "max_length": work.MAX_LENGTH, "clip": work.CLIP, "words": [words[0] for words in source.task.label_words.values()],
        "threads": torch.get_num_threads(),
    }  # fmt: skip
    (folder / "told.json").write_text(json.dumps(told))

    def theirs(kind: str) -> float:
        script = Path(__file__).with_name("openprompt_side.py")
        given = [str(python), str(script), str(folder), kind]
        said = subprocess.run(
            given, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False
        )
        if said.returncode:
            raise RuntimeError(f"OpenPrompt failed:\n{said.stderr[-3000:]}")
        return float(said.stdout.strip().splitlines()[-1])

    def ours(make: Any) -> float:
        work.forget()
        seconds = work.ours(make)["cost"]["seconds"]
        return float(
            seconds["fit"] + seconds["test"]
        )  # texts are tokenised in these; weights are not loaded, in theirs neither

    return {
        "prompt_lab": lambda: ours(PatternTuning),
        "OpenPrompt": lambda: theirs("full"),
        "prompt_lab, soft prompt": lambda: ours(lambda: PatternTuning(tuning=SoftPrompt(length=20))),
        "OpenPrompt, soft prompt": lambda: theirs("soft"),
    }


def _environment() -> Path:
    """The Python that has OpenPrompt, made if it is not there."""
    python = HOME / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
    if subprocess.run([str(python), "-c", "import openprompt"], capture_output=True, check=False).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *NEEDS], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "openprompt==1.0.1"], check=True)
    return python.absolute()
