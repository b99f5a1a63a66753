"""Every notebook runs from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_no_notebook_is_lost() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "01_first_comparison", "02_write_your_own_paradigm", "03_read_the_results", "04_bring_your_own_data",
    ]  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    kinds = {output.output_type for cell in notebook.cells for output in cell.get("outputs", [])}
    assert "error" not in kinds
    shown = [o.data for cell in notebook.cells for o in cell.get("outputs", []) if "data" in o]
    assert any("image/png" in data for data in shown), "the notebook ends with a picture"
    assert any("majority class" in data.get("text/markdown", "") for data in shown), "and a table"
