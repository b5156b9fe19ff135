"""Any checkpoint → one canonical backbone: its library's names, without a classifier.

`SOURCES` is the table of key patterns; the first line that fits decides. Adding a source is one declaration there.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from pretrain import backbones
from pretrain.backbones import BACKBONES, shapes_of
from pretrain.core.errors import CheckpointError
from pretrain.provenance import Provenance, Supervision
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


def load(checkpoint: str, *, source: str | None = None, branch: str | None = None, trust: bool = False) -> Backbone:
    """Read what `--ckpt` names.

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
    ours = own.is_own(payload, path)
    how = {"source": source, "branch": branch}
    found = own.found(payload, **how) if ours else recognise(payload, path, **how)
    published.require_strides(path, found.source)
    said = own.arch(payload) if ours else None
    arch = arch_of(found.state, path, source=found.source, beside=found.dropped, own=ours, said=said)
    state, missing = _completed(found, arch, path)
    if provenance is None:
        provenance = _provenance(found, payload, arch, path)
    # a branch against the project's own choice is another backbone of the same file, and must not pass for the same run
    sha256 = _digest(path) if found.own_choice else digest(state)
    projector = own.projector(payload, path) if ours else {}
    why = found.why if ours else "; ".join(filter(None, (found.why, backbones.get(arch).assumed)))
    return Backbone(arch, state, provenance, sha256, found.source, found.branch, why, found.dropped, projector, missing)


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
