"""Files that a broken run resumes from: whole or not there, of this very run or refused."""

from pathlib import Path
from typing import Any

from pretrain.checkpoint import read_state, save_atomically
from pretrain.core.errors import CheckpointError

IDENTITY = "identity"
"""Key of the run's identity."""


def save(path: Path, identity: str, content: dict[str, Any]) -> None:
    """Write what `load` returns to a run of that identity."""
    save_atomically({IDENTITY: identity, **content}, path)


def load(path: Path, identity: str, keys: set[str]) -> dict[str, Any] | None:
    """Read what was saved, onto the CPU; None where nothing was.

    Raises:
        CheckpointError: If the file is broken, lacks one of the keys, or is of another run.
    """
    if not path.is_file():
        return None
    content = read_state(path, {IDENTITY, *keys})
    require_own(path, content, identity)
    return content


def require_own(path: Path, content: dict[str, Any], identity: str) -> None:
    """Refuse the content of another run's file.

    Raises:
        CheckpointError: If its identity is missing or another.
    """
    seen = content.get(IDENTITY)
    if seen != identity:
        raise CheckpointError(f"{path} is of another run", seen=seen, allowed=identity, fix="use another --out")
