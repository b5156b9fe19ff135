"""Files of this project, which say what they are: `pretrain.checkpoint.save_backbone` wrote them."""

import itertools
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from pretrain.checkpoint import BACKBONE_FORMAT, former_layout
from pretrain.core.errors import CheckpointError
from transfer.sources import files
from transfer.sources.files import Payload
from transfer.sources.found import Found
from transfer.sources.weights import cleaned

OWN = "bench"
"""What a record calls their source."""


def is_own(payload: Payload, path: Path) -> bool:
    """Return whether the file says that it is a backbone of this project.

    Raises:
        CheckpointError: If a former version wrote it.
    """
    said = payload.content.get("format")
    if isinstance(said, str) and said.startswith(BACKBONE_FORMAT.partition("/")[0] + "/") and said != BACKBONE_FORMAT:
        raise former_layout(path, said, BACKBONE_FORMAT)
    return said == BACKBONE_FORMAT


def found(payload: Payload, *, source: str | None = None, branch: str | None = None, prefix: str | None = None) -> Found:
    """Take the backbone from a file of this project, unchecked.

    Raises:
        CheckpointError: If the user says that it is another's file or where it lies, or asks for its momentum encoder.
    """
    if source or branch == "momentum" or prefix is not None:
        seen = f"--source {source}" if source else "--branch momentum" if prefix is None else f"--prefix {prefix}"
        raise CheckpointError(
            "the file says it is a backbone of this project, of one encoder", seen=seen, fix="leave that away"
        )
    return Found(OWN, "online", _level(payload, "state_dict"), (), f"it says so: format {BACKBONE_FORMAT}")


def arch(payload: Payload) -> str | None:
    """Return the architecture that the file says it is of; None where it doesn't say."""
    said = payload.content.get("arch")
    return said if isinstance(said, str) else None


def projector(payload: Payload, path: Path) -> dict[str, Tensor]:
    """Return the tensors of one linear layer, or of several in order; nothing where the file has none.

    Raises:
        CheckpointError: If they are others, or don't fit each other.
    """
    tensors = _level(payload, "projector")
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
    return {name: cleaned(name, tensor, path) for name, tensor in tensors.items()}


def _level(payload: Payload, name: str) -> dict[str, Tensor]:
    inside = payload.content.get(name)
    return files.tensors(inside) if isinstance(inside, Mapping) else {}
