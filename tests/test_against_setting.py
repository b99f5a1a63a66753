"""The picture of the score against a setting."""

from pathlib import Path
from statistics import fmean, stdev

import pytest
from matplotlib.figure import Figure

from prompt_lab.reporting import against_setting, report
from prompt_lab.reporting.rows import MAJORITY, Row


def row(name: str, *scores: float, task: str = "films") -> Row:
    sd = stdev(scores) if len(scores) > 1 else None
    return Row(
        task,
        "tiny",
        16,
        "test/acc",
        name,
        "fixed-LM prompt tuning",
        16,
        fmean(scores),
        sd,
        min(scores),
        len(scores),
        scores=scores,
    )


GUESS = Row("films", "tiny", 16, "test/acc", MAJORITY, None, None, 0.5)
LENGTHS = [row("soft.length=16", 0.8, 0.7), row("soft.length=4", 0.6, 0.7), row("deep.length=4", 0.9)]
INITS = [row("soft.init=words", 0.7), row("soft.init=normal", 0.6)]


def drawn(*rows: Row) -> Figure:
    return against_setting.draw([GUESS, *rows])


def test_a_panel_a_task_and_setting() -> None:
    found = against_setting.panels(
        [GUESS, *LENGTHS, *INITS, row("fine_tuning", 0.5), row("soft.length=4", 0.5, task="news")]
    )
    assert [(p.title, p.setting) for p in found] == [
        ("films · tiny · K = 16", "length"),
        ("films · tiny · K = 16", "init"),
    ]
    assert found[0].values == ["4", "16"], "numbers in their order"
    assert found[1].values == ["words", "normal"], "others as they come"
    assert {name: list(of) for name, of in found[0].rows.items()} == {"soft": ["16", "4"], "deep": ["4"]}


@pytest.mark.parametrize(
    "rows", [[], [row("fine_tuning", 0.5)], [row("soft.length=4", 0.5)], [row("a.b.c=4", 0.5)] * 2]
)
def test_without_two_values_there_is_no_panel(rows: list[Row]) -> None:
    assert against_setting.panels([GUESS, *rows]) == []


def test_numbers_lie_on_a_scale_of_doublings_and_are_connected() -> None:
    (axis,) = drawn(*LENGTHS).axes
    assert [t.get_text() for t in axis.get_xticklabels()] == ["4", "16"]
    assert list(axis.get_xticks()) == [2.0, 4.0]
    lines = [line for line in axis.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 2]
    assert [line for line in lines if list(line.get_ydata()) == pytest.approx([65.0, 75.0])]


def test_words_are_not_connected() -> None:
    (axis,) = drawn(*INITS).axes
    assert list(axis.get_xticks()) == [0.0, 1.0]
    assert not [line for line in axis.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 2]


def test_seeds_and_the_numbers_of_patterns_are_names() -> None:
    (axis,) = drawn(*(row(f"soft.split={seed}", score) for seed, score in ((13, 0.7), (21, 0.6), (100, 0.8)))).axes
    assert axis.get_xticks().tolist() == [0, 1, 2]
    assert all(line.get_linestyle() != "-" or len(line.get_xdata()) < 3 for line in axis.get_lines())


def test_everything_drawn_lies_inside_and_nothing_hides_the_majority() -> None:
    for axis in drawn(*LENGTHS, *INITS).axes:
        low, high = axis.get_ylim()
        heights = [float(y) for line in axis.lines for y in line.get_ydata()]
        assert low < min(heights) <= 50.0 < max(heights) < high


def test_it_is_a_picture(tmp_path: Path) -> None:
    against_setting.curves([GUESS, *LENGTHS], tmp_path / report.AGAINST_SETTING)
    assert (tmp_path / report.AGAINST_SETTING).read_bytes().startswith(b"\x89PNG")
