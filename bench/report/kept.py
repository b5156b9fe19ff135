"""Say what a run's folder holds beside its record: runs keep it, records alone come without."""

import os
from pathlib import Path

from transfer.board.entries import Entry

FILES = ("config.yaml", "log.txt", "command.txt")
"""What every run keeps; the page says which of them are not there."""
PICTURE = "predictions.png"
"""What a transfer to detection or segmentation draws of validation images."""


def beside(entry: Entry, name: str) -> Path | None:
    """Return a file of a record's folder; None where there is no such file."""
    path = entry.path.with_name(name)
    return path if os.path.isfile(path) else None
