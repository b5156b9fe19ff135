"""Any checkpoint → one canonical backbone: its library's names, without a classifier.

`SOURCES` is the table of key patterns; the first line that fits decides. Adding a source is one declaration there.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pretrain import backbones
from pretrain.backbones import shapes_of
from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from pretrain.provenance import Provenance
from transfer.sources import addresses, files, own, published, reading
from transfer.sources.addresses.located import Located
from transfer.sources.architecture import arch_of
from transfer.sources.backbone import Backbone, Branch, Origin, digest, groups, listed
from transfer.sources.codebases import SOURCES, KeyLayout, Source
from transfer.sources.files import Payload
from transfer.sources.found import Found
from transfer.sources.own import OWN
from transfer.sources.recognise import recognise
from transfer.sources.weights import cleaned

__all__ = ["SOURCES", "Backbone", "Branch", "KeyLayout", "Origin", "Source", "groups", "listed", "load"]


def load(
    checkpoint: str,
    *,
    source: str | None = None,
    branch: str | None = None,
    prefix: str | None = None,
    told: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    trust: bool = False,
    journal: Journal | None = None,
) -> Backbone:
    """Read what `--ckpt` names.

    Args:
        checkpoint: A file, or a folder with one; or an address, see `transfer.sources.addresses.SCHEMES`.
        source: Whose file it is, a name of `SOURCES`; None: the table decides.
        branch: `online` or `momentum`; None: what the project's own conversion takes.
        prefix: What stands before the backbone's names in the file; None: the table decides, or a search.
        told: Fields of its provenance that the file can't tell.
        recipe: Fields of its recipe (`transfer.sources.recipe.FIELDS`) that the user says; None: not said.
        trust: Let a pickle run what is in it.
        journal: Is told what is fetched; None: nobody.

    Raises:
        CheckpointError: If the file is missing or unreadable, holds no whole backbone or several, or contradicts what is told.
    """
    scheme = addresses.scheme_of(checkpoint)
    options = {"--source": source, "--branch": branch if branch == "momentum" else None, "--prefix": prefix}
    said = [f"{name} {value}" for name, value in options.items() if value is not None]
    if scheme is not None and scheme.fixed and said:
        raise CheckpointError(
            f"{checkpoint} is one backbone, and no file of anyone's", seen=" ".join(said), fix="leave that away"
        )
    by_hand = {name: value for name, value in (recipe or {}).items() if value is not None}
    found = addresses.find(checkpoint, journal or Journal())
    if isinstance(found, Backbone):
        backbone, sure = reading.told_of(found, by_hand) if by_hand else found, True
    else:
        how = {"source": source, "branch": branch, "prefix": prefix}
        backbone, sure = _from_file(found, trust, how, by_hand)
    return replace(backbone, provenance=published.completed(backbone.provenance, told, sure=sure)) if told else backbone


def _from_file(
    located: Located, trust: bool, how: Mapping[str, str | None], recipe: Mapping[str, Any]
) -> tuple[Backbone, bool]:
    """Read a file, and return its backbone and whether its provenance is said and not guessed."""
    payload = files.read(located.path, trust=trust)
    path, origin = payload.files[0], located.origin
    ours = own.is_own(payload, path)
    found = own.found(payload, **how) if ours else recognise(payload, path, **how)
    arch = arch_of(
        found.state, path, source=found.source, beside=found.dropped, own=ours, said=own.arch(payload) if ours else None
    )
    state, missing = _completed(found, arch, path)
    said = located.provenance or _said(found, payload, path)
    # a branch against the project's own choice is another backbone of the same file, and must not pass for the same run
    sha256 = _digest(path) if found.own_choice and len(payload.files) == 1 and path.is_file() else digest(state)
    projector = own.projector(payload, path) if ours else None
    shards = f"joined of {len(payload.files)} shards" if len(payload.files) > 1 else ""
    why = "; ".join(filter(None, (found.why, shards)))
    named = origin.address if origin else path.name
    guessed = Provenance(method=found.method, supervision=found.supervision, arch=arch, data=f"unknown ({named})")
    backbone = Backbone(
        arch,
        state,
        said or guessed,
        sha256,
        found.source,
        found.branch,
        why,
        found.dropped,
        projector,
        missing,
        payload.strangers,
        origin,
        remarks=found.remarks,
    )
    backbone = reading.read_as(backbone, payload, path, recipe, sure=located.provenance is not None, source=how.get("source"))
    if ours:
        return backbone, said is not None
    why = "; ".join(filter(None, (backbone.why, backbone.architecture.assumed)))
    provenance = said or backbone.provenance.replace({"arch": backbone.arch})
    return replace(backbone, why=why, provenance=provenance), said is not None


def _completed(found: Found, arch: str, path: Path) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Clean a file's tensors, add the counters it lacks, and put all in the library's order; with the names added."""
    given = {key: cleaned(key, tensor, path) for key, tensor in found.state.items()}
    architecture = backbones.get(arch)
    order = architecture.skeleton(size=architecture.size_of(shapes_of(given)))  # whatever the stem, the names are the same
    missing = tuple(key for key in order if key not in given)
    given |= {key: torch.zeros((), dtype=torch.int64) for key in missing}
    return {key: given[key] for key in order}, missing


def _said(found: Found, payload: Payload, path: Path) -> Provenance | None:
    """Return the provenance that the file says itself, or that `bench convert` wrote beside it."""
    said = payload.content.get("provenance")
    if found.source == OWN and isinstance(said, Mapping):
        return Provenance.read(said, where=f"the provenance in {path}")
    about = published.beside(path)
    return Provenance.read(about["provenance"], where=f"the provenance in {published.about(path)}") if about else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
