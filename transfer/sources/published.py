"""Finding where a backbone came from, when its own file doesn't say: what lies beside it, and what the user tells."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretrain.core.errors import CheckpointError
from pretrain.provenance import Provenance
from transfer.convert import FORMAT
from transfer.sources.recipe import Said, statement


def beside(path: Path) -> Mapping[str, Any]:
    """Read what `bench convert` wrote beside a file, if it is still that file; empty where there is nothing."""
    try:
        plain = json.loads(about(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(plain, dict) or plain.get("format") != FORMAT or not isinstance(plain.get("provenance"), dict):
        return {}
    with path.open("rb") as file:
        same = hashlib.file_digest(file, "sha256").hexdigest() == plain.get("sha256")
    return plain if same else {}


def about(path: Path) -> Path:
    """Name the file that `bench convert` writes beside another."""
    return path.with_name(path.name + ".json")


def recipe_said(plain: Mapping[str, Any], where: str) -> Said:
    """Read the recipe of such a file, without what was assumed when it was written."""
    recipe, assumed = plain.get("recipe"), plain.get("assumed")
    known = recipe if isinstance(recipe, dict) else {}
    left = assumed if isinstance(assumed, list) else []
    fields = {name: value for name, value in known.items() if name not in left}
    arch = plain.get("arch")
    return statement(where, fields, largest=1.0, architecture=arch if isinstance(arch, str) else None)


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
