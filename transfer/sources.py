"""Any checkpoint file → one canonical backbone: torchvision's ResNet names, without a classifier.

`SOURCES` is the table of key patterns; the first whose `marker` is among the keys decides. Adding a source is one line.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor

from pretrain.checkpoint import BACKBONE_FORMAT
from pretrain.errors import CheckpointError
from pretrain.provenance import Provenance

SMALL_STEM = (64, 3, 3, 3)
"""Shape of the first convolution for small images, in place of 7 × 7."""
ARCHS = ("resnet18", "resnet34", "resnet50", "resnet101")


@dataclass(frozen=True)
class Source:
    """How one code base names a backbone inside its files."""

    prefix: str
    """What stands before torchvision's name of every backbone tensor."""
    container: str | None
    """Key of the file's top level that holds the tensors; None: the top level itself."""
    method: str
    """The method, where the file doesn't say more."""


SOURCES: dict[str, Source] = {
    "bench": Source("", "state_dict", "unknown"),
    "moco": Source("module.encoder_q.", "state_dict", "mocov2"),
    "torchvision": Source("", None, "supervised"),
}
"""Checkpoint sources in the order they are tried."""


@dataclass(frozen=True)
class Backbone:
    """A backbone in canonical form."""

    arch: str
    state: dict[str, Tensor]
    """torchvision's names, `fc` removed, float32 (counters int64), on the CPU."""
    provenance: Provenance
    sha256: str
    """Of the file; of the tensors for a random backbone."""
    source: str
    """The line of `SOURCES` that recognised it."""
    dropped: tuple[str, ...] = field(default=())
    """Keys of the file that are no part of the backbone (heads, queues, key encoders)."""


def load(checkpoint: str) -> Backbone:
    """Read `--ckpt`: a file, or `random:ARCH` or `random:ARCH:SEED` for an untrained backbone.

    Raises:
        CheckpointError: If the file is missing, unreadable, of no known source, or holds no whole backbone.
    """
    if checkpoint.startswith("random:"):
        return _random(checkpoint)
    path = Path(checkpoint)
    payload = _read(path)
    name, tensors = _recognise(payload, path)
    prefix = SOURCES[name].prefix
    inside = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    state = {key: value.detach().to("cpu") for key, value in inside.items() if not key.startswith("fc.")}
    arch = _whole_arch(state, path)
    dropped = tuple(sorted(key for key in tensors if key.removeprefix(prefix) not in state or not key.startswith(prefix)))
    return Backbone(arch, _canonical(state), _provenance(name, payload, arch, path), _digest(path), name, dropped)


def skeleton(arch: str) -> dict[str, Tensor]:
    """Shapes and types of every backbone tensor of an architecture, on the meta device."""
    with torch.device("meta"):
        model = getattr(torchvision.models, arch)()
    return {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}


def has_small_stem(state: Mapping[str, Tensor]) -> bool:
    """Whether the first convolution is the 3 × 3 of small images: `pretrain.template.small_stem`."""
    return state["conv1.weight"].shape[-1] == 3


def _random(text: str) -> Backbone:
    _, arch, *rest = text.split(":")
    if arch not in ARCHS:
        raise CheckpointError.unknown("architecture", arch, ARCHS)
    if len(rest) > 1 or (rest and not rest[0].isdigit()):
        raise CheckpointError("not a random backbone", seen=text, allowed="random:ARCH or random:ARCH:SEED")
    seed = int(rest[0]) if rest else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(torchvision.models, arch)()
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}
    provenance = Provenance(
        method="random", aug="none", supervision="none", label_fraction=0.0, arch=arch, data="none", epochs=0, seed=seed
    )
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode() + state[key].numpy().tobytes())
    return Backbone(arch, state, provenance, digest.hexdigest(), "random")


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        seen = "a folder" if path.is_dir() else "nothing"
        raise CheckpointError(
            f"no checkpoint at {path}", seen=seen, allowed="a file, or random:resnet50", fix="pass runs/<id>/backbone.pth"
        )
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises anything from EOFError to UnpicklingError on a broken file
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise CheckpointError(
            f"can't read {path} as a checkpoint",
            seen=f"{path.stat().st_size} bytes; {type(error).__name__}: {reason}",
            allowed="a whole file written by torch.save that needs no code to open (weights only)",
            fix="copy the file again and compare its size with the original's",
        ) from None
    if not isinstance(payload, Mapping):
        raise CheckpointError(
            f"{path} holds no named tensors", seen=type(payload).__name__, allowed="a mapping of names to tensors"
        )
    return payload


def _recognise(payload: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Tensor]]:
    """Name of the source and its tensors by their own names."""
    if payload.get("format") == BACKBONE_FORMAT:
        return "bench", _tensors(payload["state_dict"])
    for name, source in SOURCES.items():
        inner = payload if source.container is None else payload.get(source.container)
        tensors = _tensors(inner) if isinstance(inner, Mapping) else {}
        if f"{source.prefix}conv1.weight" in tensors and f"{source.prefix}layer4.0.conv1.weight" in tensors:
            return name, tensors
    inner = payload.get("state_dict", payload)
    keys = sorted(map(str, inner)) if isinstance(inner, Mapping) else []
    raise CheckpointError(
        f"no backbone recognised in {path}",
        seen=f"{len(keys)} keys, the first are {keys[:3]}",
        allowed="; ".join(f"{name}: keys like {s.prefix}layer4.0.conv1.weight" for name, s in SOURCES.items()),
        fix="pass the backbone.pth that `bench pretrain` wrote, or a checkpoint of a source above",
    )


def _tensors(mapping: Mapping[str, Any]) -> dict[str, Tensor]:
    return {str(key): value for key, value in mapping.items() if isinstance(value, Tensor)}


def _whole_arch(state: Mapping[str, Tensor], path: Path) -> str:
    """The architecture whose tensors these are, all of them and no other."""
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    nearest, problems = "", None
    for arch in ARCHS:
        expected = {key: tuple(value.shape) for key, value in skeleton(arch).items()}
        if shapes.get("conv1.weight") == SMALL_STEM:
            expected["conv1.weight"] = SMALL_STEM
        wrong = [key for key in expected.keys() | shapes.keys() if expected.get(key) != shapes.get(key)]
        if not wrong:
            return arch
        if problems is None or len(wrong) < len(problems):
            nearest, problems = arch, wrong
    wrong = sorted(problems or ())
    raise CheckpointError(
        f"{path} holds no whole backbone",
        seen=f"nearest is {nearest}, with {len(wrong)} tensors missing, extra or of another shape: {wrong[:4]}",
        allowed=", ".join(ARCHS),
        fix="a part of a backbone would transfer as noise; get the whole checkpoint",
    )


def _canonical(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _provenance(name: str, payload: Mapping[str, Any], arch: str, path: Path) -> Provenance:
    if name == "bench" and "provenance" in payload:
        return Provenance.read(payload["provenance"], where=f"the provenance in {path}")
    return Provenance(method=SOURCES[name].method, arch=arch, data=f"unknown ({path.name})")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Features = Callable[[Tensor], list[Tensor]]
"""Images (N, 3, H, W), normalised → the outputs of layer1 to layer4, each (N, C, h, w)."""
