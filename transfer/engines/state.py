"""Files from which a broken run goes on: whole or not there, of this very run or refused."""

from pathlib import Path
from typing import Any

import torch

from pretrain.checkpoint import save_atomically
from pretrain.errors import CheckpointError

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
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if missing := sorted({IDENTITY, *keys} - content.keys()):
            raise ValueError(f"it has no {missing[0]!r}")
    except Exception as error:  # torch.load raises anything from EOFError to UnpicklingError on a broken file
        raise CheckpointError(f"can't go on from {path}", seen=str(error)[:200], fix="remove it to start again") from None
    if content[IDENTITY] != identity:
        raise CheckpointError(f"{path} is of another run", seen=content[IDENTITY], allowed=identity, fix="use another --out")
    return content
