"""torch's own files, read without torch's unpickling: tensors are views of storages, and these are bytes with a type.

A zip of torch.save holds `NAME/data.pkl`, whose tensors name their storages, and `NAME/data/KEY`, their bytes. TorchScript's
zips hold the same beside code, and a folder in which a zip was unpacked holds it as files. Files from before torch 1.6 are five
pickles with the bytes behind them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KINDS: dict[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
"""Classes of storages by name; those of quantised numbers are missing, which are no weights."""
KEY = re.compile(r"\w+")
"""Matches the keys of storages. They name files where a zip was unpacked, so that `../x` must not be one."""
LARGEST = 2**62
"""Bound of a tensor's numbers and of what its shape and strides reach: torch counts with 64 bits."""


@dataclass(frozen=True)
class Storage:
    """Numbers of one type, in a row."""

    kind: torch.dtype
    raw: bytearray

    def numbers(self, kind: torch.dtype) -> Tensor:
        """Return them as one tensor that shares their memory."""
        return torch.frombuffer(self.raw, dtype=kind) if self.raw else torch.empty(0, dtype=kind)


def sized(kind: object, count: object) -> int:
    """Return the bytes of so many numbers of a type.

    Raises:
        ValueError: If it is no count.
    """
    if not isinstance(kind, torch.dtype) or not isinstance(count, int) or not 0 <= count < LARGEST:
        raise ValueError(f"a storage of {count!r} numbers")
    return count * kind.itemsize


def from_members(pid: tuple[Any, ...], read: Callable[[str], bytes], done: dict[str, Storage]) -> Any:
    """Return the storage that `("storage", TYPE, KEY, DEVICE, COUNT)` names.

    Args:
        pid: The name.
        read: `data/KEY` → its bytes.
        done: Storages by key, which tensors share.

    Raises:
        ValueError: If it is none, or has fewer bytes than numbers.
    """
    word, kind, key, _, count = pid
    if not isinstance(kind, torch.dtype):
        return None  # of a kind that holds no weights
    if word != "storage" or not isinstance(key, str) or not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no storage")
    if key not in done:
        done[key] = Storage(kind, bytearray(read(f"data/{key}")))
    if len(done[key].raw) < sized(kind, count):
        raise ValueError(f"storage {key} holds {len(done[key].raw)} bytes of {sized(kind, count)}")
    return done[key]


def tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor | None:
    """Stands for `torch._utils._rebuild_tensor_v2`: a view of a storage.

    Raises:
        ValueError: If it reaches beyond the storage.
    """
    if not isinstance(storage, Storage):
        return None
    return _view(storage.numbers(storage.kind), offset, tuple(size), tuple(stride))


def tensor_of_type(storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, kind: Any, *rest: Any) -> Any:
    """Stands for `torch._utils._rebuild_tensor_v3`, which names the type of an untyped storage."""
    if not isinstance(storage, Storage) or not isinstance(kind, torch.dtype):
        return None
    return _view(storage.numbers(kind), offset, tuple(size), tuple(stride))


def _view(numbers: Tensor, offset: Any, size: tuple[Any, ...], stride: tuple[Any, ...]) -> Tensor:
    if not all(type(each) is int and 0 <= each < LARGEST for each in (offset, *size, *stride)) or len(size) != len(stride):
        raise ValueError(f"a tensor of shape {size!r} and strides {stride!r}")
    count = 1
    for side in size:
        count *= side
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if count >= LARGEST or (count and last >= len(numbers)):
        raise ValueError(f"a tensor of shape {size!r} from {offset}, beyond the {len(numbers)} numbers of its storage")
    if not count:
        return torch.empty(size, dtype=numbers.dtype)
    return numbers.as_strided(size, stride, offset)


def _parameter(data: Any, *_: Any) -> Any:
    """Stands for `torch._utils._rebuild_parameter`: a parameter is a tensor."""
    return data


def _size(sides: Any = ()) -> tuple[Any, ...]:
    """Stands for `torch.Size`."""
    return tuple(sides)


NAMES: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): tensor,
    ("torch._utils", "_rebuild_tensor_v2"): tensor,
    ("torch._utils", "_rebuild_tensor_v3"): tensor_of_type,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch", "Size"): _size,
    **{(module, name): kind for name, kind in KINDS.items() for module in ("torch", "torch.storage", "torch.cuda")},
    **{("torch", name): kind for name, kind in vars(torch).items() if isinstance(kind, torch.dtype)},
}
"""What stands for the names in torch's pickles."""
