"""`prompt-lab new paradigm` and `new tuning`: what they write works as it stands, and nothing is overwritten or hidden."""

import ast
import sys
from pathlib import Path

import pytest

from prompt_lab import cli, discovery, grid
from prompt_lab.discovery import load_file
from prompt_lab.starting import names, places
from prompt_lab.testing import checks, tunings
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.trees import read_yaml

import runs

Said = pytest.CaptureFixture[str]


def new(*words: str) -> int:
    return cli.main(["new", *words])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, which Python does not import from by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    return tmp_path


@pytest.fixture
def checkout(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a checkout of the repository that the command runs from."""
    runs.write(here / "pyproject.toml", "")
    runs.write(here / "experiments" / "base.yaml", "")
    monkeypatch.setattr(places, "ROOT", here.resolve())
    return here


def checked(name: str, capsys: Said) -> list[str]:
    """What `prompt-lab check` says of each clause."""
    capsys.readouterr()
    assert cli.main(["check", name]) == 0
    return [line.rpartition("  ")[2] for line in capsys.readouterr().out.splitlines()]


def test_the_paradigm_keeps_the_whole_contract_as_it_stands(here: Path, capsys: Said) -> None:
    assert new("paradigm", "firm_guess") == 0
    assert checked("firm_guess.FirmGuess", capsys) == ["ok"] * 14


@pytest.mark.parametrize("kind", ["tiny-causal", "tiny-seq2seq"])
def test_the_paradigm_learns_on_other_kinds_of_backbones(here: Path, kind: str) -> None:
    new("paradigm", "bold_guess")
    checks.checks()["learns_four_rows_by_heart"](Subject(load_file(here / "bold_guess.py", "BoldGuess"), kind))


def test_the_paradigm_does_what_it_says(here: Path) -> None:
    """Smoothing at 1 of 2 labels: the loss is the mean of both labels' log-probabilities, whatever the label is."""
    new("paradigm", "bold_guess")
    idea = load_file(here / "bold_guess.py", "BoldGuess")
    found = Subject(lambda: idea(smoothing=1.0))
    module, examples = found.built(), found.examples()
    scores_BC = found.scores(module, examples)
    loss = module.loss(scores_BC, found.batch(module, examples))
    assert loss.item() == pytest.approx(-scores_BC.log_softmax(1).mean().item(), abs=1e-6)


def test_the_tuning_keeps_the_contract_on_every_kind_of_backbone(here: Path, capsys: Said) -> None:
    assert new("tuning", "firm_bits") == 0
    assert checked("firm_bits.FirmBits", capsys) == ["ok"] * 3 * 8


def test_the_tuning_moves_vectors_of_the_last_layer_alone(here: Path) -> None:
    new("tuning", "top_bits")
    module = tunings.subject(load_file(here / "top_bits.py", "TopBits"), "tiny-masked", "cloze").built()
    moving = {n: p for n, p in module.backbone.named_parameters() if p.requires_grad}
    assert len(moving) == 10, "six biases of linear layers; gain and bias of two normalisations"
    assert all("encoder.layer.1." in n and p.ndim == 1 for n, p in moving.items())


def test_a_fit_by_the_name_that_is_printed(here: Path, capsys: Said) -> None:
    """From the folder that the file lies in, which is none that Python imports from."""
    assert new("paradigm", "quiet_guess") == 0
    assert new("tuning", "quiet_bits") == 0
    said = capsys.readouterr().out
    assert "--model quiet_guess.QuietGuess " in said
    assert "--model.tuning quiet_bits.QuietBits " in said
    assert "{quiet_guess: {config: quiet_guess.yaml}}" in said
    suites = [
        runs.suite(here / "grid", f"{name}_suite", paradigms=[{name: {"config": f"{name}.yaml"}}])
        for name in ("quiet_guess", "quiet_bits")
    ]
    models = [line.strip() for line in said.splitlines() if line.startswith("    model: ")]
    for path, name, model in zip(suites, ("quiet_guess", "quiet_bits"), models, strict=True):
        runs.write(path.with_name(f"{name}.yaml"), model)
        (cell,) = grid.expand(path, str(here / "runs"))
        assert cell.settings.experiment().name == name
    assert cli.main(runs.words(here / "runs", model="quiet_guess.QuietGuess")) == 0
    assert list(here.glob("runs/toy/quiet_guess/tiny-masked/k2/seed13/record.json"))
    more = ("--model.tuning", "quiet_bits.QuietBits", "--name", "quiet_bits")
    assert cli.main(runs.words(here / "runs", *more)) == 0
    assert list(here.glob("runs/toy/quiet_bits/tiny-masked/k2/seed13/record.json"))


def test_check_knows_tasks(here: Path, capsys: Said) -> None:
    assert checked(TOY, capsys) == ["ok"] * 4
    runs.write(here / "half.py", Path(TOY).read_text().replace('"positive": ["great"]', '"positive": ["terrible"]'))
    capsys.readouterr()
    assert cli.main(["check", "half.py"]) == 1
    assert "FAILED: 'terrible' is a word of several labels" in capsys.readouterr().out


def test_what_is_written_is_documented_and_marks_what_to_change(here: Path) -> None:
    new("paradigm", "bold_guess")
    new("tuning", "top_bits")
    for name, word in (("bold_guess", "Bold guess"), ("top_bits", "Top bits")):
        code = (here / f"{name}.py").read_text()
        assert (ast.get_docstring(ast.parse(code)) or "").startswith(f"{word}: ")
        assert code.count("# CHANGE: ") >= 2
        assert "MyIdea" not in code
        assert "MyTuning" not in code


# ------------------------------------------------------------------------------------------------- where it goes


def test_in_a_checkout_it_becomes_a_part_of_the_package(checkout: Path, capsys: Said) -> None:
    assert new("paradigm", "bold_guess") == 0
    assert new("tuning", "top_bits") == 0
    written = {str(p.relative_to(checkout)) for p in checkout.rglob("*") if p.is_file()}
    assert written == {
        "pyproject.toml", "experiments/base.yaml", "prompt_lab/paradigms/bold_guess.py", "prompt_lab/tuning/top_bits.py",
        "experiments/paradigms/bold_guess.yaml", "experiments/paradigms/top_bits.yaml",
    }  # fmt: skip
    paradigm = read_yaml(checkout / "experiments/paradigms/bold_guess.yaml")
    assert paradigm == {"model": {"class_path": "BoldGuess"}}
    tuning = read_yaml(checkout / "experiments/paradigms/top_bits.yaml")
    assert tuning["model"]["init_args"]["tuning"] == {"class_path": "TopBits"}
    said = capsys.readouterr().out
    assert "prompt_lab/paradigms/bold_guess.py\nexperiments/paradigms/bold_guess.yaml\n" in said
    assert "prompt-lab check bold_guess " in said
    assert "--model BoldGuess " in said


def test_below_the_root_of_a_checkout_and_out_of_it(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "notebooks").mkdir()
    monkeypatch.chdir(checkout / "notebooks")
    assert new("paradigm", "bold_guess") == 0
    assert (checkout / "prompt_lab/paradigms/bold_guess.py").exists()
    assert new("paradigm", "other_guess", "--out", "mine") == 0, "a folder that is named is the folder"
    assert [p.name for p in (checkout / "notebooks").rglob("*.py")] == ["other_guess.py"]
    monkeypatch.chdir(checkout.parent)
    assert places.checkout() is None


def test_another_folder_is_made_and_gone_into_first(here: Path, capsys: Said) -> None:
    assert new("paradigm", "bold_guess", "--out", "ideas/mine") == 0
    assert (here / "ideas/mine/bold_guess.py").exists()
    assert "  cd ideas/mine\n" in capsys.readouterr().out


def test_this_repository_is_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert places.checkout() == Path(__file__).parents[1]


# ------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("kind", "name", "why", "near"),
    [
        ("paradigm", "MyIdea", "small letters", "my_idea"),
        ("paradigm", "my-idea", "small letters", "my_idea"),
        ("paradigm", "3way", "small letters", "my_3way"),
        ("paradigm", "class", "small letters", "my_class"),
        ("paradigm", "my_idea.py", "small letters", "my_idea"),
        ("paradigm", "想法", "small letters", "my_paradigm"),
        ("paradigm", "", "small letters", "my_paradigm"),
        ("paradigm", "../idea", "small letters", "idea"),
        ("paradigm", "pet", "prompt_lab has a paradigm of that name", "my_pet"),
        ("tuning", "lora", "prompt_lab has a tuning of that name", "my_lora"),
        ("tuning", "bitfit", "its class Bitfit would hide another", "my_bitfit"),
        ("paradigm", "lora", "its class Lora would hide another", "my_lora"),
        ("paradigm", "tensor", "its class Tensor would hide another", "my_tensor"),
        ("paradigm", "paradigm", "its class Paradigm would hide another", "my_paradigm"),
        ("paradigm", "random", "Python has a module 'random'", "my_random"),
        ("tuning", "torch", "Python has a module 'torch'", "my_torch"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_a_near_one(
    here: Path, capsys: Said, kind: str, name: str, why: str, near: str
) -> None:
    assert new(kind, name) == 2
    error = capsys.readouterr().err
    assert why in error
    assert f"Call it {near!r}, for example." in error
    assert not list(here.iterdir())
    assert new(kind, near) == 0, "the near name may be taken"


def test_a_file_that_is_there_is_never_overwritten(here: Path, capsys: Said) -> None:
    runs.write(here / "bold_guess.py", "mine = 1\n")
    runs.write(here / "my_bold_guess.py", "mine = 2\n")
    assert new("paradigm", "bold_guess") == 2
    error = capsys.readouterr().err
    assert "bold_guess.py is there already, and nothing is ever overwritten. Call it 'bold_guess_2'" in error
    assert (here / "bold_guess.py").read_text() == "mine = 1\n"


def test_an_experiment_file_that_is_there_is_never_overwritten(checkout: Path, capsys: Said) -> None:
    path = runs.write(checkout / "experiments/paradigms/bold_guess.yaml", "mine: 1\n")
    assert new("tuning", "bold_guess") == 2
    assert "experiments/paradigms/bold_guess.yaml is there already" in capsys.readouterr().err
    assert path.read_text() == "mine: 1\n"
    assert not (checkout / "prompt_lab").exists()


def test_a_file_as_the_folder_is_refused(here: Path, capsys: Said) -> None:
    runs.write(here / "file", "")
    assert new("paradigm", "bold_guess", "--out", "file") == 2
    assert "--out file is a file; give the folder" in capsys.readouterr().err


def test_a_class_is_named_as_discovery_looks_for_it() -> None:
    for name in ("my_idea", "p_tuning_v2", "a1_b", "x"):
        assert names.class_name(name).lower() == name.replace("_", "")
    assert discovery._class(ast.parse(f"class {names.class_name('p_tuning_v9')}: pass"), "p_tuning_v9") == "PTuningV9"
