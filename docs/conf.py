"""How Sphinx builds these pages; `make docs`. The reference is made of the code first, by `reference.py`, and the
tutorial of its notebook, by `notebook.py`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import notebook  # noqa: E402
import reference  # noqa: E402

from bench import __version__  # noqa: E402

project, author, release = "bench", "the authors of bench", __version__
extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
highlight_language = "bash"
html_theme = "furo"
html_title = f"bench {release}"
html_show_copyright = html_show_sphinx = False
myst_heading_anchors = 3
exclude_patterns = ["_build"]

reference.write(HERE / "reference")
notebook.write(HERE / "tutorial.ipynb", HERE / "tutorial.md")
