"""The comparison's picture: what is drawn, where, and that nothing is cut off."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prompt_lab.reporting.picture import draw, strip_plot
from prompt_lab.reporting.rows import Row


def group(task: str = "sst2", k: int | str = 16, paradigms: int = 3, majority: float | None = 0.5) -> list[Row]:
    """Paradigms of three seeds: the first scores .6, .7 and .8, each further one .02 less; mean .7, sd .1."""
    place = task, "minilm-mlm", k, "test/acc"
    made = [Row(*place, "majority class", None, None, majority), Row(*place, "random", None, None, 0.5)]
    for number in range(paradigms):
        scores = tuple(x - 0.02 * number for x in (0.6, 0.7, 0.8))
        strategy = "promptless fine-tuning" if number % 2 else "fixed-prompt LM tuning"
        made.append(Row(*place, f"paradigm_{number}", strategy, k, scores[1], 0.1, scores[0], 3, scores=scores))
    return made


def labels(panel: Any) -> list[str]:
    return [label.get_text() for label in panel.get_yticklabels()]


def test_every_group_is_a_panel_in_the_tables_order() -> None:
    figure = draw(group(k=4) + group(k="full", paradigms=12) + group("rotten_tomatoes"))
    titles = [panel.get_title(loc="left").replace("\N{NO-BREAK SPACE}", " ") for panel in figure.axes]
    assert titles == [
        "sst2 · minilm-mlm · K = 4",
        "sst2 · minilm-mlm · K = full",
        "rotten_tomatoes · minilm-mlm · K = 16",
    ]
    assert [labels(panel) for panel in figure.axes] == [[f"paradigm_{i}" for i in range(n)] for n in (3, 12, 3)]
    assert figure.axes[0].get_ylim()[0] > figure.axes[0].get_ylim()[1]  # the first row is at the top
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()  # one scale a task


def test_seeds_mean_spread_and_majority_stand_at_their_scores() -> None:
    (panel,) = draw(group(paradigms=1)).axes
    drawn = [[round(float(x), 6) for x in line.get_xdata()] for line in panel.get_lines()]
    assert [60, 70, 80] in drawn
    assert [70] in drawn
    (whisker,) = (line.get_segments()[0] for line in panel.collections)
    assert [point[0] for point in whisker] == [pytest.approx(60), pytest.approx(80)]
    assert [50, 50] in drawn
    assert "majority class 50.0" in [text.get_text() for text in panel.texts]


def test_an_unknown_majority_and_a_single_seed_leave_their_marks_out() -> None:
    made = group(paradigms=0, majority=None)
    one = Row("sst2", "minilm-mlm", 16, "test/acc", "zero_shot", "tuning-free prompting", 0, 0.6, n=1, scores=(0.6,))
    (panel,) = draw([*made, one]).axes
    assert not panel.texts
    assert not panel.collections


def test_the_legend_names_the_strategies_that_occur() -> None:
    (legend,) = draw(group()).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "promptless fine-tuning",
        "fixed-prompt LM tuning",
        "a seed",
        "mean ± sd (ddof=1)",
    ]


@pytest.mark.parametrize(("groups", "paradigms"), [(1, 1), (1, 12), (2, 3), (5, 3), (6, 12)])
def test_nothing_is_cut_off_and_panels_do_not_overlap(groups: int, paradigms: int) -> None:
    figure = draw([row for i in range(groups) for row in group(f"a_task_with_a_long_name_{i}", paradigms=paradigms)])
    figure.draw_without_rendering()
    assert len(figure.axes) == groups
    width, height = figure.bbox.size
    boxes = [thing.get_tightbbox() for thing in (*figure.axes, *figure.legends)]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_file_is_a_png_of_a_readable_size(tmp_path: Path) -> None:
    path = tmp_path / "comparison.png"
    strip_plot(group(), path)
    data = path.read_bytes()
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    assert data.startswith(b"\x89PNG")
    assert 600 <= width <= 1500
    assert 300 <= height <= 1000
    assert [file.name for file in tmp_path.iterdir()] == ["comparison.png"]


def test_drawing_leaves_matplotlibs_backend_alone() -> None:
    code = (
        "import sys; from tests.test_picture import *; draw(group()).draw_without_rendering(); "
        "print([m for m in ('torch', 'lightning', 'matplotlib.pyplot') if m in sys.modules])"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.stdout == "[]\n", done.stderr
