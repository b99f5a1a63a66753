"""Benchmarks: each a ratio of two ways to do the same work, timed in turn in one run, as a table and a picture.

    python experiments/bench/run.py [NAME …] [--repeats 3] [--out runs/bench]

A benchmark is a file in this folder with ``ABOUT``, ``AIM`` (the ratio it should not exceed, or None) and ``ways()``: functions by
name, ours first, what it is compared with second. Each does the work once; one that returns a number has timed itself, in seconds.
One that compares more has ``PAIRS``: names of ours and of the other, with the aim of each pair; one that aims at seconds, ``SECONDS``.
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
Pair = tuple[str, str, float | None]
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
        usual = [(*list(found)[:2], bench.AIM)]
        told = {
            "about": bench.ABOUT,
            "pairs": getattr(bench, "PAIRS", usual),
            "aims": getattr(bench, "SECONDS", {}),
            "seconds": found,
        }
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


def ratios(seconds: Seconds, ours: str, other: str) -> list[float]:
    """What one way takes over what another takes, round by round."""
    return [a / b for a, b in zip(seconds[ours], seconds[other], strict=True)]


def write(out: Path) -> None:
    """A table and a picture of all that has been timed up to now."""
    lines = ["| | | median s | ratio (rounds) | aim |", "|---|---|---|---|---|"]
    bars: list[tuple[str, list[float], float | None]] = []
    for name in NAMES:
        path = out / f"{name}.json"
        if not path.exists():
            continue
        told = json.loads(path.read_text())
        for way, times in told["seconds"].items():
            aim = f"at most {told['aims'][way]:g} s" if way in told["aims"] else ""
            lines.append(f"| {told['about']} | {way} | {statistics.median(times):.2f} | | {aim} |")
            told["about"] = ""
        for ours, other, most in told["pairs"]:
            found = ratios(told["seconds"], ours, other)
            bars.append((f"{name.replace('_', ' ')}: {ours} / {other}", found, most))
            ratio = f"**{statistics.median(found):.2f}** ({min(found):.2f} to {max(found):.2f})"
            lines.append(f"| | {ours} / {other} | | {ratio} | {'' if most is None else f'at most {most:g}'} |")
    (out / "bench.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    if bars:
        _picture(bars, out / "bench.png")


def _picture(bars: list[tuple[str, list[float], float | None]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 0.42 * len(bars) + 1.3), layout="constrained")
    panel = figure.subplots()
    panel.axvline(1, color="0.6", linewidth=1)
    for place, (_, found, aim) in enumerate(bars):
        panel.plot(found, [place] * len(found), "o", color="#0072B2", markersize=5, alpha=0.5)
        panel.plot([statistics.median(found)], [place], "D", color="#0072B2", markersize=8)
        if aim is not None:
            panel.plot([aim], [place], "|", color="#D55E00", markersize=18, markeredgewidth=2.5)
    panel.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    panel.set_xscale("log", base=2)
    ticks = [0.03125, 0.0625, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16]
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    every = [value for _, found, aim in bars for value in (*found, *([] if aim is None else [aim]))]
    panel.set_xlim(0.8 * min(every), 1.25 * max(1.0, *every))
    panel.minorticks_off()
    panel.set_ylim(len(bars) - 0.4, -0.6)
    panel.set_xlabel("seconds of the first over those of the second: left is quicker\n(diamond: median, bar: aim)")
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
