"""Chinese comments by product: read as the repository wrote them, and run with labels that no training comment has."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prompt_lab.backbones.tiny import Tiny
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.tasks import load_task
from prompt_lab.tasks.sources import Hub

import runs

TASK = load_task("comment_classify")
TRAIN = {
    "衣服": ["裤子很舒服", "大小合适", "掉色太严重", "不好看"],
    "酒店": ["房间很干净", "前台服务差", "早餐可以"],
    "水果": ["苹果很甜"],
}
TEST = {
    "衣服": ["裤子掉色", "大小可以"],
    "酒店": ["房间很差"],
    "水果": ["苹果不甜"],
    "手机": ["屏幕大", "充电快"],
}
ABSENT = [label for label in TASK.labels if label not in TEST]


def rows(texts: dict[str, list[str]]) -> list[dict[str, str]]:
    return [{"text_a": text, "label": label} for label, own in texts.items() for text in own]


def test_the_files_are_read_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One label, one tab and one comment a line, no header; a quotation mark is a character like any other, and so is "NA"."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    lines = ['酒店\t"很差经。', "衣服\t不好看，很差", '书籍\t"没有任何营养"', "手机\tNA", "平板\t ", "水果\t1", ""]
    train = runs.write(tmp_path / "train.txt", "\n".join(lines))
    dev = runs.write(tmp_path / "dev.txt", "电器\t不错\n")
    assert isinstance(TASK.source, Hub)
    found = replace(TASK.source, files={"train": str(train), "dev": str(dev)}).read(TASK)
    assert [(e.fields["text_a"], TASK.labels[e.label or 0]) for e in found["train"]] == [
        ('"很差经。', "酒店"), ("不好看，很差", "衣服"), ('"没有任何营养"', "书籍"), ("NA", "手机"), ("1", "水果"),
    ]  # fmt: skip
    assert [(e.fields["text_a"], TASK.labels[e.label or 0]) for e in found["test"]] == [("不错", "电器")]


def test_the_address_is_of_one_commit() -> None:
    assert isinstance(TASK.source, Hub)
    assert TASK.source.files is not None
    base = "https://raw.githubusercontent.com/HarderThenHarder/transformers_tasks/6b4af58d9bd45b950dff7a243840367f756d6224/"
    assert {f.removeprefix(base) for f in TASK.source.files.values()} == {
        f"prompt_tasks/p-tuning/data/comment_classify/{name}.txt" for name in ("train", "dev")
    }


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a run on local files, with a random model that reads their characters."""
    folder = tmp_path_factory.mktemp("chinese")
    files = {}
    for split, texts in (("train", TRAIN), ("test", TEST)):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows(texts)]
        files[split] = str(runs.write(folder / f"{split}.jsonl", "\n".join(lines)))
    texts = [t for own in (*TRAIN.values(), *TEST.values()) for t in own]
    backbone = Tiny("chinese", "masked", [*texts, *TASK.labels, *TASK.templates]).save(folder / "backbone")
    return {"backbone": backbone, "data": {"task": "comment_classify", "k": "full", "files": files}}


def test_labels_without_training_comments_can_be_had_only_in_full(chinese: dict[str, Any]) -> None:
    data = {"task": "comment_classify", "files": runs.experiment(Path(), chinese).data.files}
    drawn = FewShotData(**data, k="full").drawn
    assert [TASK.labels[e.label or 0] for e in drawn.train] == ["水果"] + ["衣服"] * 4 + ["酒店"] * 3
    assert not drawn.validation
    with pytest.raises(
        LabError, match=r"k=1 needs 1 training texts of each label, but '书籍' has 0.*Use --data.k 0 or less, or"
    ):
        _ = FewShotData(**data, k=1).drawn


@pytest.mark.parametrize("model", ["FineTuning", "PatternTuning", "ZeroShot", "max_first"])
def test_a_run_from_local_files(chinese: dict[str, Any], model: str, tmp_path: Path) -> None:
    setting: dict[str, Any] = {"class_path": model}
    if model == "max_first":
        answer = {"class_path": "Words", "init_args": {"decoding": "max_first"}}
        setting = {"class_path": "PatternTuning", "init_args": {"answer": answer, "objective": "hinge"}}
    record = runs.record(tmp_path, chinese, {"model": setting})
    assert record["metric"] == "test/f1_macro"
    assert record["data"]["test"] == 6
    assert all(math.isfinite(value) for value in record["scores"].values()), record["scores"]
    assert {"test/acc", "test/f1_macro", "test/f1_weighted"} <= set(record["scores"])
    assert "test/auc" not in record["scores"], "labels without test comments have no ranking"
    assert [label for label in TASK.labels if label not in record["recall_per_class"]] == ABSENT
    if model != "FineTuning":
        assert record["template"] == "这是一条{mask}评论：{text_a}。"
