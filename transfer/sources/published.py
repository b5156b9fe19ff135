"""Finding where a backbone came from, when its own file doesn't say: what lies beside it, and what the user tells."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretrain.core.errors import CheckpointError
from pretrain.provenance import Provenance
from transfer.convert import FORMAT


def beside(path: Path) -> Provenance | None:
    """Read the provenance that `bench convert` wrote beside a file, if it is still that file."""
    about = path.with_name(path.name + ".json")
    try:
        plain = json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(plain, dict) or plain.get("format") != FORMAT or not isinstance(plain.get("provenance"), dict):
        return None
    with path.open("rb") as file:
        same = hashlib.file_digest(file, "sha256").hexdigest() == plain.get("sha256")
    return Provenance.read(plain["provenance"], where=f"the provenance in {about}") if same else None


TOLD = ("method", "aug", "supervision", "label_fraction", "data", "epochs", "seed")
"""Fields of a provenance that a user may tell."""


def completed(provenance: Provenance, told: Mapping[str, Any], *, sure: bool) -> Provenance:
    """Add to a provenance what the user tells of a file.

    Args:
        provenance: What the file says, or what its layout lets guess.
        told: Field → value.
        sure: Whether the file says it: then the user may add to it and not contradict it.

    Raises:
        ConfigError: For a field that can't be told, or a value that it can't have.
        CheckpointError: For a value that the file contradicts.
    """
    for field in told:
        if field not in TOLD:
            raise CheckpointError.unknown("field of --provenance", field, TOLD)
    new = provenance.replace(told, where="--provenance")
    for field in told:
        said = getattr(provenance, field)
        known = said is not None and not str(said).startswith("unknown")
        if sure and known and said != getattr(new, field):
            raise CheckpointError(
                "the checkpoint says another provenance",
                seen=f"{field}: {said}; --provenance {field}={told[field]}",
                allowed="what it doesn't say",
                fix=f"leave {field} away from --provenance",
            )
    return new


def require_strides(path: Path, source: str) -> None:
    """Refuse a ResNet of transformers whose `config.json` beside it says that its strides lie elsewhere.

    Raises:
        CheckpointError: If it halves the image in another convolution, which no tensor shows.
    """
    beside = path.with_name("config.json")
    if source != "huggingface" or not beside.is_file():
        return
    try:
        config = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    if not isinstance(config, dict):
        return
    elsewhere = [name for name in ("downsample_in_bottleneck", "downsample_in_first_stage") if config.get(name)]
    if elsewhere:
        raise CheckpointError(
            f"{path} has its strides elsewhere",
            seen=f"{beside} says {', '.join(elsewhere)}",
            allowed="strides in the 3×3 convolutions of the last three stages, as in torchvision",
            fix="take another checkpoint: with other strides the same weights compute other features",
        )
