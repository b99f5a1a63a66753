"""The picture of the score against K: what is drawn, where, and that nothing is cut off or hidden."""

import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.collections import LineCollection
from test_table import record

from prompt_lab.reporting import report
from prompt_lab.reporting.against_k import curves, draw, panels
from prompt_lab.reporting.points import COLOURS, MARKERS
from prompt_lab.reporting.rows import Row

KS = (4, 16)


def task(name: str = "sst2", paradigms: int = 2, ks: tuple[int | str, ...] = KS, **other: Any) -> list[Row]:
    """At K = 4 the first paradigm's seeds score .5, .6 and .7, mean .6, sd .1; each further one, and each K, .05 more.

    The majority class has .5 and a paradigm without examples .55.
    """
    made, label = [], other.get("label", "paradigm_{}")
    for step, k in enumerate(ks):
        place = name, other.get("backbone", "minilm-mlm"), k, "test/acc"
        made += [
            Row(*place, "majority class", None, None, other.get("majority", 0.5)),
            Row(*place, "random", None, None, 0.1),
        ]
        made.append(Row(*place, "zero_shot", "tuning-free prompting", 0, 0.55, n=1, scores=(0.55,)))
        for number in range(paradigms):
            scores = tuple(x + 0.05 * (number + step) for x in (0.5, 0.6, 0.7))[: other.get("seeds", 3)]
            mean, sd = (scores[1], 0.1) if len(scores) == 3 else (scores[0], None)
            made.append(
                Row(
                    *place, label.format(number), "prompt+LM tuning", k, mean, sd, scores[0], len(scores), scores=scores
                )
            )
    return made


def points(line: Any) -> list[tuple[float, float]]:
    return [(round(float(x), 6), round(float(y), 6)) for x, y in zip(*line.get_data(), strict=True)]


def lines(panel: Any, **look: str) -> list[Any]:
    return [line for line in panel.get_lines() if all(getattr(line, f"get_{k}")() == v for k, v in look.items())]


def legend(figure: Any) -> list[str]:
    (one,) = figure.legends
    return [text.get_text() for text in one.get_texts()]


def test_a_task_and_backbone_with_two_numbers_of_examples_is_a_panel() -> None:
    only = task("one K", ks=(4,)) + task("one number", ks=(4, "full"))
    assert panels(only) == []
    assert panels([row for row in task() if row.shots == 0 or not row.n]) == [], "nothing was trained"
    figure = draw(task() + task(backbone="other") + only)
    titles = [panel.get_title(loc="left").replace("\N{NO-BREAK SPACE}", " ") for panel in figure.axes]
    assert titles == ["sst2 · minilm-mlm", "sst2 · other"]


def test_means_spread_and_seeds_stand_at_their_scores_and_doublings() -> None:
    (panel,) = draw(task(paradigms=1)).axes
    (line,) = lines(panel, marker="None", linestyle="-", color=COLOURS[0])[:1]
    assert points(line) == [(2, 60), (4, 65)]
    whiskers = [
        segment for bars in panel.collections if isinstance(bars, LineCollection) for segment in bars.get_segments()
    ]
    assert [[tuple(point) for point in bar] for bar in whiskers] == [
        [(2, pytest.approx(50)), (2, pytest.approx(70))],
        [(4, pytest.approx(55)), (4, pytest.approx(75))],
    ]
    seeds = lines(panel, marker="o", linestyle="None")
    dots = [line for line in seeds if len(line.get_xdata()) == 3]
    assert [[y for _, y in points(dot)] for dot in dots] == [[50, 60, 70], [55, 65, 75]]
    assert all(x > k for dot, k in zip(dots, (2, 4), strict=True) for x, _ in points(dot)), "beside the mean"
    assert panel.get_xticks().tolist() == [2, 4]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["4", "16"]
    assert panel.get_ylabel() == "test acc, %"


def test_runs_without_examples_are_dashed_and_the_majority_class_dotted() -> None:
    figure = draw(task())
    (panel,) = figure.axes
    (dashed,) = lines(panel, linestyle="--")
    assert {y for _, y in points(dashed)} == {55}
    assert (dashed.get_xdata()[0], dashed.get_xdata()[-1]) == panel.get_xlim()
    (dotted,) = lines(panel, linestyle=":")
    assert list(dotted.get_ydata()) == [50, 50]
    assert legend(figure) == [
        "paradigm_1",
        "paradigm_0",
        "zero_shot (K = 0)",
        "majority class",
        "a seed",
        "± sd (ddof=1)",
    ]
    assert "majority class" not in legend(draw(task(majority=None)))


def test_the_guess_of_a_label_at_random_makes_no_room_below() -> None:
    (panel,) = draw(task()).axes
    assert panel.get_ylim()[0] > 40


def test_paradigms_without_examples_of_the_same_score_have_markers_apart() -> None:
    twice = [
        row for one in task() for row in ([one, Row(**{**vars(one), "paradigm": "other"})] if one.shots == 0 else [one])
    ]
    dashed = lines(draw(twice).axes[0], linestyle="--")
    marked = [line.get_xdata()[line.get_markevery()[0]] for line in dashed]
    assert len(set(marked)) == len(dashed) == 2


def test_all_examples_stand_at_the_right_edge_and_no_line_leads_there() -> None:
    (panel,) = draw(task(paradigms=1, ks=(4, 16, "full"))).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["4", "16", "full"]
    full = panel.get_xticks()[-1]
    assert full > 4
    (line,) = lines(panel, marker="None", linestyle="-", color=COLOURS[0])[:1]
    assert [x for x, _ in points(line)] == [2, 4]
    assert any(points(line) == [(full, 70)] for line in panel.get_lines()), "the mean"


def test_the_legend_follows_the_mean_at_the_largest_k_and_looks_the_name() -> None:
    rows = [row for row in task(paradigms=3) if (row.paradigm, row.k) != ("paradigm_2", 16)]
    figure = draw(rows + task("trec", paradigms=3))
    assert legend(figure)[:3] == ["paradigm_2", "paradigm_1", "paradigm_0"]
    assert legend(draw(rows))[:3] == ["paradigm_1", "paradigm_0", "paradigm_2"], "it has no run at the largest K"
    for panel in figure.axes:
        for number in range(3):
            found = lines(panel, marker=MARKERS[number], linestyle="None", color=COLOURS[number])
            assert found, "its own colour and marker in every panel"
    (first, second) = figure.axes
    assert [len(lines(panel, marker=MARKERS[2], linestyle="None", color=COLOURS[2])) for panel in (first, second)] == [
        1,
        2,
    ]


def test_no_two_of_many_paradigms_look_the_same() -> None:
    (panel,) = draw(task(paradigms=12)).axes
    beside = [line for line in panel.get_lines() if line.get_transform() is panel.transAxes]
    looks = [(line.get_color(), line.get_marker()) for line in beside]
    assert len(set(looks)) == 13
    assert math.gcd(len(COLOURS), len(MARKERS)) == 1


def test_no_paradigm_hides_another_of_the_same_score() -> None:
    rows = [Row(**{**vars(row), "mean": 0.6, "scores": (0.6,) * row.n}) if row.n else row for row in task(paradigms=9)]
    (panel,) = draw(rows).axes
    means = [
        x
        for line in panel.get_lines()
        if line.get_linestyle() == "None" and len(line.get_xdata()) == 1
        for x, _ in points(line)
    ]
    assert len(set(means)) == 2 * 9
    assert max(abs(x - round(x)) for x in means) < 0.5, "nearer to their own K than to any other"


def test_one_seed_has_no_bar() -> None:
    (panel,) = draw(task(seeds=1)).axes
    assert not panel.collections


def test_names_of_neighbouring_k_are_not_written_over_each_other() -> None:
    (panel,) = draw(task(ks=(4, 15, 16, 17, 64))).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["4", "15", "", "", "64"]


@pytest.mark.parametrize("label", ["p_{}", "a_rather_long_name_of_a_paradigm_that_goes_on_and_on_beyond_all_bounds_{}"])
@pytest.mark.parametrize(("tasks", "paradigms"), [(1, 2), (1, 9), (2, 9), (4, 9), (5, 2)])
def test_nothing_is_cut_off_and_nothing_overlaps(tasks: int, paradigms: int, label: str) -> None:
    ks = (4, 8, 16, 32, "full")
    figure = draw(
        [row for i in range(tasks) for row in task(f"a_task_with_a_long_name_{i}", paradigms, ks, label=label)]
    )
    figure.draw_without_rendering()
    assert len(figure.axes) == tasks
    width, height = figure.bbox.size
    boxes = [thing.get_tightbbox() for thing in (*figure.axes, *figure.legends)]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert min(panel.bbox.height for panel in figure.axes) > 1.5 * figure.dpi, "the legend leaves the panels their room"


def test_the_report_holds_it_where_there_is_something_to_show(tmp_path: Path) -> None:
    one = [record(seed=seed, score=0.6) for seed in (13, 21)]
    made = report.write(one, tmp_path / "one")
    assert [path.name for path in made.paths] == ["comparison.md", "cost.md", "comparison.csv", "comparison.png"]
    assert "score_against_k" not in made.paths[0].read_text()
    made = report.write([*one, record(k=64, score=0.8), record("zero_shot", k=0, score=0.5)], tmp_path / "two")
    assert made.paths[-1].name == "score_against_k.png"
    assert made.paths[-1].read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(path.name for path in made.paths)
    assert "![score against K](score_against_k.png)" in made.paths[0].read_text()


def test_the_file_is_of_a_readable_size(tmp_path: Path) -> None:
    curves(task(paradigms=9), tmp_path / "k.png")
    data = (tmp_path / "k.png").read_bytes()
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    assert 600 <= width <= 1500
    assert 300 <= height <= 1000
