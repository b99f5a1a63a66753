"""The picture of the score against trained parameters: what is drawn, where, and that names can be read."""

import math
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from matplotlib.figure import Figure
from test_table import record

from prompt_lab.reporting import report
from prompt_lab.reporting.against_parameters import curves, draw, panels
from prompt_lab.reporting.labels import Box, spot
from prompt_lab.reporting.picture import COLOURS
from prompt_lab.reporting.rows import MAJORITY, Row

ALL = 10_000_000


def row(name: str, parameters: int, *scores: float, strategy: str = "fixed-prompt LM tuning", **other: Any) -> Row:
    """A paradigm's row; the model has ten million parameters."""
    return Row(
        other.get("task", "films"), "tiny", other.get("k", 16), "test/acc", name, strategy, 16, fmean(scores),
        stdev(scores) if len(scores) > 1 else None, min(scores), len(scores), scores=scores,
        trained_parameters=parameters, trained_share=parameters / ALL,
    )  # fmt: skip


def group(*rows: Row, **place: Any) -> list[Row]:
    """With the baselines; the majority class has .5."""
    task, k = place.get("task", "films"), place.get("k", 16)
    guesses = [Row(task, "tiny", k, "test/acc", name, None, None, m) for name, m in ((MAJORITY, 0.5), ("random", 0.1))]
    return [*guesses, *(replace(one, task=task, k=k) for one in rows)]


FULL = row("fine_tuning", ALL, 0.7, 0.8, 0.9, strategy="promptless fine-tuning")
LORA = row("lora", 100_000, 0.75, 0.85)
PROMPT = row("prompt_tuning", 1_000, 0.6, strategy="fixed-LM prompt tuning")
ZERO = replace(row("zero_shot", 0, 0.55, strategy="tuning-free prompting"), shots=0)
THREE = group(ZERO, LORA, FULL, PROMPT)


def names(figure: Figure) -> list[str]:
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def lines(panel: Any, **look: str) -> list[Any]:
    return [line for line in panel.get_lines() if all(getattr(line, f"get_{k}")() == v for k, v in look.items())]


def marks(panel: Any) -> dict[float, float]:
    """Where the means stand: the number of parameters, and the score."""
    found = [line for line in lines(panel, marker="D") if len(line.get_xdata()) == 1]
    return {round(float(line.get_xdata()[0]), 3): round(float(line.get_ydata()[0]), 6) for line in found}


def letters(panel: Any) -> list[Any]:
    return [text.get_window_extent() for text in panel.texts]


class TestPanels:
    def test_a_group_in_which_numbers_differ(self) -> None:
        assert panels(THREE) == [THREE]
        same = group(FULL, replace(LORA, trained_parameters=ALL // 2 + 1), ZERO)
        assert panels(same) == [], "not twice as many, and none at all is a line"
        twice = group(FULL, replace(LORA, trained_parameters=ALL // 2))
        assert panels(twice) == [twice]
        assert panels(group(ZERO)) == []
        assert panels([]) == []

    def test_every_task_and_k_is_one(self) -> None:
        figure = draw(
            [
                *THREE,
                *group(LORA, row("other", ALL, 0.95), k=64),
                *group(LORA, k=128),
                *group(PROMPT, LORA, task="news"),
            ]
        )
        titles = [axis.get_title(loc="left").replace("\N{NO-BREAK SPACE}", " ") for axis in figure.axes]
        assert titles == ["films · tiny · K = 16", "films · tiny · K = 64", "news · tiny · K = 16"]
        assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim(), "one scale a task"

    def test_settings_that_train_as_many_parameters_whatever_their_value_are_left_out(self) -> None:
        rates = [row(f"lora.learning_rate={rate}", 100_000, 0.7) for rate in (0.1, 0.01)]
        assert panels(group(FULL, *rates)) == []
        ranks = [row(f"lora.rank={rank}", 10_000 * rank, 0.7) for rank in (1, 4)]
        figure = draw(group(FULL, *rates, *ranks))
        assert sorted(names(figure)) == ["below: majority class 50.0", "fine_tuning", "lora.rank=1", "lora.rank=4"]


class TestDrawing:
    def test_points_bars_and_seeds_stand_where_they_should(self) -> None:
        (panel,) = draw(THREE).axes
        assert marks(panel) == {3: 60, 5: 80, 7: 80}
        bars = [path.vertices.tolist() for bars in panel.collections for path in bars.get_paths()]
        sd = 100 * stdev([0.75, 0.85])
        assert bars == [
            [[5, pytest.approx(80 - sd)], [5, pytest.approx(80 + sd)]],
            [[7, pytest.approx(70)], [7, pytest.approx(90)]],
        ]
        seeds = [line.get_ydata() for line in lines(panel, marker="o", linestyle="None")]
        assert [list(ys) for ys in seeds] == [[60], [75, 85], pytest.approx([70, 80, 90])]
        assert panel.get_ylabel() == "test acc, %"

    def test_the_axis_says_numbers_and_their_share(self) -> None:
        (panel,) = draw(THREE).axes
        shown = dict(zip(panel.get_xticks().tolist(), [t.get_text() for t in panel.get_xticklabels()], strict=True))
        assert shown[3] == "1K\n0.01 %"
        assert shown[6] == "1M\n10 %"
        assert shown[7] == "10M\n100 %"

    def test_over_few_powers_of_ten_there_are_numbers_between(self) -> None:
        (panel,) = draw(group(FULL, replace(LORA, trained_parameters=4_000_000))).axes
        assert "5M\n50 %" in [t.get_text() for t in panel.get_xticklabels()]

    def test_a_handful_of_parameters(self) -> None:
        (panel,) = draw(group(row("one", 1, 0.6), row("eight", 8, 0.7))).axes
        assert [t.get_text().split("\n")[0] for t in panel.get_xticklabels()] == ["1", "2", "5", "10"]

    def test_what_trains_nothing_is_a_dashed_line_and_the_majority_a_dotted_one(self) -> None:
        (panel,) = draw(THREE).axes
        (dashed,) = lines(panel, linestyle="--", drawstyle="default")
        assert (list(dashed.get_ydata()), list(dashed.get_xdata())) == ([pytest.approx(55)] * 2, [0, 1])
        assert dashed.get_color() == COLOURS["tuning-free prompting"]
        (dotted,) = lines(panel, linestyle=":")
        assert list(dotted.get_ydata()) == [50, 50]

    def test_an_unknown_majority_is_not_drawn(self) -> None:
        figure = draw([replace(one, mean=None) if one.paradigm == MAJORITY else one for one in THREE])
        assert lines(figure.axes[0], linestyle=":") == []
        assert MAJORITY not in names(figure)

    def test_everything_is_named_and_strategies_are_in_the_legend(self) -> None:
        figure = draw(THREE)
        assert sorted(names(figure)) == ["fine_tuning", "lora", MAJORITY, "prompt_tuning", "zero_shot"]
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == [
            "promptless fine-tuning", "fixed-LM prompt tuning", "fixed-prompt LM tuning", "a seed", "± sd (ddof=1)",
            "best at its price (Pareto)",
        ]  # fmt: skip

    def test_equal_numbers_stand_beside_each_other_and_near_their_own(self) -> None:
        (panel,) = draw(group(PROMPT, *(row(f"p{i}", ALL, 0.7) for i in range(5)))).axes
        places = sorted(marks(panel))
        assert len(places) == 6
        assert fmean(places[1:]) == pytest.approx(7, abs=1e-3)
        assert all(abs(place - 7) < math.log10(2) for place in places[1:])
        assert len({round(b - a, 2) for a, b in pairwise(places[1:])}) == 1

    @pytest.mark.parametrize("tasks", [1, 3])
    @pytest.mark.parametrize("crowd", [0, 7])
    def test_names_cover_neither_each_other_nor_the_edge(self, tasks: int, crowd: int) -> None:
        rows = [
            ZERO,
            LORA,
            PROMPT,
            row("p_tuning_v2", 120_000, 0.79),
            *(row(f"a_long_name_{i}", ALL, 0.7, 0.7 + i / 50) for i in range(crowd)),
        ]
        figure = draw([one for i in range(tasks) for one in group(*rows, task=f"task_{i}")])
        figure.draw_without_rendering()
        for panel in figure.axes:
            boxes = letters(panel)
            assert len(boxes) == len(rows) + 1
            assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
            for box in boxes:
                assert panel.bbox.x0 - 1 <= box.x0 <= box.x1 <= panel.bbox.x1 + 1
                assert panel.bbox.y0 - 1 <= box.y0 <= box.y1 <= panel.bbox.y1 + 1

    @pytest.mark.parametrize("tasks", [1, 3])
    def test_names_of_a_crowd_stand_beside_the_panel_from_the_best_to_the_worst(self, tasks: int) -> None:
        rows = [ZERO, FULL, *(row(f"a_long_name_{i}", 10_000 + i, 0.8 + i / 99, 0.81 + i / 99) for i in range(14))]
        figure = draw([one for i in range(tasks) for one in group(*rows, task=f"task_{i}")])
        figure.draw_without_rendering()
        best_first = [one.paradigm for one in sorted(rows, key=lambda one: -(one.mean or 0)) if one is not ZERO]
        for panel in figure.axes:
            *told, below = sorted(
                (text for text in panel.texts if text.get_text()), key=lambda text: "below" in text.get_text()
            )
            assert below.get_text() == "below: zero_shot 55.0, majority class 50.0", (
                "the scale is that of what is trained"
            )
            boxes = [text.get_window_extent() for text in told]
            assert [t.get_text() for t in sorted(told, key=lambda t: -t.get_window_extent().y0)] == best_first
            assert all(box.x0 > panel.bbox.x1 for box in boxes)
            assert all(box.x1 <= figure.bbox.x1 for box in boxes)
            assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        assert "majority class" not in [text.get_text() for text in figure.legends[0].get_texts()]

    def test_a_crowd_with_a_run_that_guesses_shows_the_majority_class(self) -> None:
        rows = [ZERO, FULL, *(row(f"a_long_name_{i}", 10_000 + i, 0.5 + i / 60, 0.51 + i / 60) for i in range(14))]
        figure = draw(group(*rows))
        assert "majority class" in [text.get_text() for text in figure.legends[0].get_texts()]
        assert "zero_shot" in [text.get_text() for text in figure.axes[0].texts]
        assert not any(text.get_text().startswith("below") for text in figure.axes[0].texts)

    def test_panels_and_legend_lie_inside_and_do_not_overlap(self) -> None:
        figure = draw(
            [one for i in range(4) for one in group(ZERO, LORA, PROMPT, FULL, task=f"a_task_with_a_long_name_{i}")]
        )
        figure.draw_without_rendering()
        boxes = [thing.get_tightbbox() for thing in (*figure.axes, *figure.legends)]
        width, height = figure.bbox.size
        assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


class TestSpot:
    """A label of 40 by 10 pixels for the point (100, 100), in a room of 200 by 200."""

    room = Box(0, 0, 200, 200)
    right = Box(108, 95, 148, 105)

    def found(self, *drawn: Box, at: tuple[float, float] = (100, 100), taken: Any = ()) -> Any:
        return spot(at, (40, 10), self.room, taken, drawn)

    def test_right_of_the_point_if_that_is_free(self) -> None:
        assert self.found() == (self.right, (100, 100), False)

    def test_left_where_something_is_drawn_on_the_right(self) -> None:
        assert self.found(Box(110, 90, 120, 110)).box == Box(52, 95, 92, 105)

    def test_inside_the_room(self) -> None:
        assert self.found(at=(190, 100)).box.right == 182

    def test_another_label_is_worse_than_anything_drawn(self) -> None:
        """Wherever it could stand at once something is drawn, so it stands on that, not on the label."""
        first = self.found()
        second = self.found(Box(0, 0, 200, 200), taken=[first])
        assert second.box.common(first.box) == 0

    def test_a_line_leads_to_one_that_stands_far_away(self) -> None:
        away = self.found(Box(35, 80, 165, 120))
        assert away.has_line
        assert away.line[0] == (100, 100)
        assert away.box.common(Box(35, 80, 165, 120)) == 0

    def test_lines_do_not_cross_labels_nor_lines(self) -> None:
        """The nearest free place below would do but for a label in between."""
        wall = Box(35, 80, 165, 200)
        free = self.found(wall)
        between = spot((100, 82), (40, 4), self.room, (), ())._replace(box=Box(60, 78, 140, 80))
        around = self.found(wall, taken=[between])
        assert free.box != around.box
        x, y = around.line[1]
        assert not (60 < x < 140 and y < 78)


class TestReport:
    def test_it_is_there_where_there_is_something_to_see(self, tmp_path: Path) -> None:
        few = record("lora", score=0.7)
        few["cost"] = {**few["cost"], "trained_parameters": 100_000}
        made = report.write([record(), few], tmp_path)
        assert made.paths[-1].name == "score_against_parameters.png"
        assert made.paths[-1].read_bytes().startswith(b"\x89PNG")
        assert "![score against trained parameters](score_against_parameters.png)" in made.paths[0].read_text()
        assert "score_against_parameters.png" not in str(report.write([record()], tmp_path / "one").paths)

    def test_the_file_is_of_a_readable_size(self, tmp_path: Path) -> None:
        curves(THREE, tmp_path / "p.png")
        data = (tmp_path / "p.png").read_bytes()
        width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        assert 600 <= width <= 1500
        assert 300 <= height <= 1000
