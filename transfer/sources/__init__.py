"""Any checkpoint → one canonical backbone: its library's names, without a classifier.

`SOURCES` is the table of key patterns; the first line that fits decides. Adding a source is one declaration there.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pretrain import backbones
from pretrain.backbones import BACKBONES, shapes_of
from pretrain.core.errors import CheckpointError
from pretrain.provenance import Provenance
from transfer.sources import files, own, published
from transfer.sources.architecture import arch_of
from transfer.sources.backbone import Backbone, Branch, digest, groups, listed
from transfer.sources.codebases import SOURCES, KeyLayout, Source
from transfer.sources.files import Payload
from transfer.sources.found import Found
from transfer.sources.own import OWN
from transfer.sources.recognise import recognise
from transfer.sources.weights import cleaned

__all__ = ["SOURCES", "Backbone", "Branch", "KeyLayout", "Source", "groups", "listed", "load"]

RANDOM = "random"
"""Untrained backbones; with `OWN`, the sources that need no recognising."""
CLASSES = 1000
"""Outputs of the classifier that is drawn with a random backbone, as torchvision and timm draw it."""


def load(
    checkpoint: str,
    *,
    source: str | None = None,
    branch: str | None = None,
    prefix: str | None = None,
    told: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> Backbone:
    """Read what `--ckpt` names.

    Args:
        checkpoint: A file, or a folder with one; `torchvision:ARCH/WEIGHTS`; `random:ARCH` or `random:ARCH:SEED` for an
            untrained backbone.
        source: Whose file it is, a name of `SOURCES`; None: the table decides.
        branch: `online` or `momentum`; None: what the project's own conversion takes.
        prefix: What stands before the backbone's names in the file; None: the table decides, or a search.
        told: Fields of its provenance that the file can't tell.
        trust: Let a pickle run what is in it.

    Raises:
        CheckpointError: If the file is missing or unreadable, holds no whole backbone or several, or contradicts what is told.
    """
    _require_local(checkpoint)
    options = {"--source": source, "--branch": branch if branch == "momentum" else None, "--prefix": prefix}
    said = [f"{name} {value}" for name, value in options.items() if value is not None]
    if checkpoint.partition(":")[0] in (RANDOM, "torchvision") and said:
        raise CheckpointError(
            f"{checkpoint} is one backbone, and no file of anyone's", seen=" ".join(said), fix="leave that away"
        )
    if checkpoint.startswith(f"{RANDOM}:"):
        backbone, sure = _random(checkpoint), True
    elif checkpoint.startswith("torchvision:"):
        path, provenance = published.torchvision_weights(checkpoint)
        backbone, sure = _from_file(path, trust, {"branch": branch}, provenance)
    else:
        how = {"source": source, "branch": branch, "prefix": prefix}
        backbone, sure = _from_file(Path(checkpoint), trust, how, None)
    return replace(backbone, provenance=published.completed(backbone.provenance, told, sure=sure)) if told else backbone


def _require_local(checkpoint: str) -> None:
    """Refuse an address: nothing is fetched but torchvision's weights, by their names.

    Raises:
        CheckpointError: With the name that torchvision's weights have here, or what to do.
    """
    scheme, separator, rest = checkpoint.partition("://")
    if separator and re.fullmatch(r"[A-Za-z][\w+.-]*", scheme):
        raise CheckpointError(
            "--ckpt takes no address",
            seen=checkpoint,
            allowed="a file; torchvision:resnet50/IMAGENET1K_V1",
            fix=f"--ckpt torchvision:{rest}/IMAGENET1K_V1"
            if scheme == "torchvision"
            else "download the file and pass its path with --ckpt",
        )


def _from_file(path: Path, trust: bool, how: Mapping[str, str | None], provenance: Provenance | None) -> tuple[Backbone, bool]:
    """Read a file, and return its backbone and whether its provenance is said and not guessed."""
    payload = files.read(path, trust=trust)
    path = payload.files[0]
    ours = own.is_own(payload, path)
    found = own.found(payload, **how) if ours else recognise(payload, path, **how)
    published.require_strides(path, found.source)
    arch = arch_of(
        found.state, path, source=found.source, beside=found.dropped, own=ours, said=own.arch(payload) if ours else None
    )
    state, missing = _completed(found, arch, path)
    said = provenance or _said(found, payload, path)
    # a branch against the project's own choice is another backbone of the same file, and must not pass for the same run
    sha256 = _digest(path) if found.own_choice and len(payload.files) == 1 and path.is_file() else digest(state)
    projector = own.projector(payload, path) if ours else None
    shards = f"joined of {len(payload.files)} shards" if len(payload.files) > 1 else ""
    why = found.why if ours else "; ".join(filter(None, (found.why, shards, backbones.get(arch).assumed)))
    guessed = Provenance(method=found.method, supervision=found.supervision, arch=arch, data=f"unknown ({path.name})")
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
    )
    return backbone, said is not None


def _completed(found: Found, arch: str, path: Path) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Clean a file's tensors, add the counters it lacks, and put all in the library's order; with the names added."""
    given = {key: cleaned(key, tensor, path) for key, tensor in found.state.items()}
    architecture = backbones.get(arch)
    order = architecture.skeleton(size=architecture.size_of(shapes_of(given)))  # whatever the stem, the names are the same
    missing = tuple(key for key in order if key not in given)
    given |= {key: torch.zeros((), dtype=torch.int64) for key in missing}
    return {key: given[key] for key in order}, missing


def _random(text: str) -> Backbone:
    """Draw `random:ARCH` or `random:ARCH:SEED`, the weights that the library's own model has after that seed."""
    _, arch, *rest = text.split(":")
    if arch not in BACKBONES:
        raise CheckpointError.unknown("architecture", arch, BACKBONES)
    if len(rest) > 1 or (rest and not rest[0].isdigit()):
        raise CheckpointError("not a random backbone", seen=text, allowed="random:ARCH or random:ARCH:SEED")
    seed = int(rest[0]) if rest else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk, _ = backbones.get(arch).build(CLASSES)
    state = trunk.state_dict()
    provenance = Provenance(
        method="random", aug="none", supervision="none", label_fraction=0.0, arch=arch, data="none", epochs=0, seed=seed
    )
    return Backbone(arch, state, provenance, digest(state), RANDOM, why=f"untrained, seed {seed}")


def _said(found: Found, payload: Payload, path: Path) -> Provenance | None:
    """Return the provenance that the file says itself, or that `bench convert` wrote beside it."""
    said = payload.content.get("provenance")
    if found.source == OWN and isinstance(said, Mapping):
        return Provenance.read(said, where=f"the provenance in {path}")
    return published.beside(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
