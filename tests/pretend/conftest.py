"""Tensors that claim to be on another device and compute on the CPU: what would go wrong or wait on a GPU, without one.

The device they claim is `meta`: torch knows it everywhere, and takes it neither for the CPU nor for a GPU at hand.
"""

import contextlib
import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from pretrain.core import upload

HOME = Path(__file__).resolve().parents[2]
STOREYS = tuple(str(HOME / storey) for storey in ("pretrain", "transfer", "bench"))
DEVICE = torch.device("meta")
READS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal", "nms"}
"""Operations whose result, or its size, the host waits for on a GPU."""
COPIES = {"copy_", "_to_copy"}
"""Operations that may take tensors of two devices."""
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""Operations that take indices of the CPU for a tensor elsewhere, which they copy there, and wait."""


class Elsewhere(Tensor):
    """A tensor that claims to be elsewhere; the one that computes is `here`."""

    here: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, here: Tensor) -> "Elsewhere":
        made = torch.Tensor._make_wrapper_subclass(
            cls, here.size(), strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype, device=DEVICE
        )
        made.here = here
        return made

    def tolist(self) -> Any:
        _watch().wait("tolist")
        return self.here.tolist()

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        return torch.tensor(data, **{"dtype": self.dtype, "device": self.device, **options})

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{function} outside of the watch")


class Watch(TorchDispatchMode):
    """Computes, and counts by file and function where devices are mixed and where the host waits for the other device."""

    def __init__(self) -> None:
        super().__init__()
        self.mixes: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.copies = 0
        """Uploads that nothing waits for."""
        self.generators: dict[int, torch.Generator] = {}

    def forget(self) -> None:
        """Begin to count."""
        self.mixes.clear()
        self.waits.clear()
        self.copies = 0

    def wait(self, what: str) -> None:
        self.waits[f"{_where()}: {what}"] += 1

    def generator(self, device: Any = "cpu") -> torch.Generator:
        """Make a generator that counts as one of its device."""
        made = torch.Generator()
        if torch.device(device) == DEVICE:
            self.generators[made._cdata] = made
        return made

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        away = self._look(name, args, kwargs)
        inside = {id(leaf.here): leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Elsewhere)}
        args, kwargs = tree_map(lambda leaf: leaf.here if isinstance(leaf, Elsewhere) else leaf, (args, kwargs))
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        result = function(*args, **kwargs)

        def wrapped(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            if id(leaf) in inside:  # changed in place
                return inside[id(leaf)]
            return Elsewhere(leaf) if away else leaf

        return tree_map(wrapped, result)

    def _look(self, name: str, args: Any, kwargs: Any) -> bool:
        """Count what is to be said of an operation; returns whether its result is elsewhere."""
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [leaf for leaf in leaves if isinstance(leaf, Elsewhere)]
        here = [leaf for leaf in leaves if not isinstance(leaf, Elsewhere) and leaf.dim()]
        asked = kwargs.get("device")
        away = bool(there) if asked is None else torch.device(asked) == DEVICE
        if name in COPIES:
            return self._copied(name, args, kwargs, there, leaves, away)
        generator = kwargs.get("generator")
        if generator is not None and (generator._cdata in self.generators) != away:
            self.mixes[f"{_where()}: generator of {name}"] += 1
        if there and here and not (name in INDEXING and isinstance(args[0], Elsewhere)):
            self.mixes[f"{_where()}: {name}"] += 1
        if there:
            self._reads(name, args, kwargs, bool(here))
        return away

    def _copied(self, name: str, args: Any, kwargs: Any, there: list, leaves: list, away: bool) -> bool:
        if name == "copy_":
            away = isinstance(args[0], Elsewhere)
            later = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
            crosses = len(there) < len(leaves) and bool(there)
        else:
            later, crosses = kwargs.get("non_blocking", False), away != bool(there)
        if crosses and later and away:
            self.copies += 1
        elif crosses:
            self.wait("copied there" if away else "copied here")
        return away

    def _reads(self, name: str, args: Any, kwargs: Any, with_cpu: bool) -> None:
        if name in READS:
            self.wait(name)
        if name == "bincount":  # reads the least and the largest
            self.wait(name)
        if name == "repeat_interleave" and kwargs.get("output_size") is None:
            self.wait(name)
        if name in INDEXING:
            masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
            filled = name != "index" and args[2].numel() == 1
            if with_cpu or (masks and not filled):
                self.wait(f"{name} by a mask" if masks else f"{name} by the CPU")


_watching: list[Watch] = []


def _watch() -> Watch:
    return _watching[-1]


def _where() -> str:
    """Name the innermost function of ours by file and name."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(STOREYS):
            name = code.co_qualname.split(".<locals>")[0]
            return f"{Path(code.co_filename).relative_to(HOME).as_posix()} {name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """A watch that is on, with torch's ways around the dispatcher closed."""
    made, tensor = Watch(), torch.tensor

    def to_tensor(data: Any, *, device: Any = None, **options: Any) -> Tensor:
        found = tensor(data, **options)
        return found if device is None else found.to(device)

    monkeypatch.setattr(torch, "tensor", to_tensor)
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(
        importlib.import_module("torch.optim.optimizer"), "_get_fused_kernels_supported_devices", lambda: ["cpu", "meta"]
    )
    monkeypatch.setattr(upload, "Generator", made.generator)
    _watching.append(made)
    with made:
        yield made
    _watching.pop()
