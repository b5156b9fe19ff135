"""Reading checkpoint files: bytes → names and tensors, without running what is in the file.

A checkpoint is a program for pickle's machine; opened carelessly it does whatever its author liked. Every format is read by
a loader that only makes tensors and stand-ins; what is made to run code is refused with the name of what it asked for.
"""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from pretrain.core.errors import CheckpointError
from pretrain.core.pickled import RefusedError
from transfer.sources import bounds, containers, inert, signatures, torch_files
from transfer.sources.signatures import Form

PACKED = ("gzip", "tar", "zip")
"""Forms of what only holds a checkpoint."""
PLAIN_NAME = re.compile(r"\w[\w.=-]{0,200}")
"""Matches the names of checkpoints."""
MOST_PACKINGS = 3
"""Most archives inside each other."""


@dataclass(frozen=True)
class Payload:
    """The content of a checkpoint and its format."""

    content: Mapping[str, Any]
    form: Form
    files: tuple[Path, ...] = ()
    """What was read: one file, or a checkpoint's shards; a folder where torch's zip was unpacked."""
    strangers: tuple[str, ...] = ()
    """What its pickle names and nothing here knows: not run, and read only as far as it holds tensors."""
    words: str = ""
    """Whose names and axes its tensors had, where those were not torch's."""


def read(path: Path, *, trust: bool = False) -> Payload:
    """Open a checkpoint of any format.

    Args:
        path: The file; or a folder, index or shard, where all that belongs to it is there.
        trust: Let a pickle do what it asks for, which runs whatever code is in it.

    Raises:
        CheckpointError: If there is no file, it is broken or no checkpoint, or its pickle wants to run code.
    """
    containers.require_no_part(path)
    if path.is_dir():
        path = containers.in_folder(path)
    elif not path.is_file():
        raise CheckpointError(
            f"no checkpoint at {path}",
            seen="a device or a pipe" if path.exists() else "nothing",
            allowed="a file, or a folder with one",
            fix="pass a file, for instance runs/<id>/backbone.pth",
        )
    parts = [_read(each, trust) for each in containers.shards(path)]
    if len(parts) == 1:
        return parts[0]
    content: dict[str, Any] = {}
    for part in parts:
        twice = next((key for key in part.content if key in content), None)
        if twice is not None:
            raise CheckpointError(f"two shards of {path} hold one tensor", seen=twice, fix="download the shards again")
        content |= part.content
    every = tuple(file for part in parts for file in part.files)
    return Payload(content, parts[0].form, every, tuple(dict.fromkeys(name for part in parts for name in part.strangers)))


def _read(path: Path, trust: bool) -> Payload:
    try:
        if path.is_dir():
            form: Form = "torch"
            with (path / torch_files.PICKLE).open("rb") as file:
                bounds.require_shallow(file, path)
            content, strangers = torch_files.from_folder(path)
        else:
            with path.open("rb") as file:
                form, content, strangers = _opened(file, path.stat().st_size, path, trust)
        content = bounds.tamed(content, path, _plain)
        if isinstance(content, list | tuple) and any(isinstance(each, Mapping) for each in content):
            content = {str(at): each for at, each in enumerate(content)}  # torch.save((weights, state of the optimiser), …)
    except CheckpointError:
        raise
    except RefusedError as refused:
        raise _needs_more(path, refused.name) from None
    except ModuleNotFoundError as error:
        raise _lacks_code(path, error.name or str(error)) from None
    except AttributeError as error:
        raise (_lacks_code(path, str(error)) if trust else _unreadable(path, error)) from None
    except Exception as error:  # a broken file raises anything from EOFError to UnpicklingError
        raise _unreadable(path, error) from None
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds no named tensors",
            seen=f"a list of {len(content)}" if isinstance(content, list) else type(content).__name__,
            allowed="a mapping of names to tensors",
            fix="save the network's state_dict",
        )
    return Payload(content, form, (path,), strangers)


def _plain(value: Any) -> Any:
    """Return what a value holds: of a module that a trusted file made, its tensors by name; of pairs of these, a mapping."""
    if isinstance(value, (list, tuple)) and value and all(map(_is_named, value)):
        return dict(value)
    if isinstance(value, Tensor):
        return getattr(value, inert.LOCAL, value)
    return value.state_dict() if isinstance(value, nn.Module) else inert.opened(value)


def _is_named(value: Any) -> bool:
    """Tell whether a value is a tensor with its name, as `list(model.state_dict().items())` has them."""
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], Tensor)


def _opened(file: IO[bytes], size: int, path: Path, trust: bool) -> tuple[Form, Any, tuple[str, ...]]:
    """Return a file's form, its content, and what its pickle names that nothing here knows."""
    for _ in range(MOST_PACKINGS):
        form = signatures.form_of(file, size)
        if form not in PACKED:
            break
        file = containers.unpacked(file, size, form, path)
        size = len(file.getbuffer()) if isinstance(file, BytesIO) else size
    if form is None or form in PACKED:
        raise _no_checkpoint(file, size, path)
    return form, *_content(file, size, form, path, trust)


def _content(file: IO[bytes], size: int, form: Form, path: Path, trust: bool) -> torch_files.Content:
    if form == "safetensors":
        in_place = not isinstance(file, BytesIO)
        return safetensors.torch.load_file(path) if in_place else safetensors.torch.load(file.read()), ()
    pickles = {"pickle": 1, "old torch": bounds.LEGACY_PICKLES}.get(form, 0)
    bounds.require_bounded(file, size, path, pickles)
    if trust and form != "TorchScript":
        if form == "pickle":
            return pickle.load(file, encoding="latin1"), ()  # Detectron2's oldest files were written by Python 2
        return torch.load(file, map_location="cpu", weights_only=False), ()
    if form == "pickle":
        # From memory, so that a length beyond the file's end takes no more of it than there is.
        unpickler = inert.Unpickler(BytesIO(file.read()))
        return unpickler.load(), unpickler.strangers
    return torch_files.from_before_zips(file, size) if form == "old torch" else torch_files.from_zip(file)


def _no_checkpoint(file: IO[bytes], size: int, path: Path) -> CheckpointError:
    head = file.read(signatures.HEAD)
    words, fix = signatures.stranger(head) or ("it begins like none", "get the file itself, and save its state_dict")
    if (named := _named_in(head, path)) is not None:
        words, fix = "it is text that names one", f"pass {named}"
    return CheckpointError(
        f"can't read {path} as a checkpoint: it is none; {words}",
        seen=f"{'unpacked, it begins' if isinstance(file, BytesIO) else f'{size} bytes that begin'} with {head[:40]!r}",
        allowed="a file of torch.save or safetensors, a .pkl of Detectron2, or TorchScript",
        fix=fix,
    )


def _named_in(head: bytes, path: Path) -> Path | None:
    """Return what lies beside a file whose only line is its name, such as Detectron2's `last_checkpoint`."""
    name = head.decode("utf-8", errors="replace").strip().rpartition("/")[2]
    beside = path.with_name(name) if len(head) < signatures.HEAD and PLAIN_NAME.fullmatch(name) else path
    return beside if beside != path and beside.exists() else None


def _needs_more(path: Path, wanted: str) -> CheckpointError:
    return CheckpointError(
        f"{path} wants to run code, and did not",
        seen=f"its pickle asks for {wanted}",
        allowed="tensors, numbers, text, containers and objects of them",
        fix="save its state_dict alone; or, if you know who wrote it, add --trust-checkpoint, which runs what is in it",
    )


def _lacks_code(path: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"{path} was trusted, and needs code that is not here",
        seen=name,
        allowed="what its pickle names, installed or on PYTHONPATH",
        fix="leave --trust-checkpoint away: tensors are read without it; or give the code"
        + (f", such as pip install {name.partition('.')[0]}" if name.replace(".", "_").isidentifier() else ""),
    )


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).splitlines()[0][:200] if str(error) else "no reason given"
    size = f"{path.stat().st_size} bytes" if path.is_file() else "a folder"
    return CheckpointError(
        f"can't read {path} as a checkpoint",
        seen=f"{size}; {type(error).__name__}: {reason}",
        allowed="a whole file, and what its pickle names installed where it is trusted",
        fix="copy the file again and compare its size with the original's",
    )


def tensors(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors of one level of a file by their names; numpy arrays become tensors.

    Tensors without memory for each of their numbers (sparse, on the meta device) are left out.
    """
    found: dict[str, Tensor] = {}
    for key, value in mapping.items():
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], np.ndarray):
            value = value[1]  # PaddlePaddle pickles a tensor with its name
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
