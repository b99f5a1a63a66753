"""The curves of a run that was stopped once."""

from pathlib import Path

from prompt_lab.pretraining import curves

FIRST = "epoch,held_out/token_masking_acc,step,train/loss,zero_shot/auc\n0,,0,7.5,\n0,0.1,5,7.0,0.5\n0,,9,3.0,\n"
NEXT = "epoch,held_out/token_masking_acc,step,train/loss,zero_shot/auc\n0,,9,6.0,\n0,0.2,12,5.0,0.75\n"


def written(folder: Path) -> Path:
    for step, text in ((0, FIRST), (10, NEXT)):
        part = folder / f"from_step_{step}"
        part.mkdir(parents=True)
        (part / "metrics.csv").write_text(text)
    return folder


def test_parts_are_put_together_and_the_later_process_counts(tmp_path: Path) -> None:
    assert curves.read(written(tmp_path)) == {
        "held_out/token_masking_acc": {5: 0.1, 12: 0.2},
        "train/loss": {0: 7.5, 5: 7.0, 9: 6.0, 12: 5.0},
        "zero_shot/auc": {5: 0.5, 12: 0.75},
    }


def test_parts_are_read_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for step, loss in ((200, 1.0), (1000, 0.5)):
        (tmp_path / f"from_step_{step}").mkdir()
        (tmp_path / f"from_step_{step}" / "metrics.csv").write_text(f"step,train/loss\n1100,{loss}\n")
    assert curves.read(tmp_path) == {"train/loss": {1100: 0.5}}


def test_the_picture_has_a_panel_a_kind_of_figure(tmp_path: Path) -> None:
    figure = curves.draw(curves.read(written(tmp_path)))
    assert [panel.get_title() for panel in figure.axes] == ["loss", "held-out accuracy", "zero-shot"]
    drawn = [[(line.get_label(), list(line.get_xdata())) for line in panel.lines] for panel in figure.axes]
    assert drawn == [
        [("train/loss", [0, 5, 9, 12])],
        [("held-out token_masking_acc", [5, 12])],
        [("auc", [5, 12])],
    ]
    assert len(curves.draw({"train/loss": {0: 1.0}}).axes) == 1


def test_the_picture_is_written_unless_there_is_nothing_to_show(tmp_path: Path) -> None:
    curves.picture(tmp_path, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    curves.picture(written(tmp_path), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
