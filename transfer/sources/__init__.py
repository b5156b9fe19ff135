"""Any checkpoint → one canonical backbone: torchvision's ResNet names, without a classifier.

`SOURCES` is the table of key patterns; the first line that fits decides. Adding a source is one declaration there.
"""

import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from pretrain.checkpoint import BACKBONE_FORMAT
from pretrain.core.errors import CheckpointError
from pretrain.provenance import Provenance, Supervision
from transfer.sources import files, published
from transfer.sources.backbone import ARCHS, COUNTER, SMALL_STEM, Backbone, Branch, Features, digest, groups, listed, skeleton
from transfer.sources.files import Payload
from transfer.sources.recognise import Found, recognise
from transfer.sources.refusals import arch_of
from transfer.sources.table import SOURCES, KeyLayout, Source

__all__ = [
    "ARCHS",
    "SMALL_STEM",
    "SOURCES",
    "Backbone",
    "Branch",
    "Features",
    "KeyLayout",
    "Source",
    "groups",
    "listed",
    "load",
    "skeleton",
]

OWN = "bench"
"""Files of this project; with `RANDOM`, the sources that need no recognising."""
RANDOM = "random"


def load(checkpoint: str, *, source: str | None = None, branch: str | None = None, trust: bool = False) -> Backbone:
    """Read `--ckpt`.

    Args:
        checkpoint: A file; `torchvision:ARCH/WEIGHTS`; `random:ARCH` or `random:ARCH:SEED` for an untrained backbone.
        source: Whose file it is, a name of `SOURCES`; None: the table decides.
        branch: `online` or `momentum`; None: what the project's own conversion takes.
        trust: Let a pickle run what is in it.

    Raises:
        CheckpointError: If the file is missing, unreadable, of no known source, or holds no whole backbone.
    """
    named = checkpoint.partition(":")[0]
    if named in (RANDOM, "torchvision") and (source or branch == "momentum"):
        raise CheckpointError(
            f"{checkpoint} is one backbone, and no file of anyone's",
            seen=f"--source {source}" if source else "--branch momentum",
            fix="leave that away",
        )
    if checkpoint.startswith(f"{RANDOM}:"):
        return _random(checkpoint)
    if checkpoint.startswith("torchvision:"):
        path, provenance = published.torchvision_weights(checkpoint)
        return _from_file(path, None, branch, trust, provenance)
    path = Path(checkpoint)
    return _from_file(path, source, branch, trust, None)


def _from_file(path: Path, source: str | None, branch: str | None, trust: bool, provenance: Provenance | None) -> Backbone:
    payload = files.read(path, trust=trust)
    said = payload.content.get("format")
    own = isinstance(said, str) and said == BACKBONE_FORMAT
    found = _own(payload, source, branch) if own else recognise(payload, path, source=source, branch=branch)
    published.require_strides(path, found.source)
    arch = arch_of(found.state, path, source=found.source, beside=found.dropped, small_stem=own)
    state = {key: _clean(key, tensor, path) for key, tensor in found.state.items()}
    missing = tuple(key for key in skeleton(arch) if key not in state)
    state |= {key: torch.zeros((), dtype=torch.int64) for key in missing}
    state = {key: state[key] for key in skeleton(arch)}
    if provenance is None:
        provenance = _provenance(found, payload, arch, path)
    # a branch against the project's own choice is another backbone of the same file, and must not pass for the same run
    sha256 = _digest(path) if found.own_choice else digest(state)
    projector = _projector(_level(payload, "projector"), path) if own else {}
    return Backbone(arch, state, provenance, sha256, found.source, found.branch, found.why, found.dropped, projector, missing)


def _own(payload: Payload, source: str | None, branch: str | None) -> Found:
    if source or branch == "momentum":
        seen = f"--source {source}" if source else "--branch momentum"
        raise CheckpointError(
            "the file says it is a backbone of this project, of one encoder", seen=seen, fix="leave that away"
        )
    tensors = _level(payload, "state_dict")
    return Found(OWN, "online", tensors, (), f"it says so: format {BACKBONE_FORMAT}")


def _level(payload: Payload, name: str) -> dict[str, Tensor]:
    inside = payload.content.get(name)
    return files.tensors(inside) if isinstance(inside, Mapping) else {}


def _projector(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of one linear layer, or of several in order, as `pretrain.checkpoint.save_backbone` names them.

    Raises:
        CheckpointError: If they are others, or don't fit each other.
    """
    layers = sorted({name.rpartition(".")[0] for name in tensors}, key=lambda layer: (len(layer), layer))
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    sides: list[tuple[int, ...]] = [shapes.get(f"{layer}.weight".lstrip("."), ()) for layer in layers]
    expected = {f"{layer}.{kind}".lstrip(".") for layer in layers for kind in ("weight", "bias")}
    chain = all(len(side) == 2 and (layer.isdecimal() or not layer) for side, layer in zip(sides, layers, strict=True))
    fits = chain and expected == set(tensors) and all(a[0] == b[1] for a, b in itertools.pairwise(sides))
    if not fits or any(shapes[f"{layer}.bias".lstrip(".")] != side[:1] for layer, side in zip(layers, sides, strict=True)):
        raise CheckpointError(
            f"the projector in {path} is no row of linear layers",
            seen=", ".join(f"{name} {list(shape)}" for name, shape in list(shapes.items())[:4]),
            allowed="weight and bias; or 0.weight, 0.bias, 2.weight, 2.bias, each as wide as the one before is high",
            fix="take the backbone.pth that `bench pretrain` wrote",
        )
    return {name: _clean(name, tensor, path) for name, tensor in tensors.items()}


def _clean(key: str, tensor: Tensor, path: Path) -> Tensor:
    """A backbone tensor as float32, counters as int64, on the CPU.

    Raises:
        CheckpointError: If it is of a type that holds no weights, or not finite.
    """
    tensor = tensor.detach().to("cpu")
    if key.endswith(COUNTER):
        return tensor.to(torch.int64)
    if not tensor.is_floating_point():
        raise CheckpointError(
            f"the weights in {path} are not numbers with a point",
            seen=f"{key} is {str(tensor.dtype).removeprefix('torch.')}",
            allowed="float32; float16, bfloat16 and float64 are converted",
            fix="export the model before it was quantised",
        )
    tensor = tensor.to(torch.float32).contiguous()
    if not all(bool(edge.isfinite()) for edge in tensor.aminmax()):  # of any NaN, both; several times as fast as to ask each
        raise CheckpointError(
            f"the weights in {path} are broken",
            seen=f"{key} holds {int((~tensor.isfinite()).sum())} values that are not finite",
            allowed="finite numbers",
            fix="the training diverged, or a value is beyond float32; take an earlier checkpoint",
        )
    return tensor


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
    return Backbone(arch, state, provenance, digest(state), RANDOM, why=f"untrained, seed {seed}")


def _provenance(found: Found, payload: Payload, arch: str, path: Path) -> Provenance:
    said = payload.content.get("provenance")
    if found.source == OWN and isinstance(said, Mapping):
        return Provenance.read(said, where=f"the provenance in {path}")
    converted = published.beside(path)
    if converted is not None:
        return converted
    method = SOURCES[found.source].method if found.source in SOURCES else "unknown"
    kinds: dict[str, Supervision] = {"supervised": "full", "unknown": "unknown"}
    return Provenance(method=method, supervision=kinds.get(method, "self"), arch=arch, data=f"unknown ({path.name})")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
