"""(h) How the cost of a run grows with K, row length, classes, patterns and seeds: the exponent of a power law, from a fit of logs."""

import csv
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import work

from prompt_lab import together
from prompt_lab.answers.words import Words
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.paradigms.pattern_ensemble import PatternEnsemble
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.progress import Bars
from prompt_lab.tuning.soft_prompt import SoftPrompt

Make = Callable[[Any], Any]
CLASSES = """from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files
TASK = Task(source=Files(train={train!r}, test={test!r}), labels={labels!r},
            label_words={{w: [w] for w in {labels!r}}}, templates=("{{text_a}} It was {{mask}}.",))
"""


def axes() -> dict[str, tuple[list[int], Make]]:
    """What grows, the sizes, and the work at a size; the number of steps is 30 but where it grows with K."""
    few = {"max_steps": 30}

    def k(size: int) -> None:  # ten passes through the examples
        work.ours(PatternTuning, {"max_steps": 10 * -(-2 * size // 8)}, k=size, test_size=64)

    def length(size: int) -> None:  # long texts, all cut to the size
        work.ours(PatternTuning, few, task="bbc_news", max_length=size, test_size=64)

    def words(size: int) -> None:
        good = "great good nice fine wonderful lovely superb excellent amazing perfect strong bright fresh smart funny rich"
        bad = "terrible bad awful poor horrible weak dull boring stupid wrong sad dark cold slow empty ugly"
        given = {"negative": bad.split()[:size], "positive": good.split()[:size]}
        work.ours(lambda: PatternTuning(answer=Words(given)), few, test_size=64)

    def classes(size: int) -> None:  # topics that are drawn by lot: it is the time that counts
        labels = tuple(["politics", "sport", "business", "technology", "science", "health", "travel", "music"][:size])
        drawn = FewShotData("bbc_news", seed=work.SEED).drawn
        texts = [" ".join(e.fields["text_a"].split()[:30]) for e in (*drawn.train, *drawn.unlabeled[:200])]
        with tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder, f"{name}.csv")) for name in ("train", "test")}
            for name, some in zip(files, (texts[64:], texts[:64]), strict=True):
                with Path(files[name]).open("w", newline="") as file:
                    csv.writer(file).writerows([("text_a", "label"), *zip(some, itertools.cycle(labels), strict=False)])
            task = Path(folder, "classes.py")
            task.write_text(CLASSES.format(**files, labels=labels))
            work.ours(PatternTuning, few, task=str(task), k=4, test_size=64)

    def patterns(size: int) -> None:
        work.ours(lambda: PatternEnsemble(patterns=list(range(size))), few, test_size=64)

    def seeds(size: int) -> None:
        with tempfile.TemporaryDirectory() as out:
            soft = lambda: PatternTuning(tuning=SoftPrompt(length=20))  # noqa: E731
            together.execute([work.experiment(soft, out, few, seed=s, test_size=64) for s in range(size)], Bars())

    return {
        "examples a class (ten passes)": ([4, 8, 16, 32], k),
        "tokens a row": ([32, 64, 128, 256], length),
        "label words a class": ([1, 4, 16], words),
        "classes": ([2, 4, 8], classes),
        "patterns": ([1, 2, 4], patterns),
        "seeds side by side": ([1, 2, 4, 8], seeds),
    }


def main(repeats: int, out: Path, say: Callable[[str], None]) -> None:
    """Time all sizes, fit the exponents, write a table and a picture."""
    found: dict[str, dict[int, float]] = {}
    for name, (sizes, run) in axes().items():
        run(sizes[0])
        times: dict[int, list[float]] = {size: [] for size in sizes}
        for _ in range(repeats):
            for size in sizes:
                start = time.perf_counter()
                run(size)
                times[size].append(time.perf_counter() - start)
        found[name] = {size: statistics.median(passed) for size, passed in times.items()}
        say(f"scaling: {name}: " + ", ".join(f"{size}: {passed:.2f} s" for size, passed in found[name].items()))
    (out / "scaling.json").write_text(json.dumps(found, indent=1) + "\n")
    lines = ["| | seconds by size | exponent |", "|---|---|---|"]
    for name, seconds in found.items():
        told = ", ".join(f"{size}: {passed:.1f}" for size, passed in seconds.items())
        lines.append(f"| {name} | {told} | {exponent(seconds):.2f} |")
    (out / "scaling.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    _picture(found, out / "scaling.png")


def exponent(seconds: dict[int, float]) -> float:
    """The slope of the logarithm of the time over that of the size."""
    return float(numpy.polyfit(numpy.log(list(seconds)), numpy.log(list(seconds.values())), 1)[0])


def _picture(found: dict[str, dict[int, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    panel = figure.subplots()
    for marker, (name, seconds) in zip("osD^vP", found.items(), strict=True):
        first = next(iter(seconds))
        panel.plot(
            [size / first for size in seconds], [s / seconds[first] for s in seconds.values()], marker=marker,
            label=f"{name} (from {first}): exponent {exponent(seconds):.2f}",
        )  # fmt: skip
    panel.set(
        xscale="log", yscale="log", xlabel="size, over the smallest", ylabel="seconds, over those of the smallest"
    )
    panel.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    panel.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    panel.minorticks_off()
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
