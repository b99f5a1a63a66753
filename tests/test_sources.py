"""Hub data sets (through a local folder) and the user's own files, good and bad."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from prompt_lab.errors import LabError
from prompt_lab.tasks import Task, load_task
from prompt_lab.tasks.files import Files
from prompt_lab.tasks.sources import Hub

PAIR = Task(Files(), ("no", "yes"), {"no": ["No"], "yes": ["Yes"]}, (), ("text_a", "text_b"), name="pair")
ONE = Task(Files(), ("no", "yes"), {"no": ["No"], "yes": ["Yes"]}, (), name="one")
ROWS = [
    {"text_a": 'She said "no",\nand left.', "text_b": "She left.", "label": "yes", "source": "x"},
    {"text_a": "Ein Satz\u2028mit Trennzeichen", "text_b": "ä ö 好", "label": "no", "source": "y"},
]


def found(files: Files, task: Task = ONE) -> list[tuple[tuple[str, ...], int | None]]:
    return [(tuple(e.fields.values()), e.label) for split in files.read(task).values() for e in split]


def refusal(path: Path, task: Task = ONE, **where: str) -> str:
    with pytest.raises(LabError) as error:
        Files(**(where or {"train": str(path)})).read(task)
    return str(error.value).replace(str(path), path.name)


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


class TestFiles:
    @pytest.mark.parametrize("ending", ["", ".gz"])
    @pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "ndjson", "json", "parquet"])
    def test_all_formats_read_the_same(self, tmp_path: Path, kind: str, ending: str) -> None:
        plain, frame = tmp_path / f"data.{kind}", pd.DataFrame(ROWS)
        if kind in ("csv", "tsv"):
            frame.to_csv(plain, index=False, sep="," if kind == "csv" else "\t")
        elif kind == "parquet":
            frame.to_parquet(plain)
        else:
            plain.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), "utf-8")
        path = tmp_path / (plain.name + ending)
        path.write_bytes(gzip.compress(plain.read_bytes()) if ending else plain.read_bytes())
        expected = [((row["text_a"], row["text_b"]), int(row["label"] == "yes")) for row in ROWS]
        assert found(Files(train=str(path)), PAIR) == expected

    def test_only_the_files_that_are_named_are_splits(self, tmp_path: Path) -> None:
        train = written(tmp_path, "a.csv", "text_a,label\n fine ,yes\n")
        pool = written(tmp_path, "b.csv", "text_a,label\nfine,whatever\n")
        splits = Files(train=str(train), unlabeled=str(pool)).read(ONE)
        assert [*splits] == ["train", "unlabeled"]
        assert splits["unlabeled"][0].label is None
        assert splits["train"][0].origin == f"{train}:2"
        assert splits["train"][0].key == splits["unlabeled"][0].key, "blanks at the ends make no other text"

    def test_a_pool_needs_no_label_column_and_a_test_file_does(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.jsonl", '{"text_a": "fine"}\n')
        assert found(Files(unlabeled=str(path))) == [(("fine",), None)]
        assert "a.jsonl:1: no column 'label'; the columns are 'text_a'." in refusal(path, test=str(path))

    @pytest.mark.parametrize("label", ["yes", " yes ", "1"])
    def test_a_label_is_a_name_or_the_number_of_a_class(self, tmp_path: Path, label: str) -> None:
        path = written(tmp_path, "a.csv", f"text_a,label\nfine,{label}\n")
        assert found(Files(train=str(path))) == [(("fine",), 1)]

    def test_numbers_and_truth_values_of_json_are_labels(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.jsonl", '{"text_a": "a", "text_b": "b", "label": true}\n')
        assert found(Files(train=str(path)), load_task("boolq"))[0][1] == 1
        path = written(tmp_path, "b.jsonl", '{"text_a": "fine", "label": 1}\n')
        assert found(Files(train=str(path))) == [(("fine",), 1)]

    def test_labels_that_are_digits_are_names_only(self, tmp_path: Path) -> None:
        stars = Task(Files(), ("1", "2"), {}, ())
        path = written(tmp_path, "a.csv", "text_a,label\nfine,1\nbad,0\n")
        message = refusal(path, stars)
        assert "a.csv:3: unknown label '0'" in message
        assert "a.csv:2" not in message

    def test_a_byte_order_mark_and_crlf_do_no_harm(self, tmp_path: Path) -> None:
        table = written(tmp_path, "a.csv", b"\xef\xbb\xbftext_a,label\r\nfine,yes\r\n\r\n")
        lines = written(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"text_a": "fine", "label": "yes"}\r\n\r\n')
        assert found(Files(train=str(table), test=str(lines))) == [(("fine",), 1), (("fine",), 1)]


class TestBadFiles:
    def test_missing_file(self, tmp_path: Path) -> None:
        written(tmp_path, "train.csv", "")
        assert refusal(tmp_path / "tain.csv") == "tain.csv: no such file. Did you mean 'train.csv'?"

    def test_folder_instead_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "data.csv").mkdir()
        assert "data.csv: cannot be read (" in refusal(tmp_path / "data.csv")

    def test_unknown_suffix(self, tmp_path: Path) -> None:
        message = refusal(written(tmp_path, "train.xlsx", "x"))
        assert "the suffix must be one of .csv, .tsv, .jsonl" in message
        assert "'.xlsx'" in message

    def test_no_rows(self, tmp_path: Path) -> None:
        assert refusal(written(tmp_path, "a.csv", "text_a,label\n")) == "a.csv holds no rows"
        assert refusal(written(tmp_path, "a.jsonl", "")) == "a.jsonl holds no rows"

    def test_missing_column_is_reported_once_with_a_near_name(self, tmp_path: Path) -> None:
        message = refusal(written(tmp_path, "a.csv", "text,label\n1,yes\n2,no\n"))
        assert "1 problem:" in message
        assert (
            "a.csv:1: no column 'text_a'; the columns are 'text', 'label'. Is it 'text'? Then rename that." in message
        )

    def test_missing_column_of_parquet(self, tmp_path: Path) -> None:
        pd.DataFrame({"text_a": ["fine"], "labels": ["yes"]}).to_parquet(tmp_path / "a.parquet")
        assert "a.parquet:1: no column 'label'; the columns are" in refusal(tmp_path / "a.parquet")

    def test_missing_key_of_one_json_line(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.jsonl", '{"text_a": "fine", "label": "yes"}\n\n{"text_a": "bad"}\n')
        assert "a.jsonl:3: no column 'label'" in refusal(path)

    def test_unknown_label_is_answered_with_a_near_name(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", "text_a,label\nfine,yes\nfine,yess\n")
        assert "a.csv:3: unknown label 'yess'. Did you mean 'yes'?" in refusal(path)
        assert "a.csv:2: unknown label '2'. Known: no, yes." in refusal(
            written(tmp_path, "a.csv", "text_a,label\nfine,2\n")
        )

    def test_missing_label(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.jsonl", '{"text_a": "fine", "label": null}\n')
        assert "a.jsonl:1: the label is missing" in refusal(path)

    def test_empty_text_is_found_on_the_line_where_its_row_starts(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", 'text_a,label\n"over\nthree\nlines",yes\n\n" \n",no\nfine,no\n')
        assert refusal(path) == "a.csv cannot be used, 1 problem:\n  a.csv:6: text_a is empty"

    def test_text_that_is_none(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.jsonl", '{"text_a": null, "label": "yes"}\n{"text_a": 3, "label": "yes"}\n')
        message = refusal(path)
        assert "a.jsonl:1: text_a is empty" in message
        assert "a.jsonl:2: text_a must be text, not int" in message

    def test_broken_json(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.jsonl", '{"text_a": "fine", "label": "yes"}\n{"text_a": "fi\n["fine", "yes"]\n')
        message = refusal(path)
        assert "2 problems" in message
        assert "a.jsonl:2: broken line (" in message
        assert "a.jsonl:3: each line must be one JSON object" in message

    def test_csv_row_of_another_length(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", "text_a,label\nfine, but not quoted,yes\n")
        assert "a.csv:2: broken line: 3 values, but the header names 2 columns" in refusal(path)

    def test_quote_that_is_never_closed(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", 'text_a,label\nfine,yes\n"bad,no\nfine,yes\n')
        assert "a.csv:3: broken line (unexpected end of data)" in refusal(path)

    def test_text_after_a_quote_does_not_hide_the_rest(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.tsv", 'text_a\tlabel\n"so" he said\tyes\nfine\tmaybe\n')
        message = refusal(path)
        assert "a.tsv:2: broken line (" in message
        assert "a.tsv:3: unknown label 'maybe'" in message

    @pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
    def test_bytes_that_are_not_utf8(self, tmp_path: Path, name: str) -> None:
        path = written(tmp_path, name, "text_a,label\ngut,yes\nschön,yes\ngut,no\nübel,no\n".encode("latin-1"))
        message = refusal(path)
        assert f"{name}:3: not UTF-8 (byte 0xf6); save the file as UTF-8" in message
        assert f"{name}:5: not UTF-8 (byte 0xfc)" in message

    @pytest.mark.parametrize("cut", [b"not gzip", gzip.compress(b"text_a,label\nfine,yes\n" * 9, mtime=0)[:-12]])
    def test_corrupt_gzip(self, tmp_path: Path, cut: bytes) -> None:
        assert "a.csv.gz: cannot be read (" in refusal(written(tmp_path, "a.csv.gz", cut))

    def test_corrupt_parquet(self, tmp_path: Path) -> None:
        assert "a.parquet:1: not a readable Parquet file (" in refusal(written(tmp_path, "a.parquet", b"PAR1 no"))

    def test_many_problems_are_counted_and_the_first_shown(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", "text_a,label\n" + "fine,perhaps\n" * 100)
        message = refusal(path)
        assert message.startswith("a.csv cannot be used, 100 problems:")
        assert re.findall(r"a\.csv:(\d+)", message) == ["2", "3", "4", "5", "6"]
        assert message.endswith("... and 95 more")


class TestHub:
    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No network, and what datasets caches lies in this test's folder."""
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def folder(self, tmp_path: Path, **splits: list[dict[str, Any]]) -> str:
        home = tmp_path / "hub"
        home.mkdir()
        for name, rows in splits.items():
            pd.DataFrame(rows).to_parquet(home / f"{name}.parquet")
        return str(home)

    def test_columns_and_splits_are_mapped(self, tmp_path: Path) -> None:
        path = self.folder(
            tmp_path,
            train=[
                {"premise": " a ", "hypothesis": "b", "label": 1, "idx": 0},
                {"premise": "no gold label", "hypothesis": "b", "label": -1, "idx": 1},
                {"premise": "no text", "hypothesis": " ", "label": 0, "idx": 2},
                {"premise": "no text", "hypothesis": None, "label": 0, "idx": 3},
            ],
            validation=[{"premise": "c", "hypothesis": "d", "label": 0, "idx": 0}],
        )
        hub = Hub(path, columns={"premise": "text_a", "hypothesis": "text_b", "label": "label"})
        splits = hub.read(PAIR)
        assert [(dict(e.fields), e.label) for e in splits["train"]] == [({"text_a": "a", "text_b": "b"}, 1)]
        assert [(dict(e.fields), e.label) for e in splits["test"]] == [({"text_a": "c", "text_b": "d"}, 0)]
        assert splits["test"][0].origin == f"{path}:validation:0"

    def test_labels_are_mapped_by_value_and_by_name(self, tmp_path: Path) -> None:
        rows = [{"sentence": "a", "label": "-"}, {"sentence": "b", "label": "yes"}, {"sentence": "c", "label": "no"}]
        path = self.folder(tmp_path, train=rows)
        splits = {"train": "train"}
        assert [e.label for e in Hub(path, splits=splits).read(ONE)["train"]] == [1, 0]
        turned = Hub(path, splits=splits, labels={"yes": "no", "no": "yes"})
        assert [e.label for e in turned.read(ONE)["train"]] == [0, 1]

    def test_unlabelled_rows_are_kept_without_a_label_column(self, tmp_path: Path) -> None:
        home = Path(self.folder(tmp_path, train=[{"sentence": "a", "label": "yes"}]))
        (home / "a.json").write_text('{"sentence": "a", "label": "yes"}\n')
        (home / "b.json").write_text('{"sentence": "b"}\n')
        files = {"train": str(home / "a.json"), "pool": str(home / "b.json")}
        hub = Hub("json", splits={"train": "train", "unlabeled": "pool"}, files=files)
        splits = hub.read(ONE)
        assert [(e.fields["text_a"], e.label) for e in splits["train"]] == [("a", 1)]
        assert [(e.fields["text_a"], e.label) for e in splits["unlabeled"]] == [("b", None)]

    @pytest.mark.parametrize(("label", "message"), [(2, "label 2 is not the number"), ("oui", "unknown label 'oui'")])
    def test_a_label_that_the_task_does_not_know(self, tmp_path: Path, label: int | str, message: str) -> None:
        path = self.folder(tmp_path, train=[{"sentence": "a", "label": label}])
        with pytest.raises(LabError, match=message):
            Hub(path, splits={"train": "train"}).read(ONE)

    def test_a_column_that_the_data_set_lacks(self, tmp_path: Path) -> None:
        path = self.folder(tmp_path, train=[{"text": "a", "label": 0}])
        with pytest.raises(LabError, match=r"has no column \['sentence'\]; it has \['text', 'label'\]"):
            Hub(path, splits={"train": "train"}).read(ONE)

    @pytest.mark.parametrize(("name", "named"), [("sst2", "stanfordnlp/sst2"), ("rte", "nyu-mll/glue rte")])
    def test_a_hub_that_cannot_be_reached_says_what_to_do(self, name: str, named: str) -> None:
        task = load_task(name)
        with pytest.raises(LabError) as error:
            task.source.read(task)
        message = str(error.value)
        assert f"task {name!r} needs the data set {named}, which could not be read: " in message
        assert "--data.files.train PATH --data.files.test PATH" in message
        assert "rotten_tomatoes, imdb, bbc_news" in message
