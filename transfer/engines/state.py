"""Files from which a broken run goes on: whole or not there, of this very run or refused."""

from pathlib import Path
from typing import Any

from pretrain.checkpoint import read_state, save_atomically
from pretrain.core.errors import CheckpointError

IDENTITY = "identity"


def save(path: Path, identity: str, content: dict[str, Any]) -> None:
    """Write what `load` returns to a run of that identity."""
    save_atomically({IDENTITY: identity, **content}, path)


def load(path: Path, identity: str, keys: set[str]) -> dict[str, Any] | None:
    """What was saved, on the CPU; None where nothing was.

    Raises:
        CheckpointError: If the file is broken, lacks one of the keys, or is of another run.
    """
    if not path.is_file():
        return None
    content = read_state(path, {IDENTITY, *keys})
    if content[IDENTITY] != identity:
        raise CheckpointError(f"{path} is of another run", seen=content[IDENTITY], allowed=identity, fix="use another --out")
    return content
