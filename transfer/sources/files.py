"""Reading checkpoint files: bytes → names and tensors, without running what is in the file.

A checkpoint is a program for pickle's machine; opened carelessly it does whatever its author liked. Every format is read by
a loader that only makes tensors; what needs more is refused with the name of what it asked for.
"""

import argparse
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pretrain.core.errors import CheckpointError
from transfer.sources import arrays, bounds
from transfer.sources.arrays import RefusedError

Form = Literal["torch", "safetensors", "pickle"]
ZIP, PICKLE = b"PK\x03\x04", b"\x80"
OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch.save began before version 1.6: its magic number, pickled."""
OPTIONS: list[Any] = [argparse.Namespace]
"""A bag of options that runs nothing; DINO, timm and torchvision's training scripts keep theirs beside the weights."""


@dataclass(frozen=True)
class Payload:
    """The content of a checkpoint file and its format."""

    content: Mapping[str, Any]
    form: Form


def read(path: Path, *, trust: bool = False) -> Payload:
    """Open a checkpoint of any format.

    Args:
        path: The file.
        trust: Let a pickle do what it asks for, which runs whatever code is in it.

    Raises:
        CheckpointError: If there is no file, it is broken or no checkpoint, or its pickle needs more than arrays.
    """
    if not path.is_file():
        raise CheckpointError(
            f"no checkpoint at {path}",
            seen="a folder" if path.is_dir() else "nothing",
            allowed="a file, torchvision:resnet50/IMAGENET1K_V2, or random:resnet50",
            fix="pass a file, for instance runs/<id>/backbone.pth",
        )
    form = _form(path)
    try:
        content = _open(path, form, trust)
        content = bounds.tamed(content, path) if isinstance(content, Mapping) else content
    except CheckpointError:
        raise
    except RefusedError as refused:
        raise _needs_more(path, refused.name) from None
    except Exception as error:  # a broken file raises anything from EOFError to UnpicklingError
        raise _unreadable(path, error) from None
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds no named tensors", seen=type(content).__name__, allowed="a mapping of names to tensors"
        )
    return Payload(content, form)


def _form(path: Path) -> Form:
    """Tell the format by the file's first bytes: its name proves nothing."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith((ZIP, OLD_TORCH)):
        return "torch"
    if head.startswith(PICKLE):
        return "pickle"
    if head[8:9] == b"{" and head[5:8] == b"\0\0\0":  # the length of a header of JSON, then the header
        return "safetensors"
    raise CheckpointError(
        f"can't read {path} as a checkpoint: it is none",
        seen=f"{path.stat().st_size} bytes that begin with {head[:40]!r}",
        allowed="a file of torch.save or safetensors, or a .pkl of Detectron2",
        fix="get the file itself: a web page or a Git LFS pointer in its place begins like text",
    )


def _open(path: Path, form: Form, trust: bool) -> Any:
    if form == "safetensors":
        return safetensors.torch.load_file(path)
    bounds.require_bounded(path, _pickles(path, form))
    if form == "pickle" and not trust:
        return arrays.load(path)
    if form == "pickle":
        with path.open("rb") as file:
            return pickle.load(file, encoding="latin1")  # Detectron2's oldest files were written by Python 2
    try:
        with torch.serialization.safe_globals(OPTIONS):
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error)) or re.search(r"unsupported (?:class|function) ([\w.]+)", str(error))
        if wanted is None:
            raise
        raise RefusedError(wanted[1]) from None


def _pickles(path: Path, form: Form) -> int:
    """Count the pickles that a file begins with; a zip begins with none."""
    if form == "pickle":
        return 1
    with path.open("rb") as file:
        return 0 if file.read(len(ZIP)) == ZIP else bounds.LEGACY_PICKLES


def _needs_more(path: Path, wanted: str) -> CheckpointError:
    return CheckpointError(
        f"{path} wants to run code, and did not",
        seen=f"its pickle asks for {wanted}",
        allowed="tensors, numbers, text and containers of them (weights only)",
        fix="save its state_dict alone; or, if you know who wrote it, add --trust-checkpoint, which runs what is in it",
    )


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).splitlines()[0][:200] if str(error) else "no reason given"
    return CheckpointError(
        f"can't read {path} as a checkpoint",
        seen=f"{path.stat().st_size} bytes; {type(error).__name__}: {reason}",
        allowed="a whole file, and what its pickle names installed where it is trusted",
        fix="copy the file again and compare its size with the original's",
    )


def tensors(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors of one level of a file by their names; numpy arrays become tensors.

    Tensors without memory for each of their numbers (sparse, on the meta device) are left out.
    """
    found: dict[str, Tensor] = {}
    for key, value in mapping.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.from_numpy(np.array(value))
        if isinstance(value, Tensor) and _is_plain(value):
            found[str(key)] = value
    return found


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_nested


def fullest(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors of the level of a file that holds most, wherever it is."""
    inner = [fullest(value) for value in mapping.values() if isinstance(value, Mapping)]
    return max([tensors(mapping), *inner], key=len)


def elsewhere(mapping: Mapping[Any, Any], taken: Mapping[Any, Any], at: str = "") -> list[str]:
    """List the names, joined by `/`, of every tensor of a file outside the level that was taken."""
    names: list[str] = []
    for key, value in mapping.items():
        if value is taken:
            continue
        if isinstance(value, (Tensor, np.ndarray)):
            names += [] if mapping is taken else [f"{at}{key}"]
        elif isinstance(value, Mapping):
            names += elsewhere(value, taken, f"{at}{key}/")
        elif isinstance(value, (list, tuple)):
            names += elsewhere(dict(enumerate(value)), taken, f"{at}{key}/")
    return names
