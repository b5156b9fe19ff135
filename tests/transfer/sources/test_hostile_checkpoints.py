"""Checkpoints made to harm: refused with one message, before their memory is taken, and never half a backbone."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pretrain import backbones
from pretrain.checkpoint import save_backbone
from pretrain.core.errors import BenchError, CheckpointError
from pretrain.parts.heads import mlp
from pretrain.provenance import Provenance
from transfer import sources
from transfer.sources import bounds
from transfer.sources.architecture import arch_of
from transfer.sources.bounds import DEPTH, ENTRIES
from transfer.sources.files import Payload
from transfer.sources.recognise import recognise


def resnet18() -> dict[str, Tensor]:
    with torch.device("meta"):
        state = torchvision.models.resnet18().state_dict()
    return {name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in state.items()}


def message(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(CheckpointError) as caught:
        sources.load(str(path))
    return str(caught.value)


def zipped(*entries: tuple[str, bytes], pickled: bytes = b"\x80\x02}.") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (("data.pkl", pickled), ("byteorder", b"little"), ("version", b"3\n"), *entries):
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def nested(depth: int) -> bytes:
    """{((((),),),): 1}: Python hashes it by recursion."""
    return b"\x80\x02}" + b")" + b"\x85" * depth + b"K\x01s."


def claimed(numbers: int) -> bytes:
    """A tensor of so many numbers, of which the file holds sixteen bytes."""
    buffer = io.BytesIO()
    torch.save({"a": torch.arange(4.0)}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        pickled = archive.read("archive/data.pkl")
    long = b"\x8a\x08" + numbers.to_bytes(8, "little")
    return zipped(("data/0", bytes(16)), pickled=pickled.replace(b"K\x04", long))


def larger(content: bytes) -> bytes:
    """A zip that says of one of its members that it unpacks to 3 GiB."""
    return zipped(("data/0", content)).replace(len(content).to_bytes(4, "little"), (3 * 2**30).to_bytes(4, "little"))


def shared(levels: int) -> dict[str, Any]:
    """A mapping of two that are one, of two that are one: a line for each level, 2 to the power of levels written out."""
    inside: dict[str, Any] = {"weight": torch.zeros(1)}
    for _ in range(levels):
        inside = {"a": inside, "b": inside}
    return inside


def cyclic() -> dict[str, Any]:
    inside: dict[str, Any] = {"weight": torch.zeros(1)}
    inside["again"] = inside
    return inside


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "a zip bomb": (lambda: larger(bytes(4321)), "bytes, 3.00 GiB unpacked"),
    "tuples in tuples": (lambda: zipped(pickled=nested(200_000)), f"more than {DEPTH} deep"),
    "tuples in tuples, a pickle": (lambda: nested(200_000), f"more than {DEPTH} deep"),
    "a tensor of a trillion numbers": (lambda: claimed(10**12), "can't read"),
    "more numbers than there are bytes for": (lambda: claimed(1000), "can't read"),
    "mappings shared to no end": (lambda: shared(60), f"more than {ENTRIES:,} values"),
    "a mapping that holds itself": (cyclic, f"more than {DEPTH} deep"),
    "mappings in mappings": (
        lambda: b"\x80\x02" + b"}X\x01\x00\x00\x00a" * 5000 + b"}" + b"s" * 5000 + b".",
        f"more than {DEPTH} deep",
    ),
    "a memo of billions": (lambda: b"\x80\x02}r\xff\xff\xff\x7f.", "no backbone recognised"),
    "an array of bytes by their number": (
        lambda: pickle.dumps({"a": None}, 2)[:-1] + b"0cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x10\x85R.",
        "can't read",
    ),
    "a length beyond the end": (lambda: b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\x00\x00.", "can't read"),
    "a header beyond the end": (lambda: (2**38).to_bytes(8, "little") + b'{"a": 1}', "can't read"),
    "a long header of safetensors": (lambda: (2**23).to_bytes(8, "little") + b'{"a": 1}', "can't read"),
    "sparse weights": (lambda: resnet18() | {"conv1.weight": torch.zeros(64, 3, 7, 7).to_sparse()}, "missing: conv1.weight"),
    "weights without content": (lambda: resnet18() | {"bn1.weight": torch.zeros(64, device="meta")}, "missing: bn1.weight"),
    "complex weights": (lambda: resnet18() | {"bn1.weight": torch.zeros(64, dtype=torch.complex64)}, "bn1.weight is complex64"),
    "truth values": (lambda: resnet18() | {"bn1.weight": torch.zeros(64, dtype=torch.bool)}, "bn1.weight is bool"),
    "weights that are no numbers": (lambda: resnet18() | {"bn1.weight": torch.full((64,), torch.nan)}, "not finite"),
    "another shape": (lambda: resnet18() | {"bn1.weight": torch.zeros(65)}, "1 of another shape: bn1.weight [65]"),
    "a shape beyond reason": (lambda: resnet18() | {"bn1.weight": torch.zeros(()).expand(10**6, 10**6)}, "another shape"),
    "tensors in the place of names": (
        lambda: {"format": np.zeros(3).tolist(), 10**30: torch.zeros(1)},
        "no backbone recognised",
    ),
    "our format, nothing in it": (lambda: {"format": "bench-backbone/2", "state_dict": 7}, "no whole backbone"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_is_refused_with_one_message(tmp_path: Path, kind: str) -> None:
    make, words = HOSTILE[kind]
    assert words in message(tmp_path, make())


def test_old_files_of_torch_are_read_within_the_same_bounds(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(resnet18(), path, _use_new_zipfile_serialization=False)
    assert set(sources.load(str(path)).state) == set(backbones.get("resnet18").skeleton())
    deep: Any = ()
    for _ in range(2 * DEPTH):
        deep = (deep,)
    torch.save({deep: 1}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=f"more than {DEPTH} deep"):
        sources.load(str(path))


WEIGHT, BIAS = torch.zeros(4, 512), torch.zeros(4)


@pytest.mark.parametrize(
    "projector",
    [
        7,
        {"weight": WEIGHT, "bias": BIAS},
        {"layers": ["linear"], "tensors": {"weight": WEIGHT, "bias": BIAS}},
        {"layers": ["linear"], "tensors": {"0.weight": WEIGHT, "0.bias": torch.zeros(5)}},
        {"layers": ["linear"], "tensors": {"0.weight": WEIGHT, "0.bias": BIAS, "1.weight": BIAS}},
        {"layers": ["linear"], "tensors": {"0.weight": torch.zeros(4, 2, 512)}},
        {"layers": ["linear", "relu", "linear"], "tensors": {"0.weight": WEIGHT, "2.weight": torch.zeros(4, 9)}},
        {"layers": ["conv"], "tensors": {"0.weight": WEIGHT}},
        {"layers": ["linear", "bn"], "tensors": {"0.weight": WEIGHT}},
        {"layers": [], "tensors": {}},
        {"layers": 3, "tensors": {"0.weight": WEIGHT}},
    ],
)
def test_a_projector_that_is_no_row_of_layers_is_refused(tmp_path: Path, projector: Any) -> None:
    state = {name: tensor for name, tensor in resnet18().items() if not name.startswith("fc.")}
    save_backbone(tmp_path / "own.pth", state, Provenance(method="mocov2", arch="resnet18"))
    content = torch.load(tmp_path / "own.pth", weights_only=True)
    torch.save({**content, "projector": projector}, tmp_path / "own.pth")
    with pytest.raises(CheckpointError, match="is no row of layers"):
        sources.load(str(tmp_path / "own.pth"))


@pytest.mark.parametrize(
    "head",
    [
        nn.Linear(512, 4),
        mlp((512, 8, 4)),
        mlp((512, 8, 8, 4), bias=False, norm="bn", out_bias=False, out_norm="bn-plain"),
        mlp((512, 8, 4), activation="gelu"),
    ],
)
def test_a_projector_comes_back_as_it_was_written(tmp_path: Path, head: nn.Module) -> None:
    state = {name: tensor for name, tensor in resnet18().items() if not name.startswith("fc.")}
    save_backbone(tmp_path / "own.pth", state, Provenance(method="mocov2", arch="resnet18"), projector=head)
    back, features = sources.load(str(tmp_path / "own.pth")).projector, torch.randn(3, 512)
    assert back is not None
    assert torch.equal(back(features), head.eval()(features))


PREFIXES = ("", "module.", "module.encoder_q.", "encoder.", "backbone.", "online_encoder.", "_orig_mod.")
STATE = resnet18()
KEYS = sorted(STATE)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=2, unique=True),
    st.sampled_from(["", "state_dict", "model", "teacher"]),
    st.sets(st.sampled_from(KEYS), max_size=3),
    st.dictionaries(st.sampled_from(KEYS), st.text("abc.0_", max_size=12), max_size=2),
    st.sets(st.text(max_size=8), max_size=2),
)
def test_any_set_of_keys_is_a_whole_backbone_or_refused(
    prefixes: list[str], level: str, gone: set[str], renamed: dict[str, str], extra: set[str]
) -> None:
    """Of one or two encoders with prefixes of real code bases, with keys left out, renamed and added."""
    given_state = STATE
    state: dict[Any, Any] = {
        prefix + renamed.get(name, name): tensor
        for prefix in prefixes
        for name, tensor in given_state.items()
        if name not in gone
    }
    state |= {name: torch.zeros(2) for name in extra}
    payload = Payload({level: state} if level else state, "torch")
    try:
        found = recognise(payload, Path("a.pth"))
        arch = arch_of(found.state, Path("a.pth"), source=found.source, beside=found.dropped)
    except BenchError:
        return
    counters = {name for name in backbones.get(arch).skeleton() if name.endswith("num_batches_tracked")}
    assert set(found.state) | counters == set(backbones.get(arch).skeleton())
    assert len(found.state) + len(found.dropped) == len(state)


def test_a_pickle_of_operations_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ENTRIES", 100_000)
    packed = zipped(pickled=b"\x80\x02" + b"N0" * 200_000 + b"}.")  # each twice: nothing, and away with it
    assert len(packed) < 10_000
    assert "more than 100,000 operations of its pickle" in message(tmp_path, packed)
