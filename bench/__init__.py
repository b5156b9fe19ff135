"""The front door: the command line, run folders, the demo, the doctor, the rendered report."""

import os

FIRST = os.environ.get("RANK", "0") == "0"
"""Of several processes only the first one speaks."""
