"""The comparison table, on records whose figures can be worked out by hand."""

import io
import subprocess
import sys
from collections.abc import Iterator
from csv import DictReader
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prompt_lab.errors import LabError
from prompt_lab.reporting import report, table
from prompt_lab.reporting.columns import scaled, times
from prompt_lab.reporting.rows import Row, rows


def record(paradigm: str = "pattern_tuning", seed: int = 13, score: float = 0.6, **other: Any) -> dict[str, Any]:
    """A record as an experiment writes it, without what no table reads."""
    k, task = other.get("k", 16), other.get("task", "sst2")
    metric = other.get("metric", "test/acc")
    return {
        "paradigm": paradigm,
        "strategy": "fixed-prompt LM tuning" if k else "tuning-free prompting",
        "task": task,
        "backbone": "minilm-mlm",
        "k": k,
        "split_seed": seed,
        "metric": metric,
        "scores": {metric: score, "test/nll": 0.7},
        "trivial": {"majority": 0.5, "random": 0.25},
        "collapsed": score <= 0.52,
        "data": {"fingerprint": f"sha256:{task}-{k}-{seed}", "test_fingerprint": f"sha256:{task}"},
        "budget": {"labels_train": 32, "labels_validation": 8, "external_labels": 2, "unlabeled_texts": 0},
        "cost": {
            "trained_parameters": 22_713_216,
            "total_parameters": 22_744_506,
            "steps": 100 if k else 0,
            "stored_bytes": 3_000_000,
            "seconds": {"fit": seed - 1, "total": seed},
            "tokens": {"train": 10, "evaluation": 20},
            "model_calls": 7,
            "peak_memory_bytes": 900_000_000 + seed,
        },
        **other,
    }


def by_name(made: list[Row]) -> dict[str, Row]:
    return {row.paradigm: row for row in made}


def names(made: list[Row]) -> list[str]:
    return [row.paradigm for row in made]


def printed(renderable: Any, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def pipes(text: str) -> Iterator[list[str]]:
    """The cells of each line of a GitHub table, its rule left out."""
    for line in text.splitlines():
        if line.startswith("|") and "--" not in line:
            yield [cell.strip() for cell in line.strip("|").replace("\\|", "\0").split("|")]


def test_figures_of_a_row_are_those_worked_out_by_hand() -> None:
    # .5 .6 .7: mean .6; squares of the differences sum to .02: sd .1 with ddof=1, and .0816 with ddof=0
    seeds = [record(seed=42, score=0.7), record(seed=13, score=0.5), record(seed=21, score=0.6)]
    row = by_name(rows(seeds))["pattern_tuning"]
    assert row.mean == pytest.approx(0.6)
    assert row.sd == pytest.approx(0.1)
    assert (row.worst, row.n, row.scores) == (0.5, 3, (0.5, 0.6, 0.7))
    assert row.collapsed == pytest.approx(1 / 3)
    assert row.seconds == pytest.approx((13 + 21 + 42) / 3)
    assert row.peak_memory_bytes == 900_000_042
    assert (row.trained_parameters, row.stored_bytes, row.labels, row.unlabeled) == (22_713_216, 3_000_000, 42, 0)
    assert (row.tokens, row.model_calls, row.shots, row.strategy) == (30, 7, 16, "fixed-prompt LM tuning")


def test_one_seed_has_no_standard_deviation() -> None:
    row = by_name(rows([record()]))["pattern_tuning"]
    assert (row.sd, row.n, row.worst) == (None, 1, 0.6)
    cells = list(pipes(table.markdown(table.scores([row]))))[1]
    assert cells[2:6] == ["60.0", "–", "60.0", "1"]


def test_baselines_come_first_then_the_highest_mean() -> None:
    runs = [
        record("a", score=0.6),
        record("b", score=0.9),
        record("zero_shot", k=0, score=0.55),
        record("c", score=0.6),
    ]
    assert names(rows(runs)) == ["majority class", "random", "zero_shot", "b", "a", "c"]


def test_runs_without_examples_stand_in_every_group_of_their_task_and_backbone() -> None:
    zero = record("zero_shot", k=0, score=0.55)
    made = rows([zero, record(k="full"), record(k=16), record(k=4), record(task="cola", k=16)])
    assert [(row.task, row.k) for row in made if row.paradigm == "random"] == [
        ("cola", 16),
        ("sst2", 4),
        ("sst2", 16),
        ("sst2", "full"),
    ]
    zeros = [row for row in made if row.paradigm == "zero_shot"]
    assert [(row.task, row.k, row.shots, row.mean) for row in zeros] == [("sst2", k, 0, 0.55) for k in (4, 16, "full")]


def test_runs_without_examples_alone_make_a_group() -> None:
    assert names(rows([record("zero_shot", k=0)])) == ["majority class", "random", "zero_shot"]


def test_a_paradigm_with_and_without_examples_gets_two_names() -> None:
    made = rows([record("in_context", k=0), record("in_context", k=16)])
    assert names(made)[2:] == ["in_context (K = 0)", "in_context"]


@pytest.mark.parametrize(
    ("metric", "majority", "chance"),
    # half of the test set is one label: it has precision 1/2 and recall 1, so F1 2/3, and three more labels have none
    [
        ("acc", 0.5, 0.25),
        ("mcc", 0.0, 0.0),
        ("pearson", 0.0, 0.0),
        ("spearman", 0.0, 0.0),
        ("f1_macro", 2 / 3 / 4, None),
        ("f1", None, None),
    ],
)
def test_guessing_is_scored_where_the_record_tells(metric: str, majority: float | None, chance: float | None) -> None:
    first, second, _ = rows([record(metric=f"test/{metric}")])
    assert (first.mean, second.mean, first.n) == (pytest.approx(majority), chance, 0)


def test_other_draws_are_refused_and_both_runs_named() -> None:
    other = record("fine_tuning", data={"fingerprint": "sha256:x", "test_fingerprint": "sha256:sst2"})
    with pytest.raises(LabError, match=r"fine_tuning seed 13 was given other examples.*pattern_tuning seed 13.*--out"):
        rows([record(), other])
    rows([record(), {**other, "split_seed": 21}, {**other, "k": 8}, {**other, "k": 0}, record("zero_shot", k=0)])


def test_other_test_examples_are_refused_even_without_training_examples() -> None:
    other = record("zero_shot", 21, k=0, data={"fingerprint": "sha256:x", "test_fingerprint": "sha256:y"})
    with pytest.raises(LabError, match="zero_shot seed 21 tests on other examples"):
        rows([record(), other])
    rows([record(), {**other, "task": "cola"}])


def test_two_records_of_a_cell_are_refused() -> None:
    with pytest.raises(LabError, match="same cell: pattern_tuning seed 13 on sst2, minilm-mlm, K = 16"):
        rows([record(), record(score=0.7)])


@pytest.mark.parametrize("part", ["strategy", "backbone_revision", "selection", "answer", "tuning"])
def test_seeds_that_differ_in_more_than_the_seed_are_not_averaged(part: str) -> None:
    with pytest.raises(LabError, match=f"pattern_tuning seed 21 has another {part.replace('_', ' ')} .other"):
        rows([record(), record(seed=21, **{part: "other"})])


def test_another_metric_is_refused() -> None:
    with pytest.raises(LabError, match="reports another metric"):
        rows([record(), record("fine_tuning", metric="test/mcc")])


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (999, "999"),
        (38_837, "38.8K"),
        (22_713_216, "22.7M"),
        (999_960, "1.0M"),
        (7e12, "7000.0B"),
    ],
)
def test_numbers_are_scaled(number: float | None, shown: str) -> None:
    assert scaled(number) == shown


def test_markdown_is_a_table_a_group() -> None:
    made = rows([record(seed=13, score=0.5), record("a|b", score=0.75), record(k=4)])
    text = table.markdown(table.scores(made))
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        "### sst2 · minilm-mlm · K = 4",
        "### sst2 · minilm-mlm · K = 16",
    ]
    cells = list(pipes(text))
    assert {len(line) for line in cells} == {12}
    assert cells[0][2:7] == ["mean acc %", "sd ddof=1", "worst seed", "n", "collapsed"]
    first = ["a\0b", "fixed-prompt LM tuning", "75.0", "–", "75.0", "1", "0%"]  # \0: an escaped pipe
    assert cells[-2] == [*first, "22.7M", "13.0", "0.9 GB", "3.0 MB", "42"]
    assert cells[-1][6] == "100%"


def test_csv_reads_back_in_full_precision() -> None:
    made = rows([record(seed=s, score=x) for s, x in ((13, 0.1), (21, 1 / 3))] + [record(k="full")])
    read = list(DictReader(io.StringIO(table.csv(made))))
    assert [line["paradigm"] for line in read] == names(made)
    for line, row in zip(read, made, strict=True):
        assert "scores" not in line
        for name, value in line.items():
            given = getattr(row, name)
            assert value == ("" if given is None else str(given))
            if isinstance(given, float):
                assert float(value) == given


def test_terminal_shows_every_column_and_aligns_them() -> None:
    text = printed(table.terminal(table.scores(rows([record(), record(k=4), record("a_much_longer_name", k=4)]))))
    for word in (
        "sst2 · minilm-mlm · K = 16",
        "ddof=1",
        "acc %",
        "fixed-prompt LM tuning",
        "22.7M",
        "3.0 MB",
        "0.9 GB",
    ):
        assert word in text
    assert "sd: ddof=1" in text
    lines = [line.rstrip() for line in text.splitlines() if "22.7M" in line]
    assert len({line.index("22.7M") for line in lines}) == 1


def test_a_narrow_terminal_leaves_out_columns_but_cuts_none() -> None:
    text = printed(table.terminal(table.scores(rows([record(), record("[bold]x")]))), 80)
    assert "fixed-prompt" not in text
    assert "…" not in text
    assert "[bold]x" in text
    assert all(word in text for word in ("60.0", "22.7M", "13.0", "ddof=1"))


def costs(seed: int = 13, paradigm: str = "lora", **cost: Any) -> dict[str, Any]:
    """A record in which these costs differ."""
    made = record(paradigm, seed)
    return {**made, "cost": {**made["cost"], **cost}}


def test_what_a_step_costs_and_how_much_is_trained() -> None:
    """12 and 20 seconds of fits in 100 steps each; a million of four million parameters."""
    (row,) = [
        row for row in rows([costs(), costs(21, trained_parameters=1_000_000, total_parameters=4_000_000)]) if row.n
    ]
    assert row.step_seconds == pytest.approx((0.12 + 0.20) / 2)
    assert row.trained_share == pytest.approx(22_713_216 / 22_744_506), "the most of any seed"
    folded = {"trained_parameters": 3_000_000, "total_parameters": 2_000_000, "parameters": {"total": 5_000_000}}
    assert by_name(rows([costs(**folded)]))["lora"].trained_share == pytest.approx(0.6), "while encoders were there"
    none = by_name(rows([record("zero_shot", k=0, cost={**record()["cost"], "steps": 0, "seconds": {"total": 5}})]))
    assert none["zero_shot"].step_seconds is None


def test_costs_stand_beside_those_of_fine_tuning() -> None:
    cheap = {"trained_parameters": 227_132, "stored_bytes": 30_000, "seconds": {"fit": 6, "total": 9}, "steps": 100}
    runs = [record("fine_tuning"), costs(**cheap, peak_memory_bytes=450_000_006), record("other", k=4)]
    first, second = (list(pipes(part)) for part in table.markdown(table.cost(rows(runs))).split("### ")[1:])
    assert first[0] == [
        "paradigm", "mean acc %", "trained params", "% of all", "× full", "bytes stored", "× full", "s a step", "× full",
        "peak memory", "× full", "time s",
    ]  # fmt: skip
    assert [line[0] for line in first[1:]] == ["other"], "guessing costs nothing"
    assert [first[1][i] for i in (4, 6, 8, 10)] == ["–"] * 4, "fine-tuning ran in another group"
    by = {line[0]: line[2:] for line in second[1:]}
    assert by["fine_tuning"][1:] == ["99.9", "1.00", "3.0 MB", "1.00", "0.120", "1.00", "0.9 GB", "1.00", "13.0"]
    assert by["lora"] == ["227.1K", "0.999", "0.01", "30.0 kB", "0.01", "0.060", "0.50", "0.5 GB", "0.50", "9.0"]


def test_ratios_are_named_after_whom_they_are_taken_to() -> None:
    view = table.cost(rows([record("fine_tuning"), costs()]), "lora")
    assert [head for head in next(pipes(table.markdown(view))) if "×" in head] == ["× lora"] * 4
    assert view.note.startswith("× lora: times as much as lora in the same group.")


def test_without_fine_tuning_there_is_nothing_to_compare_with() -> None:
    text = table.markdown(table.cost(rows([record()])))
    assert next(pipes(text))[4:6] == ["bytes stored", "s a step"]


@pytest.mark.parametrize(
    ("number", "reference", "shown"),
    [
        (6, 12, "0.50"),
        (0, 12, "0.00"),
        (0.01, 12, "0.0008"),
        (24, 12, "2.00"),
        (None, 12, "–"),
        (1, None, "–"),
        (1, 0, "–"),
    ],
)
def test_ratios(number: float | None, reference: float | None, shown: str) -> None:
    assert times(number, reference) == shown


@pytest.mark.parametrize(("share", "shown"), [(0.5, "50"), (0.0033, "0.33"), (1e-7, "<0.001"), (0, "0")])
def test_shares(share: float, shown: str) -> None:
    made = record(cost={**record()["cost"], "trained_parameters": int(share * 10**8), "total_parameters": 10**8})
    assert list(pipes(table.markdown(table.cost(rows([made])))))[1][3] == shown


@pytest.mark.parametrize("width", [160, 120, 80])
def test_costs_fit_the_terminal(width: int) -> None:
    runs = [record("fine_tuning"), record("a_rather_long_name_of_one"), record("zero_shot", k=0)]
    text = printed(table.terminal(table.cost(rows(runs))), width)
    assert "…" not in text
    assert all(word in text for word in ("trained", "22.7M", "stored", "3.0 MB", "0.120", "0.9 GB"))
    assert text.count("full") == {160: 4, 120: 4, 80: 0}[width] + 1, "the note says what that is"


def test_report_writes_its_files_and_lists_what_failed(tmp_path: Path) -> None:
    cell = {"paradigm": "pet", "task": "sst2", "backbone": "minilm-mlm", "k": 16, "split_seed": 21}
    failures = [{**cell, "error": "\nno `mask` [red]\n  more"}, {**cell, "split_seed": 13, "error": ""}]
    made = report.write([record(), record("fine_tuning", score=0.7)], tmp_path / "new", failures)
    assert [path.name for path in made.paths] == ["comparison.md", "cost.md", "comparison.csv", "comparison.png"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(path.name for path in made.paths)
    text = made.paths[0].read_text(encoding="utf-8")
    assert "**2 runs failed:**\n\n- sst2 · minilm-mlm · K = 16 · pet · seed 13: `no message`\n" in text
    assert "seed 21: `no 'mask' [red]`\n" in text
    assert "[cost.md](cost.md)" in text
    assert "seconds" not in text
    assert "s a step" in made.paths[1].read_text(encoding="utf-8")
    assert "bytes" in printed(made.terminal("cost"))
    shown = printed(made.terminal())
    assert "fine_tuning" in shown
    assert "2 runs failed:" in shown
    assert "pet · seed 21: no `mask` [red]" in shown


def test_report_of_failures_alone_and_of_nothing(tmp_path: Path) -> None:
    failure = {"paradigm": "pet", "task": "t", "backbone": "b", "k": 4, "split_seed": 1, "error": "no"}
    made = report.write([], tmp_path, [failure])
    assert [path.name for path in made.paths] == ["comparison.md", "comparison.csv"]
    assert printed(made.terminal()).strip().startswith("1 run failed:")
    with pytest.raises(LabError, match="nothing to report"):
        report.write([], tmp_path)


def test_importing_the_report_imports_nothing_heavy() -> None:
    heavy = "torch", "lightning", "transformers", "pandas", "matplotlib", "rich"
    code = f"import prompt_lab.reporting.report, sys; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def choosing(paradigm: str, select: str, seed: int, score: float, **other: Any) -> dict[str, Any]:
    """A run that chose between two candidates."""
    config = {
        "name": paradigm,
        "out": paradigm,
        "select": select,
        "parts": 4,
        "candidates": [{"model": 1}, {"model": 2}],
    }
    told = {"config": {**config, "data": {"seed": seed}, **other.pop("config", {})}, "chosen": {"candidate": 0}}
    return record(paradigm, seed, score, selection=select, **told, **other)


def test_the_selection_gap_is_what_the_oracle_scores_more_on_the_same_seeds() -> None:
    made = [choosing("by_cv", "cv", 13, 0.60), choosing("by_cv", "cv", 21, 0.70), choosing("by_cv", "cv", 42, 0.10)]
    best = [choosing("best", "oracle", 13, 0.64), choosing("best", "oracle", 21, 0.72)]
    found = by_name(rows([*made, *best, record()]))
    assert found["by_cv"].selection_gap == pytest.approx(0.03)
    assert found["best"].selection_gap is None
    assert found["pattern_tuning"].selection_gap is None
    assert "+3.0" in table.markdown(table.scores(list(found.values())))


def test_an_oracle_with_other_settings_says_nothing_of_the_gap() -> None:
    made = [
        choosing("by_cv", "cv", 13, 0.60),
        choosing("best", "oracle", 13, 0.64, config={"data": {"seed": 13, "k": 4}}),
    ]
    assert by_name(rows(made))["by_cv"].selection_gap is None
    assert "gap" not in table.markdown(table.scores(rows(made)))


def test_what_a_run_chose_may_differ_from_seed_to_seed() -> None:
    made = [choosing("by_cv", "cv", seed, 0.6, answer={"seed": seed}, tuning={"seed": seed}) for seed in (13, 21)]
    assert by_name(rows(made))["by_cv"].n == 2
    with pytest.raises(LabError, match="another answer"):
        rows([{**one, "chosen": None} for one in made])
