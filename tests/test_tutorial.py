"""The tutorial notebook does what it says: executed from its first to its last cell, in an empty folder."""

import json
import re
import runpy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = DOCS / "tutorial.ipynb"


def shown(cell: nbformat.NotebookNode) -> str:
    """What a cell printed, its numbers taken away: they differ between processors."""
    texts = [output.get("text") or output["data"]["text/plain"] for output in cell.get("outputs", [])]
    return re.sub(r"[\d.+ -]+", "", "".join(texts))


@pytest.mark.timeout(600)  # half a minute of one core
def test_the_notebook_runs_from_images_to_a_decision_and_prints_what_its_page_shows(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    published = [shown(cell) for cell in notebook.cells]
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    assert [shown(cell) for cell in notebook.cells[:-3]] == published[:-3]
    *_, decision, _ = (cell for cell in notebook.cells if cell.get("outputs"))
    assert list(tmp_path.glob("runs/*/result.json"))
    assert decision


def test_its_page_has_every_cell_and_what_it_printed(tmp_path: Path) -> None:
    runpy.run_path(str(DOCS / "notebook.py"))["write"](NOTEBOOK, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all("".join(cell["source"]) in page for cell in cells)
    assert page.count("```text\n") == sum(bool(cell.get("outputs")) for cell in cells)
