"""Detectron2's checkpoints: saved so that one is always whole, and resumed from where they are of the same run."""

from pathlib import Path
from typing import Any

from pretrain.core.atomic import replacing
from pretrain.core.errors import CheckpointError
from transfer.engines.state import IDENTITY, require_own

NAMES = "model_*.pth"
"""Pattern of the checkpoints' names."""
POINTER = "last_checkpoint"
"""The file with the name of the last one."""


def save(trainer: Any, identity: str) -> None:
    """Replace the last checkpoint, after an iteration; the one before is deleted only when the new one is whole."""
    before = trainer.checkpointer.get_checkpoint_file()
    trainer.checkpointer.save(f"model_{trainer.iter + 1:07d}", **{IDENTITY: identity})
    if before and before != trainer.checkpointer.get_checkpoint_file():
        Path(before).unlink(missing_ok=True)


def tag_whole(checkpointer: Any) -> None:
    """Have the name of the last checkpoint written whole or not at all; Detectron2 itself empties that file first."""

    def tag(name: str) -> None:
        with replacing(Path(checkpointer.save_dir) / POINTER) as file:
            file.write(name.encode())

    checkpointer.tag_last_checkpoint = tag


def resume(trainer: Any, identity: str) -> int:
    """Load the last checkpoint, if there is one; returns the number of iterations done.

    NOTE: Detectron2 begins the order of the images anew.

    Raises:
        CheckpointError: If it is broken or of another run.
    """
    path = trainer.checkpointer.get_checkpoint_file()
    if not path:
        return 0
    try:
        rest = trainer.checkpointer.load(path)
    except Exception as error:  # torch.load raises anything from EOFError to UnpicklingError on a broken file
        fix = f"remove the folder {Path(path).parent} to start again"
        raise CheckpointError(f"can't resume from {path}", seen=str(error)[:200], fix=fix) from None
    require_own(path, rest, identity)
    trainer.start_iter = trainer.iter + 1
    return int(trainer.start_iter)
