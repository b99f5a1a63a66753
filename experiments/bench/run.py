"""Benchmarks: each a ratio of two ways to do the same work, timed in turn in one run, as a table and a picture.

    python experiments/bench/run.py [NAME …] [--repeats 3] [--out runs/bench]

A benchmark is a file in this folder with ``ABOUT``, ``AIM`` (the ratio it should not exceed, or None) and ``ways()``: functions by
name, ours first, what it is compared with second. Each does the work once; one that returns a number has timed itself, in seconds.
"""

import argparse
import gc
import importlib
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

Ways = dict[str, Callable[[], float | None]]
Seconds = dict[str, list[float]]
NAMES = (
    "overhead",
    "hf_trainer",
    "open_prompt",
    "starting",
    "one_process",
    "label_words",
    "padding",
    "precision",
    "side_by_side",
    "frozen_once",
)


def main() -> None:
    """Time what is asked for, everything by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}, scaling (default: all)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    say = Console(stderr=True).print
    for name in options.names or (*NAMES, "scaling"):
        if name == "scaling":
            import scaling

            scaling.main(options.repeats, options.out, say)
            continue
        bench = importlib.import_module(name)
        say(f"{name}: {bench.ABOUT}")
        found = timed(bench.ways(), options.repeats, say)
        told = {"about": bench.ABOUT, "aim": bench.AIM, "seconds": found}
        (options.out / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")
    write(options.out)


def timed(ways: Ways, repeats: int, say: Callable[[str], None]) -> Seconds:
    """Seconds of each way, in turn; a round before the first is not counted: it loads, tokenises and warms up."""
    seconds: Seconds = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, way in ways.items():
            gc.collect()
            start = time.perf_counter()
            own = way()
            passed = time.perf_counter() - start if own is None else own
            if number:
                seconds[name].append(passed)
            say(f"  {'round ' + str(number) if number else 'warming up'}: {name} {passed:.2f} s")
    return seconds


def ratios(seconds: Seconds) -> list[float]:
    """What the first way takes over what the second takes, round by round."""
    ours, other = list(seconds.values())[:2]
    return [a / b for a, b in zip(ours, other, strict=True)]


def write(out: Path) -> None:
    """A table and a picture of all that has been timed up to now."""
    lines = ["| | | median s | ratio (rounds) | aim |", "|---|---|---|---|---|"]
    bars: list[tuple[str, list[float], float | None]] = []
    for name in NAMES:
        path = out / f"{name}.json"
        if not path.exists():
            continue
        told = json.loads(path.read_text())
        found = ratios(told["seconds"])
        bars.append((name, found, told["aim"]))
        for i, (way, times) in enumerate(told["seconds"].items()):
            ratio = f"**{statistics.median(found):.2f}** ({min(found):.2f} to {max(found):.2f})" if i == 0 else ""
            aim = "" if told["aim"] is None or i else f"at most {told['aim']:g}"
            lines.append(
                f"| {told['about'] if i == 0 else ''} | {way} | {statistics.median(times):.2f} | {ratio} | {aim} |"
            )
    (out / "bench.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    if bars:
        _picture(bars, out / "bench.png")


def _picture(bars: list[tuple[str, list[float], float | None]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.45 * len(bars) + 1.3), layout="constrained")
    panel = figure.subplots()
    panel.axvline(1, color="0.6", linewidth=1)
    for place, (_, found, aim) in enumerate(bars):
        panel.plot(found, [place] * len(found), "o", color="#0072B2", markersize=5, alpha=0.5)
        panel.plot([statistics.median(found)], [place], "D", color="#0072B2", markersize=8)
        if aim is not None:
            panel.plot([aim], [place], "|", color="#D55E00", markersize=18, markeredgewidth=2.5)
    panel.set_yticks(range(len(bars)), [name.replace("_", " ") for name, _, _ in bars])
    panel.set_xscale("log", base=2)
    ticks = [0.0625, 0.125, 0.25, 0.5, 1, 2]
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.minorticks_off()
    panel.invert_yaxis()
    panel.set_xlabel("seconds of ours over seconds of the other (diamond: median, bar: aim); left is quicker")
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
