"""Settings from files and the command line: everything can be set, and what is wrong is refused before anything is loaded."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from prompt_lab import cli, settings
from prompt_lab.answers.head import Head
from prompt_lab.backbones.checkpoint import Checkpoint
from prompt_lab.errors import LabError
from prompt_lab.testing.subject import TOY
from prompt_lab.trainer import OWNED

import runs

OWN = '''
from prompt_lab.paradigms.pattern_tuning import PatternTuning

class MyParadigm(PatternTuning):
    """Mine.

    Args:
        depth: how deep.
    """

    def __init__(self, depth: int = 1):
        super().__init__()
        self.depth = depth
'''


@pytest.fixture
def nothing_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading texts, a tokenizer or weights is a failure."""

    def loaded(*_: Any, **__: Any) -> Any:
        raise AssertionError("something was loaded")

    monkeypatch.setattr("prompt_lab.running.load_backbone", loaded)
    monkeypatch.setattr("prompt_lab.data.few_shot.read", loaded)
    monkeypatch.setattr(Checkpoint, "reader", property(loaded))


# ------------------------------------------------------------------------------------------------- what is refused

WRONG = [
    ("--data.tsk x", "unknown setting 'data.tsk'. Did you mean 'data.task'"),
    ("--bakbone x", "unknown setting 'bakbone'. Did you mean 'backbone'"),
    ("--trainer.max_step 3", "unknown setting 'trainer.max_step'. Did you mean 'trainer.max_steps'"),
    ("--model.tempate 1", "unknown setting of PatternTuning 'tempate'. Did you mean 'template'"),
    (
        "--model.tuning Full --model.tuning.learning_rat 1",
        "unknown setting of Full 'learning_rat'. Did you mean 'learning_rate'",
    ),
    ("--data.files.trian x", "unknown setting of Files 'trian'. Did you mean 'train'"),
    ("--model PatternTunin", "unknown class 'PatternTunin'. Did you mean 'PatternTuning'"),
    ("--model.tuning Ful", "unknown class 'Ful'. Did you mean 'Full'"),
    ("--model.answer Full", "unknown class 'Full'. Known: Head, Words"),
    ("--model no_module.Nope", "model: cannot import no_module.Nope: No module named 'no_module'"),
    ("--model own_paradigms.Nope", "model: cannot import own_paradigms.Nope: module 'own_paradigms' has no attribute"),
    ("--model prompt_lab.tuning.full.Full", "model: prompt_lab.tuning.full.Full is no class derived from Paradigm"),
    (
        "--model.tuning.learning_rate 1e-4",
        "name the class of model.tuning before its settings: --model.tuning with one of",
    ),
    ("--trainer.callbacks EarlyStopping", "trainer.callbacks: EarlyStopping needs monitor"),
    ("--data.k two", "data.k must be a whole number or full; it was 'two'"),
    ("--data.k 2.5", "data.k must be a whole number or full; it was '2.5'"),
    ("--trainer.max_steps ten", "trainer.max_steps must be a whole number; it was 'ten'"),
    ("--trainer.max_epochs x", "trainer.max_epochs must be a whole number; it was 'x'"),
    ("--model.warmup fast", "model.warmup must be a number; it was 'fast'"),
    (
        "--model.answer Words --model.answer.aggregate avg",
        "model.answer.aggregate must be mean or sum or max; it was 'avg'",
    ),
    ("--select best", "select must be fixed or dev_k or multi_split or cv or mdl or oracle; it was 'best'"),
    ("--save_model maybe", "save_model must be true or false; it was 'maybe'"),
    ("--wandb on", "wandb must be auto or online or offline or disabled; it was 'on'"),
    ("--model.warmup 2", "warmup is the fraction of all steps spent warming up"),
    ("--data.task toyy", "unknown task 'toyy'"),
    ("--data.task sst22", "unknown task 'sst22'. Did you mean 'sst2'"),
    ("--data.task none.py", "no such file: none.py"),
    ("--backbone minilm-mml", "unknown backbone 'minilm-mml'. Did you mean 'minilm-mlm'"),
    ("--data.batch_size 0", "data.batch_size must be at least 1; it was 0"),
    ("--config none.yaml", "none.yaml"),
    ("--name ../up", "a run's name becomes that of a folder; '../up' cannot be one"),
]


@pytest.mark.usefixtures("nothing_loads")
@pytest.mark.parametrize(("words", "message"), WRONG, ids=[w for w, _ in WRONG])
def test_wrong_setting_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, message: str) -> None:
    assert cli.main(runs.words(tmp_path, *words.split())) == 2
    said, error = capsys.readouterr()
    assert message in error
    assert error.startswith("prompt-lab: ")
    assert "Traceback" not in error
    assert len(error) < 1000, "one clear error"
    assert not said
    assert not list(tmp_path.iterdir()), "nothing was begun"


@pytest.mark.usefixtures("nothing_loads")
@pytest.mark.parametrize("name", [n for n in OWNED if n != "callbacks"])
def test_trainer_settings_that_the_lab_owns_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match=rf"trainer.{name} is set by prompt_lab itself"):
        runs.experiment(tmp_path, {"trainer": {name: "x" if name == "default_root_dir" else False}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("data: {tsk: x}", "unknown setting 'data.tsk'. Did you mean 'data.task'"),
        ("backbon: x", "unknown setting 'backbon'. Did you mean 'backbone'"),
        ("model: {class_path: PatternTuning, init_args: {tempate: 0}}", "unknown setting of PatternTuning 'tempate'"),
        ("trainer: {max_steps: ten}", "trainer.max_steps must be a whole number; it was 'ten'"),
        ("a: [", "settings cannot be used"),
        ("- 1", "settings cannot be used"),
    ],
)
def test_wrong_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = runs.write(tmp_path / "wrong.yaml", content)
    with pytest.raises(LabError, match=message):
        settings.parse([*runs.words(tmp_path)[1:], "--config", str(path)])


@pytest.mark.parametrize(("words", "missing"), [([], "data.task, model"), (["--data.task", TOY], "model")])
def test_what_is_missing_is_named(words: list[str], missing: str) -> None:
    with pytest.raises(LabError, match=f"required: {missing}$"):
        settings.parse(words)


# ------------------------------------------------------------------------------------------------- what can be set

OVERRIDES = [
    ("--data.k full", "data.k", "full"),
    ("--data.k 4", "data.k", 4),
    ("--data.seed 0", "data.seed", 0),
    ("--data.files.train x.csv", "data.files.train", "x.csv"),
    ("--data.test_size 5", "data.test_size", 5),
    ("--data.test_size null", "data.test_size", None),
    ("--data.validation dev10x", "data.validation", "dev10x"),
    ("--model.template 1", "model.init_args.template", 1),
    ("--model.template none", "model.init_args.template", "none"),
    ("--model.tuning Frozen", "model.init_args.tuning.class_path", "prompt_lab.tuning.frozen.Frozen"),
    ("--model.tuning Full --model.tuning.learning_rate 3e-4", "model.init_args.tuning.init_args.learning_rate", 3e-4),
    ("--model.answer Head --model.answer.pool mask", "model.init_args.answer.init_args.pool", "mask"),
    ("--model FineTuning", "model.class_path", "prompt_lab.paradigms.fine_tuning.FineTuning"),
    ("--trainer.precision bf16-mixed", "trainer.precision", "bf16-mixed"),
    ("--trainer.devices 2", "trainer.devices", "2"),
    ("--trainer.strategy ddp", "trainer.strategy", "ddp"),
    ("--trainer.gradient_clip_val 0.5", "trainer.gradient_clip_val", 0.5),
    ("--select dev_k", "select", "dev_k"),
    ("--init_seed 0", "init_seed", 0),
    ("--order_seed 7", "order_seed", 7),
    ("--save_model true", "save_model", True),
    ("--name mine", "name", "mine"),
    ("--wandb_project other", "wandb_project", "other"),
    ("--out=elsewhere", "out", "elsewhere"),
]


@pytest.mark.parametrize(("words", "key", "value"), OVERRIDES, ids=[w for w, _, _ in OVERRIDES])
def test_command_line_overrides(tmp_path: Path, words: str, key: str, value: Any) -> None:
    parsed = settings.parse([*runs.words(tmp_path)[1:], *words.split()])
    assert parsed.config[key] == value
    found: Any = parsed.given
    for part in key.split("."):
        found = found[part]
    assert found == value, "and it counts as given"


def test_later_files_win_and_words_win_over_files(tmp_path: Path) -> None:
    one = runs.write(tmp_path / "1.yaml", runs.tree(tmp_path, {"data": {"k": 3, "seed": 1}}))
    two = runs.write(tmp_path / "2.yaml", {"data": {"seed": 2}, "model": {"init_args": {"template": 2}}})
    words = ["--config", str(one), "--config", str(two), "--data.max_length", "9"]
    data = settings.parse(words).given["data"]
    assert (data["k"], data["seed"], data["max_length"]) == (3, 2, 9)
    assert settings.parse(words).config.model.init_args.template == 2


def test_words_reach_the_objects(tmp_path: Path) -> None:
    words = (
        "--model FineTuning --model.answer Head --model.answer.learning_rate 0.5 --data.k 3 --select dev_k --name mine"
    )
    made = settings.parse([*runs.words(tmp_path)[1:], *words.split()]).experiment()
    assert isinstance(made.paradigm.answer, Head)
    assert made.paradigm.answer.learning_rate == 0.5
    assert (made.data.k, made.run.select, made.trainer["max_steps"]) == (3, "dev_k", 3)
    assert made.folder == tmp_path / "toy/mine/tiny-masked/k3/seed13"


def test_what_is_set_to_null_reaches_the_trainer(tmp_path: Path) -> None:
    """Where the trainer's own value is another: null validates after so many steps, and not after so many passes."""
    given = {"trainer": {"check_val_every_n_epoch": None, "val_check_interval": 2, "max_epochs": None}}
    trainer = runs.experiment(tmp_path, given).trainer
    assert trainer["check_val_every_n_epoch"] is None
    assert "max_epochs" not in trainer


def test_label_words_on_the_command_line(tmp_path: Path) -> None:
    words = ["--model.answer", "Words", "--model.answer.words", "{negative: [bad, poor], positive: {good: 2, rich: 1}}"]
    answer: Any = settings.parse([*runs.words(tmp_path)[1:], *words]).experiment().paradigm.answer
    assert answer.words == {"negative": ["bad", "poor"], "positive": {"good": 2, "rich": 1}}


# ------------------------------------------------------------------------------------------------- asking


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["fit", *words])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_print_config_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = runs.words(tmp_path, "--data.k", "full")[1:]
    printed = yaml.safe_load(asked(capsys, *words, "--print_config"))
    assert printed["data"]["k"] == "full"
    assert printed["data"]["eval_batch_size"] == 64, "defaults too"
    again = settings.parse(["--config", str(runs.write(tmp_path / "printed.yaml", printed))])
    assert again.experiment().config == settings.parse(words).experiment().config


@pytest.mark.parametrize("form", [("--model.help", "PatternTuning"), ("--model.help=PatternTuning",)])
def test_model_help(capsys: pytest.CaptureFixture[str], form: tuple[str, ...]) -> None:
    text = " ".join(asked(capsys, *form).split())
    assert "One pattern-verbalizer pair of PET" in text
    assert "--model.warmup" in text
    assert "fraction of all steps over which the learning rate rises from zero" in text, "the docstring is the help"


def test_help_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(asked(capsys, "--help").split())
    for words in (
        "which state of the fit is tested",
        "training examples of each class; 0 for none",
        "--trainer.max_steps",
    ):
        assert words in text


@pytest.mark.parametrize("words", [("--model.help", "PatternTunin"), ("--print_config", "--data.tsk", "x")])
def test_wrong_question_is_refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert cli.main(["fit", *words]) == 2
    assert "Did you mean" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- one's own


def test_paradigm_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.write(tmp_path / "my_mod.py", OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_mod", raising=False)
    words = runs.words(tmp_path / "runs", "--model.depth", "3", model="my_mod.MyParadigm")
    assert cli.main(words) == 0
    (path,) = (tmp_path / "runs").rglob("record.json")
    assert path.parent.parts[-4] == "my_mod", "called by its file's name"
    with pytest.raises(LabError, match=r"unknown setting of MyParadigm 'dept'\. Did you mean 'depth'"):
        settings.parse([*words[1:], "--model.dept", "3"])


def test_task_of_ones_own(tmp_path: Path) -> None:
    task = runs.write(tmp_path / "my_task.py", Path(TOY).read_text())
    record = runs.record(tmp_path / "runs", {"data": {"task": str(task)}})
    assert record["task"] == "my_task"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("X = 1", r"my_task.py must define TASK; it defines .*X"),
        ("TASK = 1", r"must be a prompt_lab.tasks.Task, not int"),
    ],
)
def test_broken_task_of_ones_own_is_refused(tmp_path: Path, content: str, message: str) -> None:
    task = runs.write(tmp_path / "my_task.py", content)
    with pytest.raises(LabError, match=message):
        runs.experiment(tmp_path / "runs", {"data": {"task": str(task)}})
