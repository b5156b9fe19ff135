"""Makes a page of a notebook as it was executed: its text, its code, and what each cell printed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write(notebook: Path, page: Path) -> None:
    """Write the Markdown page of a notebook, into the same folder, so that its links lead where they did."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    page.write_text("\n\n".join(part for cell in cells for part in _parts(cell)) + "\n", encoding="utf-8")


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        text = "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))
        if text.strip():
            yield f"```text\n{text.rstrip()}\n```"
