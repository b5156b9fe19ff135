"""The files pre-training leaves: the backbone with where it came from, and the state to resume from.

Both are written whole or not at all, and read with `weights_only=True`, so that opening one runs no code.
"""

import io
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor, nn

from pretrain.core.atomic import replacing
from pretrain.core.errors import CheckpointError
from pretrain.core.machine_errors import unwritable
from pretrain.images.normalise import IMAGENET_MEAN, IMAGENET_STD
from pretrain.parts.heads import layers_of
from pretrain.provenance import Provenance

BACKBONE_FORMAT = "bench-backbone/2"


def save_atomically(payload: Any, path: Path) -> None:
    """Save with `torch.save` and leave either the old file or the whole new one, also when the process is killed.

    Raises:
        StorageError: If the disk is full or the folder can't be written to; the old file is whole.
    """
    with replacing(path) as file:
        _save(payload, file, path)


def read_state(path: Path, keys: Collection[str], device: str = "cpu", *, layout: str | None = None) -> dict[str, Any]:
    """Read what training saved to resume from.

    Args:
        path: Of the file.
        keys: What it must hold.
        device: Where its tensors go.
        layout: What its `format` must say; None for a file without one.

    Raises:
        CheckpointError: If the file is broken, lacks one of the keys, or has another version's layout.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        if layout is not None and "optimizer" in state and state.get("format") != layout:
            raise former_layout(path, str(state.get("format", "unnamed")), layout)
        if missing := sorted(set(keys) - state.keys()):
            raise ValueError(f"not a training checkpoint: it has no {missing[0]!r}")
    except CheckpointError:
        raise
    except Exception as error:  # torch.load raises anything from EOFError to UnpicklingError on a broken file
        seen = " ".join(str(error).split())[:200]
        raise CheckpointError(f"can't resume from {path}", seen=seen, fix="remove it to start again") from None
    return state


def former_layout(path: Path, seen: str, wanted: str) -> CheckpointError:
    """Make the error for a file that a former version of this project wrote."""
    return CheckpointError(
        f"{path} was written by a former version of this project",
        seen=f"format {seen}",
        allowed=f"format {wanted}",
        fix="pre-train again, in another folder (--out)",
    )


def _save(payload: Any, file: IO[bytes], path: Path) -> None:
    """Save with `torch.save`, and raise what a full disk said, which torch hides behind an error of its own."""
    written = _Written(file)
    try:
        torch.save(payload, cast(IO[bytes], written))
    except RuntimeError:
        if written.error is None:
            raise
        raise unwritable("can't write the checkpoint", written.error, path) from None


class _Written(io.RawIOBase):
    """A file that remembers why a write failed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def writable(self) -> bool:
        """Return True, as torch.save asks."""
        return True

    def write(self, data: Any) -> int:
        """Write to the file, and remember why that failed."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise


def save_backbone(path: Path, state: dict[str, Tensor], provenance: Provenance, *, projector: nn.Module | None = None) -> None:
    """Write a backbone: the architecture's own names, for RGB images normalised with ImageNet's mean and standard deviation.

    `projector` is the head of its pre-training, for those who measure behind it; it is written with the kinds of its layers.
    """
    payload = {
        "format": BACKBONE_FORMAT,
        "arch": provenance.arch,
        "state_dict": _on_cpu(state),
        "provenance": provenance.model_dump(mode="json"),
        "projector": None if projector is None else _head(projector),
        "preprocess": {"order": "RGB", "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
    }
    save_atomically(payload, path)


def _head(projector: nn.Module) -> dict[str, Any]:
    head = projector if isinstance(projector, nn.Sequential) else nn.Sequential(projector)
    return {"layers": layers_of(head), "tensors": _on_cpu(head.state_dict())}


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
