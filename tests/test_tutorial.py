"""The tutorial notebook does what it says: executed from its first to its last cell, in an empty folder."""

import json
import runpy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = DOCS / "tutorial.ipynb"


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell printed or returned, as text."""
    shown = (output.get("text") or output["data"]["text/plain"] for output in cell.get("outputs", ()))
    return "".join(shown)


@pytest.mark.timeout(1200)  # half a minute of one core
def test_the_notebook_goes_from_images_to_a_decision(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": tmp_path}}).execute()
    *_, records, command, board, decision = (text for cell in notebook.cells if (text := printed(cell)))
    assert [records.count(word) for word in ("mocov2", "cutmix", "random")] == [6, 3, 3]
    assert command.startswith("bench transfer --task knn")
    assert [board.count(word) for word in ("mocov2", "random")] == [2, 1]
    difference, answer = decision.strip().splitlines()
    assert difference.startswith("CutMix against none: ")
    assert answer.startswith(("use ", "no decision yet"))


def test_its_page_has_every_cell_and_what_it_printed(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = next(cell for cell in notebook.cells if cell["cell_type"] == "code")
    code["outputs"] = [nbformat.v4.new_output("stream", text="said by a cell\n")]
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    runpy.run_path(str(DOCS / "notebook.py"))["write"](tmp_path / "notebook.ipynb", tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert all(cell["source"] in page for cell in notebook.cells)
    assert page.count("```text\nsaid by a cell\n```") == 1


def test_it_is_committed_without_outputs_which_differ_between_processors() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
