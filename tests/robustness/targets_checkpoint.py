"""What the fuzzer throws at the reader of checkpoints: bytes in a file, given to `transfer.sources.load`.

A target accepts a `BenchError` and lets everything else escape.
"""

import argparse
import gzip
import io
import json
import pickle
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torchvision

from pretrain.core.errors import BenchError
from transfer import sources

_FILE = Path(tempfile.mkdtemp(prefix="bench-fuzz-")) / "checkpoint.pth"


def checkpoint(data: bytes) -> None:
    """A file of these bytes is read, or refused."""
    _FILE.write_bytes(data)
    _read(_FILE)


def _read(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            backbone = sources.load(str(path))
        except BenchError:
            return
    assert set(backbone.state) == set(backbone.architecture.skeleton()), "a partial load"


def content(data: bytes) -> None:
    """The same for the pickle inside a zip of torch.save, whose checksums no mutation would get right."""
    checkpoint(_zipped(data))


def folder(data: bytes) -> None:
    """The same for the pickle of a zip that was unpacked, and for an index of shards beside one."""
    place = _FILE.with_name("folder")
    (place / "data").mkdir(parents=True, exist_ok=True)
    (place / "data" / "0").write_bytes(bytes(64))
    (place / "data.pkl").write_bytes(data)
    (place / "model-00001-of-00002.bin").write_bytes(data)
    (place / "model.safetensors.index.json").write_bytes(data)
    for path in (place, place / "model-00001-of-00002.bin", place / "model.safetensors.index.json"):
        _read(path)


def _zipped(pickled: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, part in (("data.pkl", pickled), ("byteorder", b"little"), ("data/0", bytes(64)), ("version", b"3\n")):
            archive.writestr(f"archive/{name}", part)
    return out.getvalue()


def _saved(value: Any, **how: Any) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, **how)
    return out.getvalue()


def _inside(value: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(_saved(value))) as archive:
        return archive.read("archive/data.pkl")


def _scripted() -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates what users' files are made with
        torch.jit.save(torch.jit.script(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))), out)
    return out.getvalue()


def _taped(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tape:
        info = tarfile.TarInfo("model.pth")
        info.size = len(content)
        tape.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _packed(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("model.pth", content)
    return out.getvalue()


def _resnet18() -> dict[str, torch.Tensor]:
    """Of one number in each tensor, which keeps the file small."""
    with torch.device("meta"):
        names = torchvision.models.resnet18().state_dict()
    return {name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in names.items()}


_SMALL = {"state_dict": {"module.encoder_q.conv1.weight": torch.zeros(4, 3), "queue": torch.ones(2)}, "epoch": 3}
_ARRAYS = {"model": {"stem.conv1.weight": torch.zeros(4, 3).numpy()}, "__author__": "x"}

_FLAX: dict[str, Any] = {f"params/layer{i}_0/conv{j}/kernel": torch.zeros(3, 3, 1, 2) for i in (1, 2, 3, 4) for j in (1, 2, 3)}
_FLAX |= {
    "opt_state": [{"mu": {"kernel": torch.zeros(2, 3)}}],
    "params/fc/kernel": torch.zeros(2, 3),
    "params/fc/bias": torch.zeros(3),
}
_GOOGLE = {
    f"Transformer/encoderblock_{i}/MultiHeadDotProductAttention_1/{part}/kernel": torch.zeros(2, 1, 64).numpy()
    for i in range(4)
    for part in ("query", "key", "value")
}
_PADDLE = {f"blocks.{i}.{unit}.bn._mean": torch.zeros(2).numpy() for i in range(6) for unit in ("conv0", "short")}
_IN_PARTS = {
    "conv1.weight_orig": torch.ones(2, 3),
    "conv1.weight_mask": torch.ones(2, 3),
    "a.weight_g": torch.ones(2, 1),
    "a.weight_v": torch.ones(2, 3),
    "b.parametrizations.weight.original": torch.ones(2, 3),
    "b.parametrizations.weight.0._u": torch.ones(2),
    "b.parametrizations.weight.0._v": torch.ones(3),
}
_MODULE = {"model": torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)), "args": argparse.Namespace(arch="x"), "seen": {1}}
_INDEX = json.dumps({"weight_map": {"conv1.weight": "model-00001-of-00002.bin"}}).encode()

TARGETS: dict[str, Callable[[bytes], None]] = {
    "checkpoint": checkpoint,
    "checkpoint-content": content,
    "checkpoint-folder": folder,
}
SEEDS: dict[str, list[bytes]] = {
    "checkpoint": [
        _saved(_SMALL),
        _saved(_SMALL, _use_new_zipfile_serialization=False),
        safetensors.torch.save({"conv1.weight": torch.zeros(4, 3)}, {"format": "pt"}),
        *[pickle.dumps(_ARRAYS, protocol=protocol) for protocol in (2, 4, 5)],
        _saved(_resnet18()),
        _saved(_MODULE),
        _saved(_MODULE, _use_new_zipfile_serialization=False),
        _scripted(),
        *[pickle.dumps(names, protocol=2) for names in (_GOOGLE, _PADDLE)],
        gzip.compress(_saved(_SMALL)),
        _taped(_saved(_SMALL)),
        _packed(_saved(_SMALL)),
    ],
    "checkpoint-folder": [_inside(_SMALL), _inside(_MODULE), _INDEX],
    "checkpoint-content": [
        _inside(_MODULE),
        _inside(_SMALL),
        _inside(_resnet18()),
        *[_inside(names) for names in (_FLAX, _IN_PARTS)],
        _inside({"format": "bench-backbone/2", "state_dict": {"conv1.weight": torch.zeros(2)}, "provenance": {"method": "x"}}),
    ],
}
