"""The whole report: what is written, that the page needs nothing from elsewhere, and what is said of what cannot be read."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from csv import DictReader
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import reported
from test_table import pipes, record

from prompt_lab import cli
from prompt_lab.data import reading
from prompt_lab.reporting import instances, pictures, report
from prompt_lab.reporting.cards import cards
from prompt_lab.reporting.content import Content
from prompt_lab.reporting.loading import Loaded, load
from prompt_lab.reporting.markdown import plain
from prompt_lab.reporting.pages.page import page
from prompt_lab.reporting.rows import rows
from prompt_lab.reporting.study import Study

ALWAYS = {
    "comparison.md", "report.html", "cost.md", "comparison.csv", "comparison.tex", "examples.md", "cards.md", "comparison.png",
}  # fmt: skip
VOID = {"meta", "img", "br", "input", "link"}
NASTY = "<script>alert('&')</script>|x_y%"


class Page(HTMLParser):
    """A page whose every element is closed, with its addresses, anchors and words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.addresses, self.anchors = list[str](), list[str](), list[str]()
        self.names, self.words, self.alone = set[str](), list[str](), list[str]()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names |= {given["id"]} if "id" in given else set()
        self.addresses += [given[name] for name in ("src", "href", "srcset", "data", "action") if name in given]
        if tag == "img":
            assert given["alt"], "a picture says what it shows"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def tables(text: str) -> Iterator[list[list[str]]]:
    """The cells of every table's rows, as text."""
    for table in re.findall(r"<table>.*?</table>", text, re.DOTALL):
        found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)]
        yield [[re.sub(r"<[^>]*>", "", cell) for cell in row] for row in found]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three paradigms of three seeds at two K on two tasks, and one without examples; one that failed."""
    folder = tmp_path_factory.mktemp("runs")
    for task in ("sst2", "cola"):
        reported.write(folder, "zero_shot", 13, 0.5, k=0, task=task)
        for k in (4, 16):
            for i, seed in enumerate((13, 21, 42)):
                reported.write(folder, "fine_tuning", seed, 0.5 + 0.02 * i, k=k, task=task)
                reported.write(folder, "pattern_tuning", seed, 0.8 + 0.02 * i, k=k, task=task)
                reported.write(folder, "half_shifted", seed, 0.5 + 0.02 * i, k=k, task=task, shift=100)
    failed = {
        "paradigm": "pet",
        "task": "sst2",
        "backbone": "minilm-mlm",
        "k": 16,
        "split_seed": 13,
        "error": "no <mask>",
    }
    (folder / "failed").mkdir()
    (folder / "failed" / "failed.json").write_text(json.dumps(failed))
    return folder


@pytest.fixture(scope="module")
def made(out: Path, tmp_path_factory: pytest.TempPathFactory) -> report.Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "read", no_texts)
        return written(out, tmp_path_factory.mktemp("report"))


def no_texts(task: str, files: object) -> None:
    raise RuntimeError("no network\nno texts")


def written(out: Path, folder: Path, baseline: str | None = None) -> report.Report:
    found = load(out)
    return report.write(found.records, folder, found.failures, Study(found.outcomes, baseline, found.problems))


def page_of(made: report.Report) -> str:
    return next(path for path in made.paths if path.suffix == ".html").read_text(encoding="utf-8")


class TestFiles:
    def test_all_are_written_and_named(self, made: report.Report) -> None:
        folder = made.paths[0].parent
        drawn = {pictures.K, pictures.RANKS, pictures.CONFUSION, pictures.CALIBRATION}
        assert {path.name for path in made.paths} == ALWAYS | drawn
        assert {path.name for path in folder.iterdir()} == ALWAYS | drawn
        assert made.paths[0].name == "comparison.md"

    def test_csv_holds_what_statistics_say(self, made: report.Report) -> None:
        lines = list(DictReader(io.StringIO((made.paths[0].parent / "comparison.csv").read_text())))
        assert [line["paradigm"] for line in lines] == [row.paradigm for row in made.rows]
        for line, row in zip(lines, made.rows, strict=True):
            assert line["verdict"] == ((row.found.verdict or "") if row.found else "")
            assert "found" not in line
            if row.found and row.found.p_holm is not None:
                assert float(line["p_holm"]) == row.found.p_holm

    def test_markdown_says_first_what_was_compared_and_what_came_out(self, made: report.Report) -> None:
        text = made.paths[0].read_text(encoding="utf-8")
        assert "4 paradigms in 38 runs: tasks cola, sst2; backbone minilm-mlm" in text
        assert "K = 0, 4, 16; seeds 13, 21, 42; score test/acc." in text
        assert "Against fine\\_tuning: 4 better, 0 worse, 8 ties, over all groups." in text
        assert "**1 run failed:**\n\n- sst2 · minilm-mlm · K = 16 · pet · seed 13: `no <mask>`" in text
        order = [
            "runs: tasks",
            "1 run failed",
            "![every seed",
            "| paradigm |",
            "![score against K]",
            "## How to read this",
        ]
        assert sorted(order, key=text.index) == order
        for name in ("cost.md", "examples.md", "cards.md", "report.html"):
            assert f"]({name})" in text
        assert "No picture of where the spread comes from" in text

    def test_an_older_reports_picture_that_has_nothing_to_show_is_taken_away(self, tmp_path: Path) -> None:
        (tmp_path / pictures.K).write_bytes(b"old")
        report.write([record()], tmp_path)
        assert not (tmp_path / pictures.K).exists()

    def test_nothing_is_asked_of_statistics_without_a_study(self, out: Path, tmp_path: Path) -> None:
        short = report.write(load(out).records, tmp_path)
        assert all(row.found is None for row in short.rows)
        assert {path.name for path in short.paths} == {
            "comparison.md",
            "cost.md",
            "comparison.csv",
            "comparison.png",
            pictures.K,
        }
        assert "interval" not in short.paths[0].read_text(encoding="utf-8")


class TestPage:
    def test_it_is_well_formed_and_asks_for_nothing_from_elsewhere(self, made: report.Report) -> None:
        text = page_of(made)
        found = Page(text)
        assert all(address.startswith(("#", "data:image/png;base64,")) for address in found.addresses)
        assert not re.search(r"https?:|url\(|@import|<link|<iframe", text)
        assert {address[1:] for address in found.addresses if address.startswith("#")} <= found.names
        assert {"scores", "pictures", "costs", "examples", "cards", "notes"} <= found.names
        assert len([a for a in found.addresses if a.startswith("data:")]) == 5

    def test_it_holds_the_tables_without_its_script(self, made: report.Report) -> None:
        text = page_of(made)
        shown = [table for table in tables(text) if "95 % interval" in table[0]]
        assert len(shown) == 4, "two tasks, two K"
        markdown = list(pipes(made.paths[0].read_text(encoding="utf-8")))
        row = next(cells for cells in markdown if cells[0] == "pattern_tuning")
        assert [cell.replace("&lt;", "<") for cell in next(r for r in shown[0] if r and r[0] == "pattern_tuning")] == [
            cell.replace("**", "") for cell in row
        ]
        assert any("<strong>82.0</strong>" in line for line in text.splitlines())

    def test_what_is_said_first_what_failed_and_how_to_read_it(self, made: report.Report) -> None:
        said = Page(page_of(made)).text
        for words in (
            "4 paradigms in 38 runs",
            "1 run failed:",
            "no <mask>",
            "Missed by all 4",
            "How to read this",
            "Holm 1979",
        ):
            assert words in said
        assert "Left out" not in said

    def test_names_and_texts_are_words_and_no_markup(self, tmp_path: Path) -> None:
        name = NASTY.replace("/", "\N{DIVISION SLASH}")  # a folder's name
        reported.write(tmp_path / "runs", name, 13, 0.9)
        text = page_of(written(tmp_path / "runs", tmp_path / "out"))
        assert "<script>alert" not in text
        assert Page(text).text.count(name) >= 2
        assert (tmp_path / "out" / "comparison.tex").read_text().count("\\textbar{}x\\_y\\%") == 1

    def test_what_jinja_would_read_is_not_read(self, tmp_path: Path) -> None:
        reported.write(tmp_path / "runs", "{{ 7 * 7 }}", 13, 0.9)
        assert "{{ 7 * 7 }}" in page_of(written(tmp_path / "runs", tmp_path / "out"))


class TestLeftOut:
    @pytest.mark.parametrize("how", ["record", "predictions", "score"])
    def test_it_is_named_everywhere_and_the_rest_is_reported(
        self, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for seed in (13, 21):
            reported.write(tmp_path, "fine_tuning", seed, 0.5)
            bad = reported.write(tmp_path, "other", seed, 0.9)
        path = bad / ("record.json" if how == "record" else "predictions.jsonl")
        content = path.read_text()
        if how == "score":
            lines = [json.loads(line) for line in content.splitlines()]
            lines[0]["label"] = "good"  # the first was right: the score no longer is the record's
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        else:
            path.write_text(content[:50])
        assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
        said = " ".join(capsys.readouterr().out.split())
        for text in (
            said,
            (tmp_path / "out" / "comparison.md").read_text(),
            Page((tmp_path / "out" / "report.html").read_text()).text,
        ):
            assert "Left out" in text
            assert str(path).replace(" ", "") in text.replace(" ", "").replace("\n", "")
        lines = list(DictReader(io.StringIO((tmp_path / "out" / "comparison.csv").read_text())))
        assert {line["paradigm"]: line["n"] for line in lines if line["n"] != "0"} == {"fine_tuning": "2", "other": "1"}

    def test_nothing_that_can_be_read_is_an_error(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        bad = reported.write(tmp_path, "other", 13, 0.9)
        (bad / "record.json").write_text("{")
        assert cli.main(["report", str(tmp_path)]) == 2
        assert "no run below" in capsys.readouterr().err

    def test_a_note_of_a_failure_that_cannot_be_read(self, tmp_path: Path) -> None:
        reported.write(tmp_path, "other", 13, 0.9)
        (tmp_path / "failed.json").write_text('{"task": "sst2"}')
        found = load(tmp_path)
        assert (len(found.records), len(found.failures), len(found.problems)) == (1, 0, 1)
        assert "it lacks" in found.problems[0]

    def test_failures_alone(self, tmp_path: Path) -> None:
        failure = {"paradigm": "pet", "task": "t", "backbone": "b", "k": 4, "split_seed": 1, "error": "no"}
        made = report.write([], tmp_path, [failure], Study(problems=["a broken file"]))
        text = made.paths[0].read_text()
        assert "1 run failed" in text
        assert "- `a broken file`" in text
        assert [path.name for path in made.paths] == ["comparison.md", "comparison.csv"]


class TestCommand:
    def test_without_fine_tuning_there_are_no_differences_and_that_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reported.write(tmp_path, "one", 13, 0.5)
        reported.write(tmp_path, "two", 13, 0.9)
        assert cli.main(["report", str(tmp_path)]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "No baseline: no row is called fine_tuning" in said
        text = (tmp_path / "reports" / "all" / "comparison.md").read_text()
        assert "against" not in next(line for line in text.splitlines() if line.startswith("| paradigm"))
        assert "95 % interval" in text

    def test_another_baseline(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        reported.write(tmp_path, "one", 13, 0.5)
        reported.write(tmp_path, "two", 13, 0.9)
        assert cli.main(["report", str(tmp_path), "--baseline", "one", "--out", str(tmp_path / "x")]) == 0
        assert "against one" in (tmp_path / "x" / "comparison.md").read_text()
        assert "times as much as one" in (tmp_path / "x" / "cost.md").read_text()
        assert cli.main(["report", str(tmp_path), "--baseline", "tow"]) == 2
        assert "Did you mean 'two'" in capsys.readouterr().err

    def test_runs_without_examples_and_numbers_alone(self, tmp_path: Path) -> None:
        reported.write(tmp_path / "a", "zero_shot", 13, 0.5, k=0)
        assert cli.main(["report", str(tmp_path / "a")]) == 0
        for seed in (13, 21):
            for name, noise in (("fine_tuning", 0.5), ("other", 0.1)):
                reported.write_numbers(tmp_path / "b", name, seed, noise)
        assert cli.main(["report", str(tmp_path / "b")]) == 0
        text = (tmp_path / "b" / "reports" / "all" / "comparison.md").read_text()
        assert "mean pearson %" in text
        assert "No picture of calibration: it needs stored predictions of a task with labels." in text
        assert "No task has two paradigms" in (tmp_path / "b" / "reports" / "all" / "examples.md").read_text()


class TestInstances:
    @pytest.fixture(autouse=True)
    def texts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "read", no_texts)

    def test_every_task_at_its_largest_k(self, out: Path) -> None:
        """Of 200 items fine-tuning has the first half right, and its shifted twin the second: nobody misses all."""
        found = load(out)
        first, second = instances.instances(rows(found.records), found.outcomes)
        assert (first.title, second.title) == ("cola · minilm-mlm · K = 16", "sst2 · minilm-mlm · K = 16")
        assert (first.methods, first.items, first.missed_count) == (4, 200, 0)

    def test_what_was_said_instead(self, tmp_path: Path) -> None:
        reported.write(tmp_path, "one", 13, 0.5)
        reported.write(tmp_path, "two", 13, 0.75)
        found = load(tmp_path)
        (made,) = instances.instances(rows(found.records), found.outcomes)
        assert made.missed_count == 50
        assert [one.key.lstrip("0") for one in made.missed][:2] == ["sst2150", "sst2151"]
        assert (made.missed[0].label, made.missed[0].said) == ("bad", "all say good (2)")
        assert made.disputed[0].key.lstrip("0") == "sst2100"
        assert made.disputed[0].said == "right: two; not: one"

    def test_texts_are_found_by_their_key(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        example = type(
            "E", (), {"key": f"{'sst2100':0>16}and more", "fields": {"text_a": "a  long\ntext", "text_b": "x" * 400}}
        )
        monkeypatch.setattr(reading, "read", lambda task, files: ({"test": [example]}, {}))
        reported.write(tmp_path, "one", 13, 0.5)
        reported.write(tmp_path, "two", 13, 0.75)
        found = load(tmp_path)
        (made,) = instances.instances(rows(found.records), found.outcomes)
        text = made.disputed[0].text or ""
        assert text.startswith("a long text / xxx")
        assert len(text) == instances.LETTERS
        assert made.disputed[1].text is None
        assert made.note == ""

    def test_texts_that_are_not_to_be_had_leave_the_keys(self, tmp_path: Path) -> None:
        reported.write(tmp_path, "one", 13, 0.5)
        reported.write(tmp_path, "two", 13, 0.75)
        made = written(tmp_path, tmp_path / "out")
        text = (made.paths[0].parent / "examples.md").read_text()
        assert "The texts are not at hand, so their keys stand alone (no network)." in text
        assert "`000000000sst2150` (bad; all say good (2))" in text

    def test_nothing_is_fetched_and_the_setting_comes_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import os

        from huggingface_hub import constants

        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        with instances._offline():
            assert constants.HF_HUB_OFFLINE
            assert os.environ["HF_HUB_OFFLINE"] == "1"
        assert not constants.HF_HUB_OFFLINE
        assert "HF_HUB_OFFLINE" not in os.environ


class TestCards:
    def test_a_card_says_what_was_run(self) -> None:
        more = {
            "backbone_revision": "sha256:abc", "template": "{text_a} {mask}.", "selection": "fixed", "trials": 3, "init_seed": 5,
            "order_seed": 13, "environment": {"commit": "c0ffee", "packages": {"torch": "2.9"}, "device": "cpu"},
            "settings": {"data": {"k": 16, "seed": 13}, "model": "x"},
        }  # fmt: skip
        runs = [record(**more), record(seed=21, **{**more, "init_seed": 21, "order_seed": 21})]
        (card,) = cards(rows(runs), runs)
        assert (card.title, card.paradigm) == ("sst2 · minilm-mlm · K = 16", "pattern_tuning")
        assert card.lines["model"] == "minilm-mlm, revision sha256:abc"
        assert card.lines["seeds"] == "split 13, initialisation 5, order 13; 21"
        assert card.lines["examples drawn"] == "13: sha256:sst2-16-13, 21: sha256:sst2-16-21"
        assert card.lines["told"] == "32 labels, 8 validation labels, 2 external labels"
        assert (card.lines["commit"], card.lines["packages"], card.lines["trials"]) == ("c0ffee", "torch 2.9", "3")
        assert json.loads(card.settings) == {"data": {"k": 16}, "model": "x"}
        assert "chosen" not in card.lines

    def test_values_that_differ_between_seeds_are_all_there(self) -> None:
        runs = [record(environment={"commit": "a"}), record(seed=21, environment={"commit": "b"})]
        assert cards(rows(runs), runs)[0].lines["commit"] == "a | b"


def test_markdown_shows_letters_as_they_are() -> None:
    assert plain("a_b *c* `d` [e](f) <g> | #h\ni") == r"a\_b \*c\* \`d\` \[e\](f) \<g\> \| \#h i"


def test_a_page_shows_every_problem_in_red(made: report.Report, out: Path) -> None:
    found = load(out)
    content = Content(made.rows, None, ["x"], ["broken <file>"], [], [pictures.ABOUT[pictures.SEEDS]], [], [], [], [])
    text = page(content, made.paths[0].parent)
    assert 'class="problems"' in text
    assert "broken &lt;file&gt;" in text
    assert replace(found, problems=()) == Loaded(found.records, found.outcomes, found.failures)


def test_importing_the_command_imports_nothing_heavy() -> None:
    heavy = "torch", "lightning", "transformers", "pandas", "matplotlib", "scipy", "statsmodels", "jinja2"
    code = f"import prompt_lab.commands.report, sys; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
