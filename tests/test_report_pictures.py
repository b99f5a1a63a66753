"""The pictures of a report: what is drawn, where, from which runs, and that nothing is cut off."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reported
from matplotlib.text import Text
from test_against_k import task
from test_against_parameters import ALL, FULL, LORA, PROMPT, THREE, ZERO, group, row
from test_table import record

from prompt_lab.reporting import against_k, against_parameters, confusion, rank_diagram, reliability, seed_variance
from prompt_lab.reporting.against_parameters import FRONT, SECONDS, STORED, Measure
from prompt_lab.reporting.beside import spread
from prompt_lab.reporting.best import best, largest
from prompt_lab.reporting.loading import load
from prompt_lab.reporting.pareto import front
from prompt_lab.reporting.picture import draw as strip
from prompt_lab.reporting.rank_diagram import Panel
from prompt_lab.reporting.rows import rows
from prompt_lab.reporting.told import ORACLE

BUDGET = {"labels_train": 32, "labels_validation": 0, "external_labels": 0, "unlabeled_texts": 0}


ZERO_BUDGET = {**BUDGET, "labels_train": 0}


def boxes(figure: Any) -> list[Any]:
    figure.draw_without_rendering()
    return [axis.get_tightbbox() for axis in figure.axes]


def inside(figure: Any) -> None:
    found = boxes(figure)
    width, height = figure.bbox.size
    for box in found:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= width + 1
        assert box.y1 <= height + 1
    assert not any(a.overlaps(b) for i, a in enumerate(found) for b in found[:i])


def data(line: Any) -> list[tuple[float, float]]:
    return [(round(float(x), 6), round(float(y), 6)) for x, y in zip(*line.get_data(), strict=True)]


class TestPareto:
    def test_nobody_on_the_front_is_beaten_by_something_as_cheap(self) -> None:
        #        on      on      beaten    on      beaten by the first, which costs less
        points = [(1, 50), (2, 60), (3, 55), (4, 70), (5, 50)]
        assert front(points) == [0, 1, 3]

    def test_equal_points_stand_together_and_of_one_price_the_better_one(self) -> None:
        assert front([(2, 60), (2, 60), (2, 50), (1, 40)]) == [3, 0, 1]
        assert front([(3, 60), (2, 60)]) == [1], "as good and dearer"
        assert front([]) == []

    def test_it_is_drawn_as_steps_from_the_cheapest_to_the_right_edge(self) -> None:
        """.55 without parameters, .6 with a thousand, .8 with 100 000; fine-tuning has .8 too, and costs more."""
        (panel,) = against_parameters.draw(THREE).axes
        (line,) = [one for one in panel.get_lines() if one.get_drawstyle() == "steps-post"]
        left, right = (round(x, 6) for x in panel.get_xlim())
        assert data(line) == [(left, 55), (3, 60), (5, 80), (right, 80)]
        assert line.get_color() == FRONT["color"]

    def test_the_oracle_is_drawn_and_beats_nobody(self) -> None:
        """Chosen on the test, it is cheaper and better than everything that is trained."""
        cheat = replace(row("cheat", 500, 0.99), told=ORACLE)
        (panel,) = against_parameters.draw([*THREE, cheat]).axes
        (line,) = [one for one in panel.get_lines() if one.get_drawstyle() == "steps-post"]
        assert [y for _, y in data(line)] == [55, 60, 80, 80]
        assert "cheat" in [text.get_text() for text in panel.texts]
        (panel,) = against_parameters.draw(group(cheat, replace(cheat, paradigm="more", trained_parameters=ALL))).axes
        assert not [one for one in panel.get_lines() if one.get_drawstyle() == "steps-post"]

    def test_seconds_and_bytes(self) -> None:
        def priced(one: Any, seconds: float, stored: int) -> Any:
            return type(one)(**{**vars(one), "seconds": seconds, "stored_bytes": stored})

        made = group(priced(ZERO, 1.0, 0), priced(LORA, 100.0, 4000), priced(FULL, 10.0, 40_000_000))
        (panel,) = against_parameters.draw(made, SECONDS).axes
        assert panel.get_xlabel() == "seconds, the mean of a whole run"
        (line,) = [one for one in panel.get_lines() if one.get_drawstyle() == "steps-post"]
        assert data(line)[:2] == [(0, 55), (1, 80)], "what trains nothing takes time too"
        assert [text.get_text() for text in panel.get_xticklabels()] == ["1 s", "10 s", "100 s"]
        (panel,) = against_parameters.draw(made, STORED).axes
        assert [text.get_text() for text in panel.get_xticklabels()] == [
            "10 kB",
            "100 kB",
            "1 MB",
            "10 MB",
            "100 MB",
        ]
        assert (
            len([one for one in panel.get_lines() if one.get_linestyle() == "--" and one.get_drawstyle() == "default"])
            == 1
        )

    def test_costs_that_do_not_differ_are_no_picture(self) -> None:
        same = Measure(lambda row: 5.0, "x", str)
        assert against_parameters.panels(THREE, same) == []


class TestStrip:
    def test_what_was_told_heads_its_rows_if_it_differs(self) -> None:
        runs = [
            record("a", budget=BUDGET),
            record("b", budget={**BUDGET, "unlabeled_texts": 5}),
            record("c", score=0.7, budget=BUDGET),
        ]
        (panel,) = strip(rows(runs)).axes
        written = {text.get_text(): text.xy[1] for text in panel.texts if "majority" not in text.get_text()}
        assert list(written) == ["labels", "labels + unlabelled texts"]
        places = dict(zip((label.get_text() for label in panel.get_yticklabels()), panel.get_yticks(), strict=True))
        assert list(places) == ["c", "a", "b"]
        ordered = [written["labels"], places["c"], places["a"], written["labels + unlabelled texts"], places["b"]]
        assert all(a < b for a, b in pairwise(ordered))
        (plain,) = strip(rows(runs[::2])).axes
        assert plain.get_yticks().tolist() == [0, 1]

    def test_what_was_not_trained_is_an_arrow_where_it_lies_far_below_the_rest(self) -> None:
        runs = [record("zero_shot", k=0, score=0.55, budget=ZERO_BUDGET)]
        runs += [record("a", score=score, split_seed=seed) for seed, score in ((13, 0.9), (21, 0.92))]
        (panel,) = strip(rows(runs)).axes
        assert {"◂ 55.0", "◂ majority class 50.0"} <= {text.get_text() for text in panel.texts}
        assert panel.get_xlim()[0] > 55
        (panel,) = strip(rows([*runs, record("b", score=0.52)])).axes
        assert panel.get_xlim()[0] < 50, "something trained is as low"
        assert not any("◂" in text.get_text() for text in panel.texts)

    def test_long_names_and_titles_are_not_cut_off(self) -> None:
        runs = [
            record(
                "a_paradigm_whose_name_is_really_rather_long_indeed", task=f"a_task_with_a_rather_long_name_{i}", k=k
            )
            for i in range(3)
            for k in (4, 16)
        ]
        figure = strip(rows(runs))
        inside(figure)
        left, right = figure.axes[0].get_window_extent().x0, figure.axes[0].get_window_extent().x1
        assert right - left > 250, "there is room for the scores"


class TestAgainstK:
    def test_few_have_bands_and_many_have_none(self) -> None:
        from matplotlib.collections import PolyCollection

        (few,) = against_k.draw(task(paradigms=2)).axes
        bands = [one for one in few.collections if isinstance(one, PolyCollection)]
        assert len(bands) == 2
        for band, least in zip(
            bands, (55, 50), strict=True
        ):  # of the better one first; ten points up and down, five more at K = 16
            corners = [(float(x), round(float(y), 6)) for x, y in band.get_paths()[0].vertices]
            assert {y for x, y in corners if x < 3} == {least, least + 20}
            assert {y for x, y in corners if x > 3} == {least + 5, least + 25}
        (many,) = against_k.draw(task(paradigms=8)).axes
        assert not [one for one in many.collections if isinstance(one, PolyCollection)]

    @pytest.mark.parametrize("tasks", [1, 3])
    def test_many_are_named_beside_the_panel_in_the_order_of_their_scores(self, tasks: int) -> None:
        figure = against_k.draw([one for i in range(tasks) for one in task(f"task_{i}", paradigms=25)])
        inside(figure)
        for panel in figure.axes:
            names = [text for text in panel.texts if text.get_text()]
            assert len(names) == 26
            by_height = sorted(names, key=lambda text: -Text.get_window_extent(text).y0)
            assert [t.get_text() for t in by_height[:25]] == [f"paradigm_{i}" for i in reversed(range(25))]
            letters = [Text.get_window_extent(text) for text in by_height]  # without the line that leads there
            assert not any(a.overlaps(b) for a, b in pairwise(letters))
            assert all(box.x0 > panel.get_window_extent().x1 for box in letters)
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["majority class", "a seed", "± sd (ddof=1)"]

    def test_places_are_as_near_as_the_gap_allows(self) -> None:
        assert spread([9, 8, 2], 1, 0, 10) == [9, 8, 2]
        assert spread([9, 8.9, 8.8], 1, 0, 10) == pytest.approx([9.9, 8.9, 7.9]), "as much up as down"
        assert spread([], 1, 0, 10) == []
        assert spread([1, 0.9, 0.2], 1, 0, 10) == [2, 1, 0], "pushed up from the bottom"
        assert spread([12], 1, 0, 10) == [10]
        assert spread([5, 5, 5], 6, 0, 10) == pytest.approx([10, 4, -2]), "more than there is room for: the gap stays"


class TestRanks:
    def place(self, means: dict[str, tuple[float, ...]], tasks: int = 2, **other: Any) -> list[Any]:
        return [
            record(name, score=mean, task=f"task_{i}", **other)
            for name, of_tasks in means.items()
            for i, mean in enumerate(of_tasks[:tasks])
        ]

    def test_methods_that_ran_on_all_tasks_are_ranked(self) -> None:
        runs = self.place({"a": (0.9, 0.9), "b": (0.8, 0.7), "c": (0.6, 0.8), "d": (0.99,)})
        (panel,), reasons = rank_diagram.panels(rows(runs))
        assert reasons == [f"d in {panel.title}: not run on all 2 tasks"]
        assert (panel.title, panel.tasks, list(panel.mean)) == (
            "minilm-mlm · K = 16 · labels + validation labels + external labels",
            ["task_0", "task_1"],
            ["a", "b", "c"],
        )
        figure = rank_diagram.draw([panel])
        (axis,) = figure.axes
        assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b", "c"]
        assert [data(line)[0] for line in axis.get_lines() if line.get_marker() == "D"] == [(1, 0), (2.5, 1), (2.5, 2)]
        # Nemenyi: 2.343 sqrt(3 * 4 / (6 * 2)) = 2.343, so nobody is told apart, and the ruler ends at the worst rank
        bars = [data(line) for line in axis.get_lines() if line.get_linewidth() == 2.5]
        assert [[y for _, y in bar] for bar in bars] == [[-0.25, 2.25]]
        assert "critical difference 2.3" in [text.get_text() for text in axis.texts]
        # Friedman, with ties: 12 / (2 * 3 * 4) (2^2 + 5^2 + 5^2) - 3 * 2 * 4 = 3, chi-square with 2 degrees of freedom
        assert axis.get_xlabel() == f"mean rank, 1 is best; Friedman p = .223:\n{rank_diagram.CHANCE}"
        inside(figure)

    def test_only_those_that_were_told_the_same_are_ranked_with_each_other(self) -> None:
        """Two more read texts without labels: too few to be ranked among themselves. Those without examples are ranked once."""
        means = {"a": (0.9, 0.9), "b": (0.8, 0.7), "c": (0.6, 0.8)}
        runs = [*self.place(means, budget=BUDGET), *self.place(means, budget=BUDGET, k=4)]
        runs += self.place({"pet": (0.99, 0.99), "ipet": (0.98, 0.99)}, budget={**BUDGET, "unlabeled_texts": 5})
        runs += self.place({"zero": (0.5, 0.5), "c": (0.6, 0.4), "bare": (0.4, 0.6)}, budget=ZERO_BUDGET, k=0)
        found, reasons = rank_diagram.panels(rows(runs))
        assert {panel.title: sorted(panel.mean) for panel in found} == {
            "minilm-mlm · K = 0 · no labels": ["bare", "c", "zero"],
            "minilm-mlm · K = 4 · labels": ["a", "b", "c"],
            "minilm-mlm · K = 16 · labels": ["a", "b", "c"],
        }
        assert reasons == [
            "minilm-mlm · K = 16 · labels + unlabelled texts: 2 paradigms ran on all 2 tasks, and ranks need 3"
        ]
        inside(rank_diagram.draw(found))

    def test_where_ranks_may_be_chance_one_bar_joins_all(self) -> None:
        """Mean ranks 1.25, 2.25, 2.75 and 3.75: the ends are 2.5 apart, more than the critical 2.35; but Friedman's p is .0503."""
        scores = [(4, 4, 4, 3), (2, 3, 2, 4), (3, 2, 3, 1), (1, 1, 1, 2)]
        mean = {name: dict(zip("wxyz", map(float, s), strict=True)) for name, s in zip("abcd", scores, strict=True)}
        panel = Panel("t", list("wxyz"), mean, dict.fromkeys("abcd", ""))
        assert len(panel.ranks().groups) == 2
        (axis,) = rank_diagram.draw([panel]).axes
        bars = [data(line) for line in axis.get_lines() if line.get_linewidth() == 2.5]
        assert [[y for _, y in bar] for bar in bars] == [[-0.25, 3.25]]
        assert rank_diagram.CHANCE in axis.get_xlabel()

    def test_bars_join_what_is_not_told_apart_and_those_that_overlap_stand_apart(self) -> None:
        """On 40 tasks ranks 1 to 4 in the same order: the critical difference is 2.569 sqrt(20 / 240) = .74, so no two are joined."""
        names = "a", "b", "c", "d"
        same = Panel(
            "x",
            [str(i) for i in range(40)],
            {n: {str(i): 9.0 - j for i in range(40)} for j, n in enumerate(names)},
            dict.fromkeys(names, ""),
        )
        (axis,) = rank_diagram.draw([same]).axes
        assert not [line for line in axis.get_lines() if line.get_linewidth() == 2.5]
        few = Panel(
            "x",
            [str(i) for i in range(4)],
            {n: {str(i): 9.0 - j for i in range(4)} for j, n in enumerate(names)},
            dict.fromkeys(names, ""),
        )
        (axis,) = rank_diagram.draw([few]).axes  # 2.35: a to c, and b to d
        bars = [data(line) for line in axis.get_lines() if line.get_linewidth() == 2.5]
        assert [[y for _, y in bar] for bar in bars] == [[-0.25, 2.25], [0.75, 3.25]]
        assert axis.get_xlabel() == "mean rank, 1 is best; Friedman p = .007"
        assert bars[0][0][0] != bars[1][0][0]

    @pytest.mark.parametrize(
        ("tasks", "means", "reason"),
        [
            (1, {"a": (0.9,), "b": (0.8,), "c": (0.7,)}, "over 2 tasks or more, and there is one"),
            (2, {"a": (0.9, 0.8), "b": (0.8, 0.7), "c": (0.7,)}, "2 paradigms ran on all 2 tasks, and ranks need 3"),
        ],
    )
    def test_why_there_is_none(self, tasks: int, means: dict[str, tuple[float, ...]], reason: str) -> None:
        made, reasons = rank_diagram.panels(rows(self.place(means, tasks)))
        assert made == []
        assert reason in reasons[0]

    def test_the_oracle_is_not_ranked(self) -> None:
        runs = self.place({"a": (0.9, 0.8), "b": (0.8, 0.7), "c": (0.7, 0.6)})
        runs += self.place({"cheat": (1.0, 1.0)}, selection="oracle")
        (panel,), _ = rank_diagram.panels(rows(runs))
        assert "cheat" not in panel.mean


class TestStored:
    @pytest.fixture(scope="class")
    @staticmethod
    def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("runs")
        for k in (4, 16):
            for seed in (13, 21):
                for name, right in (("fine_tuning", 0.5), ("a", 0.6), ("b", 0.7), ("c", 0.8), ("d", 0.9)):
                    reported.write(folder, name, seed, right, k=k)
        return folder

    def test_the_baseline_and_the_best_at_the_largest_k(self, out: Path) -> None:
        (part,) = largest(rows(load(out).records))
        assert part[0].k == 16
        assert [row.paradigm for row in best(part, "fine_tuning")] == ["fine_tuning", "d", "c", "b"]
        assert [row.paradigm for row in best(part, None)] == ["d", "c", "b", "a"]

    def test_shares_of_what_was_taken_for_what(self, out: Path) -> None:
        """Labels take turns; .9 of 200 items right: 90 of 100 of each label."""
        found = load(out)
        (line,) = confusion.panels(rows(found.records), found.outcomes, "fine_tuning")
        assert [panel.paradigm for panel in line] == ["fine_tuning", "d", "c", "b"]
        assert np.allclose(line[1].share_CC, [[0.9, 0.1], [0.1, 0.9]])
        assert (line[1].labels, line[1].runs) == (("bad", "good"), 2)
        figure = confusion.draw([line])
        assert [text.get_text() for text in figure.axes[1].texts] == ["90", "10", "10", "90"]
        inside(figure)

    def test_true_labels_go_down_and_given_ones_across(self, out: Path) -> None:
        """Whoever says ``good`` of everything is right about every good item and no bad one."""
        found = load(out)
        always = np.log([[0.2, 0.8]] * reported.ITEMS)
        outcomes = [replace(one, logp_NC=always) for one in found.outcomes]
        ((first, *_),) = confusion.panels(rows(found.records), outcomes, "fine_tuning")
        assert first.share_CC.tolist() == [[0, 1], [0, 1]]

    def test_the_error_is_the_mean_of_the_runs_own(self, tmp_path: Path) -> None:
        """.8 against .5 and against .95: .3 and .15. Laid end to end, .8 against .725 would be .075."""
        for seed, right in ((13, 0.5), (21, 0.95)):
            reported.write(tmp_path, "fine_tuning", seed, right)
        found = load(tmp_path)
        ((_, (curve,)),) = reliability.panels(rows(found.records), found.outcomes, None)
        assert curve.ece == pytest.approx(0.225)
        assert curve.pooled.ece == pytest.approx(0.075)

    def test_a_label_that_nobody_has_and_many_labels(self) -> None:
        many = confusion.Panel("t", "a" * 50, tuple(f"a rather long label {i}" for i in range(60)), np.eye(60), 1)
        figure = confusion.draw([[many, many], [many]])
        assert len(figure.axes) == 3
        assert not figure.axes[0].texts
        assert len(figure.axes[0].get_xticks()) <= confusion.NAMED
        inside(figure)

    def test_how_sure_and_how_often_right(self, out: Path) -> None:
        """Every label is said with 80 %, so the only point stands at .8, and the error is the distance of .8 from the accuracy."""
        found = load(out)
        ((title, curves),) = reliability.panels(rows(found.records), found.outcomes, "fine_tuning")
        assert title == "sst2 · minilm-mlm · K = 16"
        by = {curve.paradigm: curve for curve in curves}
        assert by["fine_tuning"].ece == pytest.approx(0.3)
        assert by["d"].ece == pytest.approx(0.1)
        assert by["d"].brier == pytest.approx(0.9 * 2 * 0.04 + 0.1 * 2 * 0.64)
        (axis,) = reliability.draw([(title, curves)]).axes
        marks = [data(line) for line in axis.get_lines() if line.get_marker() != "None"]
        assert marks == [[(80, 50)], [(80, 90)], [(80, 80)], [(80, 70)]]
        assert axis.get_legend().get_texts()[0].get_text() == "fine_tuning (ECE 30.0)"
        inside(reliability.draw([(title, curves)] * 4))

    def test_numbers_have_neither(self, tmp_path: Path) -> None:
        reported.write_numbers(tmp_path, "fine_tuning", 13, 0.1)
        found = load(tmp_path)
        assert confusion.panels(rows(found.records), found.outcomes, None) == []
        assert reliability.panels(rows(found.records), found.outcomes, None) == []


class TestVariance:
    def run(self, split: int, init: int, order: int, score: float, **other: Any) -> Any:
        name = other.pop("name", f"pet.x={split}{init}{order}")
        config = {"name": name, "data": {"seed": split, "k": 16}, "model": {"class_path": "Pet", "init_args": other}}
        return record(name, split, score, init_seed=init, order_seed=order, template="0", config=config)

    def test_one_factor_at_a_time(self) -> None:
        """Scores .5, .6 and .7 over splits: variance .01; .6 and .6 over orders: 0."""
        runs = [self.run(s, 1, 1, x) for s, x in ((1, 0.6), (2, 0.5), (3, 0.7))] + [self.run(1, 1, 2, 0.6)]
        (panel,) = seed_variance.panels(runs)
        assert (panel.title, panel.runs, panel.how) == ("sst2 · minilm-mlm · K = 16 · pet", 4, "one varied at a time")
        assert {one.factor: (one.levels, round(one.variance, 6), one.share) for one in panel.components} == {
            "split": (3, 0.01, 1.0),
            "order": (2, 0.0, 0.0),
        }
        figure = seed_variance.draw([panel])
        (axis,) = figure.axes
        assert [label.get_text() for label in axis.get_yticklabels()] == ["split (3)", "order (2)"]
        assert [round(bar.get_width(), 6) for bar in axis.patches] == [10, 0]
        assert [text.get_text() for text in axis.texts] == ["100 %", "0 %"]
        inside(figure)
        inside(seed_variance.draw([panel] * 4))

    def test_an_interval_that_is_far_longer_than_the_bars_goes_on(self) -> None:
        """Three levels, sd 10: from 10 sqrt(2 / 7.38) = 5.2 to 10 sqrt(2 / .0506) = 62.8. Five: from 6.0 to 28.7 times sqrt(.025)."""
        three = [self.run(s, 1, 1, x) for s, x in ((1, 0.6), (2, 0.5), (3, 0.7))] + [self.run(1, 1, 2, 0.6)]
        five = [self.run(s, 1, 1, 0.1 * s) for s in range(1, 6)] + [self.run(1, 1, 2, 0.1)]
        for runs, low, high, shown, end in ((three, 5.2, 62.8, 40, ">"), (five, 9.5, 45.4, 45.4, "|")):
            (panel,) = seed_variance.panels(runs)
            split = panel.components[0]
            assert split.low is not None
            assert split.high is not None
            assert (100 * split.low**0.5, 100 * split.high**0.5) == (
                pytest.approx(low, 0.01),
                pytest.approx(high, 0.01),
            )
            (axis,) = seed_variance.draw([panel]).axes
            whisker, tip, *_ = axis.get_lines()
            assert list(whisker.get_xdata()) == [pytest.approx(low, 0.01), pytest.approx(shown, 0.01)]
            assert tip.get_marker() == end
            assert axis.get_xlim()[1] < 60

    def test_all_combinations(self) -> None:
        runs = [self.run(s, i, 1, 0.5 + 0.1 * s + 0.01 * i) for s in (1, 2) for i in (1, 2)]
        (panel,) = seed_variance.panels(runs)
        assert panel.how == "all combinations"
        assert [one.factor for one in panel.components] == ["split", "initialisation", "rest"]

    def test_seeds_that_change_together_are_no_picture(self) -> None:
        assert seed_variance.panels([self.run(s, s, s, s / 10, name="pet") for s in (1, 2, 3)]) == []

    def test_runs_with_other_settings_are_not_mixed(self) -> None:
        runs = [self.run(1, 1, 1, 0.5), self.run(2, 1, 1, 0.6), self.run(1, 1, 2, 0.5, layers=3)]
        assert seed_variance.panels(runs) == []


def test_the_oracle_is_in_no_choice_of_the_best() -> None:
    made = rows([record("cheat", score=1.0, selection="oracle"), record("honest", score=0.5)])
    assert [one.paradigm for one in best(made, None)] == ["honest"]


def test_a_hundred_percent_more_parameters_is_the_least_that_is_drawn() -> None:
    assert against_parameters.panels(group(row("a", ALL, 0.5), row("b", ALL // 2, 0.5)))
    assert math.isclose(against_parameters.APART, 2)
    assert not against_parameters.panels(group(PROMPT))
