"""What is said of rows: what they were told, intervals, differences to the baseline, ties, and who is ahead."""

from pathlib import Path
from typing import Any

import pytest
import reported
from test_table import pipes, printed, record

from prompt_lab.errors import LabError
from prompt_lab.reporting import latex, table
from prompt_lab.reporting.findings import BOTH, ITEMS, Finding
from prompt_lab.reporting.rows import Row, rows, sections
from prompt_lab.reporting.study import chosen_baseline, outcomes_of, studied
from prompt_lab.reporting.told import NOTHING, ORACLE, rank, told

LABELS = {"labels_train": 32, "labels_validation": 0, "external_labels": 0, "unlabeled_texts": 0, "demonstrations": 0}
SEEDS = 13, 21, 42, 87, 100


def budget(**more: int) -> dict[str, Any]:
    return {"budget": {**LABELS, **more}}


def study(out: Path, baseline: str | None = "fine_tuning") -> dict[str, Row]:
    """The rows of all runs, by name."""
    found = reported.loaded(out)
    return {row.paradigm: row for row in studied(rows(found.records), found.outcomes, baseline)}


def found(row: Row) -> Finding:
    assert row.found is not None
    return row.found


class TestTold:
    @pytest.mark.parametrize(
        ("more", "name"),
        [
            ({"labels_train": 0}, NOTHING),
            ({}, "labels"),
            ({"labels_validation": 32}, "labels + validation labels"),
            ({"unlabeled_texts": 500}, "labels + unlabelled texts"),
            ({"external_labels": 80, "unlabeled_texts": 500}, "labels + unlabelled texts + external labels"),
            ({"demonstrations": 32}, "labels + demonstrations"),
            ({"labels_train": 0, "unlabeled_texts": 500}, "unlabelled texts"),
        ],
    )
    def test_what_a_budget_counts_is_named(self, more: dict[str, int], name: str) -> None:
        assert told([record(**budget(**more))]) == name

    def test_one_seed_that_was_told_more_counts_for_all(self) -> None:
        assert told([record(**budget()), record(**budget(unlabeled_texts=1))]) == "labels + unlabelled texts"

    def test_what_was_chosen_on_the_test_stands_apart(self) -> None:
        assert told([record(**budget(), selection="oracle")]) == ORACLE

    def test_who_was_told_less_comes_first(self) -> None:
        names = [
            "labels + demonstrations",
            ORACLE,
            "labels",
            "labels + unlabelled texts",
            NOTHING,
            "labels + validation labels",
        ]
        assert sorted(names, key=rank) == [
            NOTHING,
            "labels",
            "labels + validation labels",
            "labels + unlabelled texts",
            "labels + demonstrations",
            ORACLE,
        ]

    def test_rows_are_cut_by_what_they_were_told_and_the_best_comes_first_in_each(self) -> None:
        runs = [
            record("pet", score=0.9, **budget(unlabeled_texts=500)),
            record("low", score=0.6, **budget()),
            record("high", score=0.7, **budget()),
            record("zero_shot", k=0, score=0.55, **budget(labels_train=0)),
            record("best_of_test", score=0.99, selection="oracle", **budget()),
        ]
        cut = [(name, [row.paradigm for row in part]) for name, part in sections(rows(runs))]
        assert cut == [
            (None, ["majority class", "random"]),
            (NOTHING, ["zero_shot"]),
            ("labels", ["high", "low"]),
            ("labels + unlabelled texts", ["pet"]),
            (ORACLE, ["best_of_test"]),
        ]

    def test_tables_head_each_part_but_not_the_only_one(self) -> None:
        several = rows([record("a", **budget()), record("b", **budget(unlabeled_texts=5))])
        lines = [cells[0] for cells in pipes(table.markdown(table.scores(several)))]
        assert lines[3:] == ["*labels*", "a", "*labels + unlabelled texts*", "b"]
        assert "labels + unlabelled texts" in printed(table.terminal(table.scores(several)))
        assert "\\multicolumn{11}{l}{\\emph{labels + unlabelled texts}} \\\\" in latex.latex(table.scores(several))
        one = rows([record("a", **budget()), record("b", **budget())])
        assert "*labels*" not in table.markdown(table.scores(one))

    def test_a_row_knows_its_runs(self) -> None:
        shot, none = record("in_context"), record("in_context", k=0)
        made = {row.paradigm: row for row in rows([shot, none])}
        assert [made["in_context"].holds(r) for r in (shot, none)] == [True, False]
        assert [made["in_context (K = 0)"].holds(r) for r in (shot, none)] == [False, True]
        assert not made["majority class"].holds(shot)


class TestDifferences:
    def test_a_large_gap_is_better_and_the_same_predictions_are_a_tie(self, tmp_path: Path) -> None:
        for i, seed in enumerate(SEEDS):
            reported.write(tmp_path, "fine_tuning", seed, 0.50 + 0.01 * i)
            reported.write(tmp_path, "copy", seed, 0.50 + 0.01 * i)
            reported.write(tmp_path, "far_better", seed, 0.88 + 0.01 * i)
            reported.write(tmp_path, "far_worse", seed, 0.20 + 0.01 * i)
        made = study(tmp_path)
        assert {name: found(row).verdict for name, row in made.items() if row.n} == {
            "fine_tuning": None,
            "copy": "tie",
            "far_better": "better",
            "far_worse": "worse",
        }
        assert found(made["far_better"]).difference == pytest.approx(0.38)
        assert (found(made["copy"]).difference, found(made["copy"]).p_holm) == (0, 1)
        low, high = found(made["fine_tuning"]).low, found(made["fine_tuning"]).high
        assert low is not None
        assert high is not None
        assert low < 0.52 < high
        assert found(made["fine_tuning"]).over == BOTH
        cells = {line[0]: line for line in pipes(table.markdown(table.scores(list(made.values()), "fine_tuning")))}
        assert [cells[n][8] for n in ("fine_tuning", "copy", "far_better", "far_worse")] == [
            "baseline",
            "≈ +0.0",
            "+38.0",
            "−30.0",
        ]
        assert cells["paradigm"][7:11] == ["95 % interval", "against fine_tuning", "p (Holm)", "smallest seen"]
        assert cells["copy"][9] == "1"

    def test_p_values_are_corrected_over_the_group(self, tmp_path: Path) -> None:
        for i, seed in enumerate(SEEDS):
            reported.write(tmp_path, "fine_tuning", seed, 0.5)
            reported.write(tmp_path, "one", seed, 0.58 + 0.02 * i, shift=3 * i)
            reported.write(tmp_path, "two", seed, 0.57 + 0.02 * i, shift=5 * i)
        pair = sorted((found(study(tmp_path)[name]) for name in ("one", "two")), key=lambda f: f.p or 0)
        raw, corrected = [f.p for f in pair], [f.p_holm for f in pair]
        assert 0 < raw[0] < raw[1] < 1  # type: ignore[operator]
        assert corrected[0] == pytest.approx(2 * raw[0])  # type: ignore[operator]  # the smaller of two, times two
        assert corrected[1] == pytest.approx(max(raw[1], corrected[0]))  # type: ignore[type-var]

    def test_bold_is_who_is_ahead_of_all_that_were_told_the_same(self, tmp_path: Path) -> None:
        for i, seed in enumerate(SEEDS):
            reported.write(tmp_path, "ahead", seed, 0.85, **budget())
            reported.write(tmp_path, "behind", seed, 0.5 + 0.01 * i, **budget())
            reported.write(tmp_path, "fine_tuning", seed, 0.52, **budget())
            reported.write(tmp_path, "alone", seed, 0.99, **budget(unlabeled_texts=5))
            reported.write(tmp_path, "twin", seed, 0.9, **budget(demonstrations=5))
            reported.write(tmp_path, "other_twin", seed, 0.9, **budget(demonstrations=5))
            reported.write(tmp_path, "oracle", seed, 1.0, selection="oracle", **budget())
        made = study(tmp_path)
        assert [name for name, row in made.items() if row.found and row.found.ahead] == ["ahead"]
        assert found(made["oracle"]).difference is None, "chosen on the test: never ranked"
        view = table.scores(list(made.values()), "fine_tuning")
        assert table.markdown(view).count("| **85.0** |") == 1
        assert table.markdown(view).count("**") == 2
        assert latex.latex(view).count("\\textbf{85.0}") == latex.latex(view).count("\\textbf") == 1

    def test_whoever_is_ahead_of_some_alone_is_not_bold(self, tmp_path: Path) -> None:
        for i, seed in enumerate(SEEDS):
            reported.write(tmp_path, "fine_tuning", seed, 0.4 + 0.01 * i)
            reported.write(tmp_path, "first", seed, 0.9)
            reported.write(tmp_path, "second", seed, 0.895)
        assert [name for name, row in study(tmp_path).items() if row.found and row.found.ahead] == []

    def test_a_baseline_that_was_chosen_on_the_test_compares_with_nobody(self, tmp_path: Path) -> None:
        reported.write(tmp_path, "fine_tuning", 13, 0.5, selection="oracle")
        reported.write(tmp_path, "other", 13, 0.9)
        assert found(study(tmp_path)["other"]).difference is None

    def test_one_common_seed_varies_the_items_alone_and_is_a_tie(self, tmp_path: Path) -> None:
        """Item by item 40 points are beyond doubt; of other draws of examples nothing is known."""
        reported.write(tmp_path, "fine_tuning", 13, 0.5)
        reported.write(tmp_path, "other", 13, 0.9)
        made = study(tmp_path)
        other = found(made["other"])
        assert (other.over, other.difference_over) == (ITEMS, ITEMS)
        assert (other.verdict, other.ahead) == ("tie", False)
        assert other.p_holm is not None
        assert other.p_holm < 0.001
        text = table.markdown(table.scores(list(made.values()), "fine_tuning"))
        cells = next(cells for cells in pipes(text) if cells[0] == "other")
        assert cells[7].endswith("]†")
        assert cells[8:10] == ["≈ +40.0†", "<.001†"]
        assert cells[10].endswith("†")
        assert "**" not in text

    def test_one_seed_in_common_is_not_enough_whatever_there_is_beside_it(self, tmp_path: Path) -> None:
        """Each has five seeds, and one of them is the other's, too; the intervals vary seeds, the difference does not."""
        for i, seed in enumerate(SEEDS):
            reported.write(tmp_path, "fine_tuning", seed, 0.5 + 0.01 * i)
            reported.write(tmp_path, "other", seed + (i > 0), 0.9 + 0.01 * i)
        made = study(tmp_path)
        other = found(made["other"])
        assert (other.over, other.difference_over, other.verdict, other.ahead) == (BOTH, ITEMS, "tie", False)
        text = table.markdown(table.scores(list(made.values()), "fine_tuning"))
        cells = next(cells for cells in pipes(text) if cells[0] == "other")
        assert not cells[7].endswith("†")
        assert cells[8] == "≈ +40.0†"

    def test_one_seed_beside_a_method_that_no_seed_plays_a_role_in(self, tmp_path: Path) -> None:
        reported.write(tmp_path, "zero_shot", 13, 0.5, k=0)
        reported.write(tmp_path, "one_seed", 13, 0.9)
        for i, seed in enumerate(SEEDS):
            reported.write(tmp_path, "five_seeds", seed, 0.86 + 0.01 * i)
        made = study(tmp_path, "zero_shot")
        assert (found(made["one_seed"]).verdict, found(made["one_seed"]).difference_over) == ("tie", ITEMS)
        assert (found(made["five_seeds"]).verdict, found(made["five_seeds"]).difference_over) == ("better", BOTH)

    def test_runs_without_examples_alone(self, tmp_path: Path) -> None:
        reported.write(tmp_path, "zero_shot", 13, 0.5, k=0)
        reported.write(tmp_path, "in_context", 13, 0.9, k=0)
        made = study(tmp_path, "zero_shot")
        assert found(made["in_context"]).verdict == "better"
        assert found(made["in_context"]).over == ITEMS
        text = table.markdown(table.scores(list(made.values()), "zero_shot"))
        assert next(cells for cells in pipes(text) if cells[0] == "in_context")[8] == "+40.0†"

    def test_numbers(self, tmp_path: Path) -> None:
        for seed in SEEDS:
            reported.write_numbers(tmp_path, "fine_tuning", seed, 1.5)
            reported.write_numbers(tmp_path, "precise", seed, 0.02)
            reported.write_numbers(tmp_path, "guesses", seed, 100.0)
        made = study(tmp_path)
        assert found(made["guesses"]).low < 0  # type: ignore[operator]  # a correlation may be
        assert found(made["precise"]).verdict == "better"
        assert found(made["precise"]).high is not None
        assert found(made["precise"]).high <= 1  # type: ignore[operator]

    def test_seeds_that_nobody_shares_leave_no_difference(self, tmp_path: Path) -> None:
        reported.write(tmp_path, "fine_tuning", 13, 0.5)
        reported.write(tmp_path, "other", 21, 0.9)
        other = found(study(tmp_path)["other"])
        assert (other.difference, other.ahead, other.low is None) == (None, False, False)

    def test_runs_without_stored_predictions_have_no_findings(self, tmp_path: Path) -> None:
        for seed in (13, 21):
            reported.write(tmp_path, "fine_tuning", seed, 0.5)
            folder = reported.write(tmp_path, "other", seed, 0.9)
        (folder / "predictions.jsonl").unlink()
        loaded = reported.loaded(tmp_path)
        made = {row.paradigm: row for row in rows(loaded.records)}
        assert (len(outcomes_of(made["other"], loaded.outcomes)), len(loaded.outcomes)) == (0, 3)
        assert study(tmp_path)["other"].found is None
        assert made["other"].n == 2
        assert loaded.problems == []


@pytest.mark.parametrize("width", [200, 120, 100, 80])
def test_findings_fit_the_terminal(tmp_path: Path, width: int) -> None:
    for seed in SEEDS:
        reported.write(tmp_path, "fine_tuning", seed, 0.5)
        reported.write(tmp_path, "a_name_that_is_as_long_as_some_are", seed, 0.5)
    text = printed(table.terminal(table.scores(list(study(tmp_path).values()), "fine_tuning")), width)
    assert "…" not in text
    for word in ("50.0", "ddof=1", "≈ +0.0", "baseline"):
        assert word in text
    assert ("interval" in text.split("Scores in %")[0]) == (width > 80)
    assert ("fixed-prompt LM" in text) == (width == 200)


class TestBaseline:
    def test_fine_tuning_if_it_was_run_and_nobody_else_by_itself(self) -> None:
        assert chosen_baseline(rows([record("fine_tuning"), record("a")]), None) == "fine_tuning"
        assert chosen_baseline(rows([record("a")]), None) is None
        assert chosen_baseline(rows([record("fine_tuning"), record("a")]), "a") == "a"

    def test_an_unknown_name_is_refused_with_near_ones(self) -> None:
        with pytest.raises(LabError, match=r"unknown baseline 'patern_tuning'\. Did you mean 'pattern_tuning'"):
            chosen_baseline(rows([record()]), "patern_tuning")

    def test_the_majority_class_is_no_baseline(self) -> None:
        with pytest.raises(LabError, match="unknown baseline 'majority class'"):
            chosen_baseline(rows([record()]), "majority class")


class TestLatex:
    def test_letters_that_latex_reads_as_its_own_are_escaped(self) -> None:
        assert latex.escaped("a_b & 50% {x} #1 $ ~^\\") == (
            r"a\_b \& 50\% \{x\} \#1 \$ \textasciitilde{}\textasciicircum{}\textbackslash{}"
        )
        assert latex.escaped("[1, −2]† ≈") == r"{[}1, $-$2{]}\dag $\approx$", "a bracket after \\\\ is an argument"

    def test_every_line_of_a_table_has_as_many_cells(self) -> None:
        text = latex.latex(table.scores(rows([record("a_b&c"), record("x", k=4)])))
        assert text.count("\\begin{table}") == text.count("\\end{table}") == 2
        assert "\\caption{sst2 $\\cdot$ minilm-mlm $\\cdot$ K = 16}" in text
        body = [line for line in text.splitlines() if line.endswith("\\\\")]
        columns = len(next(line for line in text.splitlines() if "tabular}{" in line).rpartition("{")[2]) - 1
        assert {line.replace("\\&", "").count("&") + 1 for line in body} == {columns} == {11}
        assert text.count("\\toprule") == text.count("\\midrule") == text.count("\\bottomrule") == 2
        assert any(line.startswith("a\\_b\\&c & ") for line in body)
