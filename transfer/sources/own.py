"""Files of this project, which say what they are: `pretrain.checkpoint.save_backbone` wrote them."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from pretrain.checkpoint import BACKBONE_FORMAT, former_layout
from pretrain.core.errors import CheckpointError
from pretrain.parts import heads
from transfer.sources import files
from transfer.sources.files import Payload
from transfer.sources.found import Found
from transfer.sources.recipe import Said, statement
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


def recipe_said(payload: Payload) -> Said:
    """Return what the file says of its input."""
    said = payload.content.get("preprocess")
    return statement("its preprocess", said if isinstance(said, Mapping) else {}, largest=1.0)


def projector(payload: Payload, path: Path) -> nn.Module | None:
    """Return the head of its pre-training, in eval mode; None where the file has none.

    Raises:
        CheckpointError: If its tensors are not those of the layers that the file names.
    """
    said = payload.content.get("projector")
    if said is None:
        return None
    try:
        layers, tensors = (said["layers"], files.tensors(said["tensors"])) if isinstance(said, Mapping) else ([], {})
        return heads.head_of(layers, {name: cleaned(name, tensor, path) for name, tensor in tensors.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"the projector in {path} is no row of layers",
            seen=f"{type(error).__name__}: {error}",
            allowed="the kinds of its layers, and the tensors of each",
            fix="take another file, or one without the entry `projector`",
        ) from None


def _level(payload: Payload, name: str) -> dict[str, Tensor]:
    inside = payload.content.get(name)
    return files.tensors(inside) if isinstance(inside, Mapping) else {}
