"""The front door: the command line, run folders, the demo, the doctor, the rendered report."""

import os
import shlex
import sys

__version__ = "0.1.0"
"""The version, here alone: `pyproject.toml` and `bench --version` read it, a test compares `CITATION.cff` with it."""
FIRST = os.environ.get("RANK", "0") == "0"
"""Whether this process prints: of several, only the first one does."""


def command_line() -> str:
    """The command as typed; `python -m bench` and the processes of a launcher are the same command."""
    return shlex.join(["bench", *sys.argv[1:]])
