"""`prompt-lab new task`: what is found in a file, what is proposed for it, and that the task it writes works."""

import csv
import gzip
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from prompt_lab import cli
from prompt_lab.answers.words import Words
from prompt_lab.backbones.load import load_backbone
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.tasks import Task, load_task
from prompt_lab.tasks.base import Metric
from prompt_lab.templates import Template
from prompt_lab.testing import tasks as contract

Said = pytest.CaptureFixture[str]
THINGS = ["film", "plot", "cast", "music", "ending", "script", "picture", "story", "hero", "song", "scene", "set"]
GOOD = ("great", "lively", "rich")
BAD = ("terrible", "dull", "poor")


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command adds the folder that it is called from to Python's path: not for the next test."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def reviews(labels: tuple[str, str] = ("negative", "positive")) -> list[dict[str, str]]:
    """72 short reviews, 36 of each label."""
    rows = []
    for label, words in zip(labels, (BAD, GOOD), strict=True):
        rows += [{"review": f"the {t} of it was {w} to me", "sentiment": label} for t in THINGS for w in words]
    return rows


def write(path: Path, rows: Sequence[dict[str, Any]], **how: Any) -> str:
    """Write rows as the path's suffix says."""
    if path.suffix == ".parquet":
        import pandas as pd

        pd.DataFrame(rows).to_parquet(path, **how)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",", **how)
            table.writeheader()
            table.writerows(rows)
    return str(path)


def new(*words: str, backbone: str = "tiny-masked", name: str = "mine_own") -> int:
    return cli.main(["new", "task", name, *words, "--backbone", backbone])


def made(folder: Path, rows: Sequence[dict[str, Any]], *words: str, file: str = "data.csv", **how: Any) -> Task:
    """The task that is written for these rows; it keeps the contract, and its words can be read on the backbone."""
    path = write(folder / file, rows)
    assert new("--from", path, "--out", str(folder), *words, **how) == 0
    task = load_task(str(folder / f"{how.get('name', 'mine_own')}.py"))
    assert {result for _, result in contract.results(task)} == {"ok"}
    assert len(task.templates) == 3
    assert any(Template(p, task.fields).ends_in_mask() for p in task.templates)
    assert task.metric in get_args(Metric)
    assert task.citation
    reader = load_backbone(how.get("backbone", "tiny-masked")).reader
    for pattern in task.templates:
        template = Template(pattern, task.fields)
        if reader.has_mask or template.ends_in_mask():
            Words().build(task, reader, template)
    return task


# ------------------------------------------------------------------------------------------------- the way through


def test_reviews_in_a_csv(tmp_path: Path, capsys: Said) -> None:
    task = made(tmp_path, reviews())
    assert (task.fields, task.labels, task.language, task.metric) == (
        ("text_a",),
        ("negative", "positive"),
        "en",
        "acc",
    )
    assert task.label_words == {"negative": ("terrible",), "positive": ("great",)}
    assert task.templates[0] == "{text_a} It was {mask}."
    splits = task.source.read(task)
    assert Counter(e.label for e in splits["test"]) == {0: 10, 1: 10}, "30 % of 36, rounded down"
    assert Counter(e.label for e in splits["train"]) == {0: 26, 1: 26}
    said = capsys.readouterr().out
    assert "review → text_a, sentiment → label" in said
    assert "20 held out (30% of each label)" in said
    assert re.search(r"negative +36 +26 +terrible +LM-BFF's word +the \w+ of it was", said)
    assert "unsure" not in said
    assert (
        "K = 16 needs 32 texts a label (16 to train on, 16 to validate on); too few: negative (26), positive (26)"
        in said
    )


def test_the_commands_that_are_printed_run(tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.csv", reviews())
    assert new("--from", "data.csv") == 0
    said = capsys.readouterr().out
    commands = [shlex.split(line.partition("#")[0])[1:] for line in said.splitlines() if "  prompt-lab " in line]
    assert [c[0] for c in commands] == ["show", "check", "fit"]
    assert commands[2][commands[2].index("--data.k") + 1] == "13", "the largest that 26 texts allow"
    for command in commands:
        fast = ["--trainer.max_steps", "2", "--trainer.accelerator", "cpu", "--wandb", "disabled"]
        assert cli.main([*command, *(fast if command[0] == "fit" else [])]) == 0
    (record,) = tmp_path.glob("runs/mine_own/pattern_tuning/tiny-masked/k13/seed13/record.json")
    assert json.loads(record.read_text())["data"]["test"] == 20


def test_the_task_can_be_read_from_anywhere_and_moved_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    made(tmp_path / "one", reviews())
    (tmp_path / "one").rename(tmp_path / "two")
    monkeypatch.chdir("/")
    data = FewShotData(str(tmp_path / "two" / "mine_own.py"), k=4)
    assert (len(data.drawn.train), len(data.sealed_test())) == (8, 20)


def test_a_file_that_lies_elsewhere_is_named_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "data.csv", reviews())
    assert new("--from", path, "--out", str(tmp_path / "tasks")) == 0
    code = (tmp_path / "tasks" / "mine_own.py").read_text()
    assert json.dumps(str((tmp_path / "data.csv").resolve())) in code
    assert "HERE" not in code


@pytest.mark.parametrize("file", ["data.tsv", "data.jsonl", "data.parquet"])
def test_other_kinds_of_files(tmp_path: Path, file: str) -> None:
    task = made(tmp_path, reviews(), file=file)
    assert task.label_words == {"negative": ("terrible",), "positive": ("great",)}
    assert len(task.source.read(task)["test"]) == 20


def test_a_packed_file_and_a_column_without_a_name(tmp_path: Path) -> None:
    plain = Path(write(tmp_path / "data.csv", [{"": str(n), **row} for n, row in enumerate(reviews())]))
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert new("--from", str(packed), "--out", str(tmp_path)) == 0
    task = load_task(str(tmp_path / "mine_own.py"))
    assert len(task.source.read(task)["train"]) == 52


def test_a_test_file(tmp_path: Path, capsys: Said) -> None:
    test = [{"review": f"a {t} that is {w} again", "sentiment": label}
            for t in THINGS[:4] for w, label in (("great", "positive"), ("dull", "negative"))]  # fmt: skip
    path = write(tmp_path / "test.csv", [*test, reviews()[0]])
    task = made(tmp_path, reviews(), "--test", path)
    splits = task.source.read(task)
    assert (len(splits["train"]), len(splits["test"])) == (72, 9)
    said = capsys.readouterr().out
    assert f"9 of {path}" in said
    assert "1 row of the training file whose text is one of the test's: used in the test alone" in said


def test_pairs_of_texts(tmp_path: Path, capsys: Said) -> None:
    labels = ("entailment", "neutral", "contradiction")
    rows = [
        {"id": n, "premise": f"the {a} is about the {b}", "hypothesis": f"a {b} is {GOOD[n % 3]}", "gold_label": labels[n % 3]}
        for n, (a, b) in enumerate((a, b) for a in THINGS for b in THINGS if a != b)
    ]  # fmt: skip
    task = made(tmp_path, rows)
    assert task.fields == ("text_a", "text_b")
    assert task.labels == ("contradiction", "entailment", "neutral")
    assert task.label_words == {"contradiction": ("No",), "entailment": ("Yes",), "neutral": ("Maybe",)}
    assert task.templates[0] == "{text_a.rstrip_punctuation}? {mask}, {text_b.lower_first}"
    first = task.source.read(task)["train"][0]
    assert set(first.fields) == {"text_a", "text_b"}
    assert first.fields["text_a"].startswith("the ")
    assert "id (not used), premise → text_a, hypothesis → text_b, gold_label → label" in capsys.readouterr().out


def test_chinese(tmp_path: Path) -> None:
    rows = [{"句子": f"这个{t}{w}，我{w}", "标签": label}
            for label, words in (("负面", "差坏烂"), ("正面", "好美棒")) for t in "书店房车电影歌曲饭菜" for w in words]  # fmt: skip
    task = made(tmp_path, rows)
    assert task.language == "zh"
    assert task.label_words == {"负面": ("差",), "正面": ("好",)}
    assert task.templates[0] == "{text_a}总之，感觉很{mask}。"


def test_a_language_that_is_not_known(tmp_path: Path, capsys: Said) -> None:
    words = {"gut": ("schön", "toll", "gut"), "schlecht": ("öde", "lahm", "mies")}
    rows = [{"text": f"der {t} ist nicht so {w} wie das", "label": label}
            for label, own in words.items() for t in THINGS for w in own]  # fmt: skip
    task = made(tmp_path, rows)
    assert task.language == "und"
    assert not any(c.isalpha() for p in task.templates for c in p.replace("text_a", "").replace("mask", ""))
    assert "the language is neither English nor Chinese" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------- label words


def test_a_known_name_is_its_own_word_and_others_come_from_its_parts(tmp_path: Path, capsys: Said) -> None:
    """The tiny backbone knows the words of the package's tasks, "sports" and "technology" among them, and spells all others."""
    rows = [{"text": f"we read of the {t} {n}", "topic": label}
            for n, label in enumerate(("__label__sports", "SciTech/technology", "Politics")) for t in THINGS]  # fmt: skip
    task = made(tmp_path, rows)
    assert task.label_words == {
        "Politics": ("politics",), "SciTech/technology": ("technology",), "__label__sports": ("sports",),
    }  # fmt: skip
    code = (tmp_path / "mine_own.py").read_text()
    assert '("sports",),  # its own name\n' in code
    assert '("technology",),  # a part of its name\n' in code
    assert "words that may not mean their label: 'SciTech/technology': 'technology'" in capsys.readouterr().out


def test_a_misspelt_name_has_the_nearest_word(tmp_path: Path) -> None:
    rows = [{"text": f"we read of the {t} {n}", "topic": label}
            for n, label in enumerate(("bussiness", "sports")) for t in THINGS]  # fmt: skip
    assert made(tmp_path, rows).label_words == {"bussiness": ("business",), "sports": ("sports",)}


def test_labels_that_say_nothing_have_what_the_backbone_predicts(tmp_path: Path, capsys: Said) -> None:
    """MiniLM's words for 0 and 1, over texts that it can read, are not the same, and are told to be doubtful."""
    task = made(tmp_path, reviews(("0", "1")), backbone="minilm-mlm")
    words = [task.label_words[label][0] for label in ("0", "1")]
    assert len(set(words)) == 2
    assert all(word.isalpha() and len(word) >= 3 for word in words)
    code = (tmp_path / "mine_own.py").read_text()
    assert code.count("# predicted over texts of this label\n") == 2
    assert "up to 16 training texts" in code
    said = capsys.readouterr().out
    assert "the labels are numbers" in said
    assert "words that may not mean their label: '0': " in said


@pytest.mark.parametrize("backbone", ["tiny-causal", "tiny-seq2seq"])
def test_other_kinds_of_backbones_predict_too(tmp_path: Path, backbone: str) -> None:
    made(tmp_path, reviews(("0", "1")), backbone=backbone)


def test_labels_that_differ_in_capitals_have_words_of_their_own(tmp_path: Path, capsys: Said) -> None:
    task = made(tmp_path, reviews(("sports", "Sports")))
    assert task.label_words["Sports"] != task.label_words["sports"]
    assert "'Sports' and 'sports' differ in capitals alone" in capsys.readouterr().out


def test_numbers_beside_names_give_way_to_them(tmp_path: Path, capsys: Said) -> None:
    rows = [
        {"review": r["review"], "label": int(r["sentiment"] == "positive"), "in_words": r["sentiment"]}
        for r in reviews()
    ]
    assert made(tmp_path, rows, file="data.parquet").labels == ("negative", "positive")
    assert "'in_words' says in words what 'label' says in numbers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("suffix", "values"), [("jsonl", (False, True)), ("parquet", (False, True)), ("csv", ("no", "yes"))]
)
def test_labels_that_are_no_text(tmp_path: Path, suffix: str, values: tuple[Any, Any]) -> None:
    rows = [{"text": row["review"], "label": values[row["sentiment"] == "positive"]} for row in reviews()]
    task = made(tmp_path, rows, file=f"data.{suffix}")
    assert task.labels == tuple(str(v).lower() for v in values)


def test_text_that_would_end_a_string_or_a_comment(tmp_path: Path) -> None:
    labels = ('a "quoted" \\ one', "two\nlines '''")
    rows = [{'the """text"""': row["review"], "label": labels[row["sentiment"] == "positive"]} for row in reviews()]
    task = made(tmp_path, rows, "--text", 'the """text"""', file="we'ird.jsonl")
    assert task.labels == labels


# ------------------------------------------------------------------------------------------------- what is told


def test_what_is_wrong_in_a_file_is_told_and_the_task_still_works(tmp_path: Path, capsys: Said) -> None:
    rows = reviews()
    rows += [{"review": "", "sentiment": "positive"}, {"review": "no label here", "sentiment": ""}]  # 2 gaps
    rows += [rows[0], rows[1]]  # 2 repeats
    rows += [{"review": "yes and no", "sentiment": label} for label in ("negative", "positive")]  # one conflict
    rows += [{"review": f"neutral, said the {t} of it", "sentiment": "neutral"} for t in THINGS[:10]]
    task = made(tmp_path, rows)
    said = capsys.readouterr().out
    assert "2 rows without a label or with an empty text: left out" in said
    assert "2 rows repeating the text of another: each text is used once" in said
    assert "2 rows whose text stands there with another label, too: never used" in said
    assert "too few: neutral (7), " in said
    assert "100% of the texts of 'neutral' hold its name (10 of 10)" in said
    assert task.metric == "f1_macro", "38 rows of one label and 10 of another"
    assert FewShotData(str(tmp_path / "mine_own.py"), k=3).drawn.train


def test_enough_texts_are_not_warned_of(tmp_path: Path, capsys: Said) -> None:
    rows = [{**row, "review": f"{row['review']}, {n}"} for n in range(3) for row in reviews()]
    made(tmp_path, rows)
    said = capsys.readouterr().out
    assert "warnings" not in said, "75 of 108 texts a label are left to draw from, 64 of which K = 32 needs"
    assert "--data.k 16 " in said


def test_many_labels(tmp_path: Path, capsys: Said) -> None:
    rows = [{"text": f"we will be at the {t}, number {n}", "label": f"L{n}"} for n in range(120) for t in THINGS]
    task = made(tmp_path, rows)
    assert len({w for (w,) in task.label_words.values()}) == 120
    assert "… and 90 labels more" in capsys.readouterr().out


def test_columns_that_are_not_clear(tmp_path: Path, capsys: Said) -> None:
    rows = [
        {"x": row["review"], "z": f"{row['review']} and so on", "w": row["sentiment"], "lang": "en"}
        for row in reviews()
    ]
    task = made(tmp_path, rows)
    assert task.source.columns == {"x": "text_a", "z": "text_b", "w": "label"}  # type: ignore[attr-defined]
    said = capsys.readouterr().out
    assert "no column is called label or the like; 'w' was taken" in said
    assert "taken for texts: 'x' and 'z' (--text)" in said
    again = made(tmp_path, rows, "--text", "z", "--label", "w", name="one_text")
    assert again.source.columns == {"z": "text_a", "w": "label"}  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------- refusals


def numbered(number: int, **columns: Callable[[int], Any]) -> list[dict[str, Any]]:
    """Rows whose cells are made from their numbers."""
    return [{name: cell(n) for name, cell in columns.items()} for n in range(number)]


def text(n: int) -> str:
    return f"text number {n} of all"


def label(n: int) -> str:
    return "ab"[n % 2]


BAD_FILES: dict[str, tuple[str, Any, str]] = {
    "missing": ("none.csv", None, "none.csv: no such file"),
    "near": ("dta.csv", None, "Did you mean 'data.csv'?"),
    "folder": ("folder", None, "is a folder; give one file"),
    "kind": ("data.xlsx", "x", "the suffix must be one of .csv"),
    "plain": ("data.txt", "x\n", "a .txt file has no labels"),
    "empty": ("data.csv", "", "data.csv holds no rows; it is empty"),
    "blank": ("data.jsonl", "\n\n", "data.jsonl holds no rows; it is empty"),
    "header_only": ("data.csv", "text,label\n", "holds no rows, only a line of column names"),
    "no_header": ("data.csv", "fine,good\ndull,bad\nold,good\n", "its 'good' looks like a row's value, and stands below as one"),
    "numbers_as_header": ("data.csv", "0,1\nfine film,good\ndull film,bad\n", "the first line must name the columns"),
    "one_column": ("data.csv", "text\none\ntwo\n", "has one column, 'text'"),
    "semicolons": ("data.csv", "text;label\none;a\ntwo;b\n", "Is it separated by ';'? Save it with ','."),
    "twice": ("data.csv", "text,label,text\na,b,c\n", "two columns are called 'text'"),
    "not_utf8": ("data.csv", "text,label\nsch\xf6n,a\n".encode("latin-1"), "data.csv:2: not UTF-8 (byte 0xf6)"),
    "broken": ("data.csv", "text,label\none,a\ntwo\n", "data.csv:3: broken line: 1 values"),
    "no_json": ("data.jsonl", '{"text": "a", "label": "b"}\n[1]\n', "data.jsonl:2: each line must be one JSON object"),
    "no_parquet": ("data.parquet", "x", "not a readable Parquet file"),
    "ids": ("data.csv", numbered(30, text=text, label="id{}".format), "30 different values in 30 rows: texts or ids"),
    "whole_numbers": ("data.csv", numbered(30, text=text, label=int), "numbers to predict (regression), or ids"),
    "regression": ("data.csv", numbered(30, text=text, label=lambda n: n / 7), "write the task by hand with bounds"),
    "many": ("data.csv", numbered(404, text=text, label=lambda n: f"l{n // 2}"), "has 202 different values in 404 rows"),
    "one_label": ("data.csv", numbered(9, text=text, label=lambda n: "a"), "has one value only, and a task needs two"),
    "no_label": ("data.csv", numbered(30, text=text, more=text), "no column looks like a label; name it with --label"),
    "no_text": ("data.csv", numbered(30, age=int, label=label), "no column looks like a text"),
    "once": ("data.csv", [*numbered(30, text=text, label=label), {"text": text(1), "label": "c"}], "left to learn 'c' from"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_no_task_can_be_made_of_is_refused(tmp_path: Path, capsys: Said, case: str) -> None:
    name, content, message = BAD_FILES[case]
    path = tmp_path / name
    if case == "folder":
        path.mkdir()
    elif case == "near":
        write(tmp_path / "data.csv", reviews())
    elif isinstance(content, list):
        write(path, content)
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert new("--from", str(path), "--out", str(tmp_path)) == 2
    said, error = capsys.readouterr()
    assert message in error
    assert not said
    assert not list(tmp_path.glob("*.py")), "nothing is written"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--label", "sentimnt"], "unknown column 'sentimnt'. Did you mean 'sentiment'"),
        (["--text", "reviw"], "unknown column 'reviw'. Did you mean 'review'"),
        (["--label", "review"], "column 'review' has 72 different values in 72 rows: texts or ids"),
        (["--text", "sentiment", "--label", "sentiment"], "neither is the label"),
        (["--test", "none.csv"], "none.csv: no such file"),
        (["--test", "other.csv"], "no column 'sentiment'"),
        (["--test", "third.csv"], "third.csv:2: unknown label 'awful'"),
    ],
)
def test_settings_that_do_not_fit_the_file_are_refused(
    tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.csv", reviews())
    write(tmp_path / "other.csv", [{"review": "a b", "stars": 1}])
    write(tmp_path / "third.csv", [{"review": "a b", "sentiment": "awful"}])
    assert new("--from", "data.csv", *words) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.py"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sst2", "prompt_lab has a task of that name"),
        ("My Task", "Call it 'my_task'"),
        ("json", "Python has a module 'json'"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, capsys: Said, name: str, message: str) -> None:
    path = write(tmp_path / "data.csv", reviews())
    assert new("--from", path, "--out", str(tmp_path), name=name) == 2
    assert message in capsys.readouterr().err


def test_a_task_that_is_there_is_never_overwritten(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "mine_own.py").write_text("mine = 1\n")
    path = write(tmp_path / "data.csv", reviews())
    assert new("--from", path, "--out", str(tmp_path)) == 2
    assert "mine_own.py is there already" in capsys.readouterr().err
    assert (tmp_path / "mine_own.py").read_text() == "mine = 1\n"
