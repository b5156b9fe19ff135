"""A backbone in canonical form: its library's own names, without a classifier."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from pretrain import backbones
from pretrain.backbones import Architecture, shapes_of
from pretrain.provenance import Provenance
from transfer.record import identity_of
from transfer.sources.recipe import OPTIONS, USUAL, Recipe, described

COUNTER = "num_batches_tracked"
"""The one backbone tensor a file may lack: norms count batches for a momentum that no backbone here uses."""
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
"""Modules that only hold another: DistributedDataParallel, torch.compile, FSDP, activation checkpointing, Fabric."""
ENCODER_MARKS = (".layer", ".blocks.")
"""What only names of encoders contain, of whichever family; `encoder_k.layer1.0.conv1.weight` tells `encoder_k` for one."""
SURE = ("bench", "random")
"""Sources whose backbones say themselves which architecture they are."""
NAMED_STRANGERS = 4
"""Names of what was not run that a line lists."""

Branch = Literal["online", "momentum"]


@dataclass(frozen=True)
class Origin:
    """Where a file was fetched from."""

    address: str
    """As `--ckpt` named it, without a digest."""
    revision: str | None = None
    """The commit that it was resolved to, where the address has such."""
    how: str = ""
    """Why nobody was asked for it; empty: it was fetched, or found unchanged."""

    def __str__(self) -> str:
        """The address, its revision, and how it was found."""
        return f"{self.address}{f' at commit {self.revision}' if self.revision else ''}{f'; {self.how}' if self.how else ''}"


@dataclass(frozen=True)
class Backbone:
    """A backbone in canonical form."""

    arch: str
    """A name of `pretrain.backbones.BACKBONES`."""
    state: dict[str, Tensor]
    """The library's names without its classifier's, float32 (counters int64), on the CPU."""
    provenance: Provenance
    sha256: str
    """Digest of the file; of the tensors where the file alone does not decide them: a random backbone, or a branch asked for
    that is not the source's own choice."""
    source: str
    """The line of `SOURCES` that recognised it."""
    branch: Branch = "online"
    """Which of a pair of encoders this is."""
    why: str = ""
    """What the source was recognised by, in words."""
    dropped: tuple[str, ...] = ()
    """Keys of the file that are no part of the backbone (heads, queues, the other encoder, optimiser states)."""
    projector: nn.Module | None = None
    """The head of its pre-training, where the file is ours and has one: `pretrain.checkpoint.save_backbone`."""
    filled: tuple[str, ...] = ()
    """Backbone tensors the file lacks, all of them counters, set to 0."""
    strangers: tuple[str, ...] = ()
    """Classes and functions that its pickle names beside the weights, which were not run."""
    origin: Origin | None = None
    """Where its file was fetched from; None: it is the user's own, or untrained."""
    recipe: Recipe = USUAL
    """What its tensors don't show: what it sees, where it is strided, what its norms add."""
    assumed: tuple[str, ...] = ()
    """Fields of its recipe that nobody says."""
    beware: str = ""
    """What makes that doubtful, where something does."""
    remarks: tuple[str, ...] = ()
    """What was done to the file's tensors before they were the backbone's, for the record."""

    @property
    def architecture(self) -> Architecture:
        """The entry of the table of backbones."""
        return backbones.get(self.arch)

    @property
    def stem(self) -> str:
        """Which of its architecture's stems it has; that for small images serves frozen features only."""
        return self.architecture.stem_of(shapes_of(self.state))

    def network(self) -> nn.Module:
        """Build the trunk with these weights, in eval mode: normalised images (N, 3, S, S) → features (N, D)."""
        return self.architecture.network(self.state, self.recipe.variant)

    @property
    def identity(self) -> str:
        """Tell it from other backbones: its digest, with what is unusual in how it is read."""
        return identity_of(self.sha256, self.unusual)

    @property
    def unusual(self) -> dict[str, Any]:
        """What is unusual in how its file is read: of its recipe, and the architecture where tensors are taken for another's.

        Files that say their architecture themselves, and untrained networks, leave that to their digest.
        """
        alone = self.architecture.taken_for == self.arch or self.source in SURE
        return self.recipe.differences() | ({} if alone else {"arch": self.arch})

    def account(self) -> dict[str, float]:
        """Count the tensors of the file and what became of them: all of them are the backbone or dropped."""
        used = len(self.state) - len(self.filled)
        counts = {"source_tensors": used + len(self.dropped), "source_used": used, "source_dropped": len(self.dropped)}
        return {name: float(count) for name, count in (counts | {"counters_filled": len(self.filled)}).items()}

    def summary(self) -> list[str]:
        """Say what was recognised and what became of every key, a line each."""
        lines = [f"checkpoint: {self.source}, {self.arch}; {self.why}"]
        if self.origin is not None:
            lines.append(f"from {self.origin}; sha256 {self.sha256}")
        if self.dropped:
            used = len(self.state) - len(self.filled)
            lines.append(f"of its {used + len(self.dropped)} tensors {used} are the backbone; dropped: {listed(self.dropped)}")
        if self.filled:
            lines.append(f"{len(self.filled)} counters ({COUNTER}) are not in the file and were set to 0")
        lines += self._reading()
        if self.strangers:
            more = len(self.strangers) - NAMED_STRANGERS
            names = ", ".join(self.strangers[:NAMED_STRANGERS]) + (f" and {more} more" if more > 0 else "")
            lines.append(f"beside the weights, not run: {names}")
        return lines

    def _reading(self) -> list[str]:
        """Say how it is read: what is unusual, and what nobody says."""
        unusual = [name for name in self.recipe.differences() if name not in self.assumed]
        lines = [f"read as it is said: {described(self.recipe, unusual, self.architecture)}"] if unusual else []
        if self.assumed:
            options = ", ".join(OPTIONS[name] for name in self.assumed)
            doubt = f"; {self.beware}" if self.beware else ""
            lines.append(f"assumed: {described(self.recipe, self.assumed, self.architecture)} ({options} say it){doubt}")
        return lines


def without_wrappers(name: str) -> str:
    """Take the wrappers out of a tensor's name: `module.encoder._orig_mod.bn1.bias` → `encoder.bn1.bias`."""
    return ".".join(word for word in name.split(".") if word not in WRAPPERS)


def groups(keys: tuple[str, ...]) -> dict[str, int]:
    """Count keys by what they belong to: `encoder_k`, a whole encoder; `encoder_q.fc`, a part of one; `optimizer`."""
    whole = {_modules(key)[0] for key in keys if any(mark in key for mark in ENCODER_MARKS)}
    counts: dict[str, int] = {}
    for key in keys:
        words = _modules(key)
        name = words[0] if words[0] in whole else ".".join(words[:2])
        counts[name] = counts.get(name, 0) + 1
    return counts


def listed(keys: tuple[str, ...]) -> str:
    """Name every key by its group: `encoder_k (122), queue (1)`."""
    return ", ".join(f"{name} ({count})" for name, count in groups(keys).items())


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors, whatever their order."""
    hashed = hashlib.sha256()
    for key in sorted(state):
        hashed.update(key.encode() + state[key].numpy().tobytes())
    return hashed.hexdigest()


def _modules(key: str) -> list[str]:
    """Split a key into the modules it runs through, without wrappers and indices; one elsewhere in the file is its entry."""
    entry, slash, _ = key.partition("/")
    parts = [entry] if slash else [part for part in key.split(".") if part not in WRAPPERS and not part.isdigit()]
    return parts[:-1] or parts or [key]
