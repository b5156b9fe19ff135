"""A backbone in canonical form: torchvision's ResNet names, without a classifier."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import torch
import torchvision
from torch import Tensor

from pretrain.provenance import Provenance

ARCHS = ("resnet18", "resnet34", "resnet50", "resnet101")
SMALL_STEM = (64, 3, 3, 3)
"""Shape of the first convolution that `pretrain.backbones.resnet.small_stem` builds."""
COUNTER = "num_batches_tracked"
"""The one backbone tensor a file may lack: norms count batches for a momentum that no ResNet here uses."""

WRAPPERS = ("module", "_orig_mod")
"""Modules that only hold another: DistributedDataParallel, torch.compile."""

Branch = Literal["online", "momentum"]
Features = Callable[[Tensor], list[Tensor]]
"""Images (N, 3, H, W), normalised → the outputs of layer1 to layer4, each (N, C, h, w)."""


@dataclass(frozen=True)
class Backbone:
    """A backbone in canonical form."""

    arch: str
    state: dict[str, Tensor]
    """torchvision's names, `fc` removed, float32 (counters int64), on the CPU."""
    provenance: Provenance
    sha256: str
    """Of the file; of the tensors where the file alone does not decide them: a random backbone, or a branch asked for
    that is not the source's own choice."""
    source: str
    """The line of `SOURCES` that recognised it."""
    branch: Branch = "online"
    """Which of a pair of encoders this is."""
    why: str = ""
    """What the source was recognised by, in words."""
    dropped: tuple[str, ...] = ()
    """Keys of the file that are no part of the backbone (heads, queues, the other encoder, optimiser states)."""
    projector: Mapping[str, Tensor] = field(default_factory=dict)
    """The head of its pre-training, where the file is ours and has one: `pretrain.checkpoint.save_backbone`."""
    filled: tuple[str, ...] = ()
    """Backbone tensors the file lacks, all of them counters, set to 0."""

    @property
    def small_stem(self) -> bool:
        """Whether it has the stem for small images, which only frozen features can use."""
        return tuple(self.state["conv1.weight"].shape) == SMALL_STEM

    def account(self) -> dict[str, float]:
        """How many tensors the file holds, and how many of them are the backbone or dropped: the first is the sum."""
        used = len(self.state) - len(self.filled)
        counts = {"source_tensors": used + len(self.dropped), "source_used": used, "source_dropped": len(self.dropped)}
        return {name: float(count) for name, count in (counts | {"counters_filled": len(self.filled)}).items()}

    def summary(self) -> list[str]:
        """What was recognised and what became of every key, a line each."""
        lines = [f"checkpoint: {self.source}, {self.arch}; {self.why}"]
        if self.dropped:
            used = len(self.state) - len(self.filled)
            lines.append(f"of its {used + len(self.dropped)} tensors {used} are the backbone; dropped: {listed(self.dropped)}")
        if self.filled:
            lines.append(f"{len(self.filled)} counters ({COUNTER}) are not in the file and were set to 0")
        return lines


def groups(keys: tuple[str, ...]) -> dict[str, int]:
    """Keys counted by what they belong to: `encoder_k`, a whole encoder; `encoder_q.fc`, a part of one; `optimizer`."""
    whole = {_words(key)[0] for key in keys if ".layer" in key}
    counts: dict[str, int] = {}
    for key in keys:
        words = _words(key)
        name = words[0] if words[0] in whole else ".".join(words[:2])
        counts[name] = counts.get(name, 0) + 1
    return counts


def _words(key: str) -> list[str]:
    """The names of the modules a key runs through, without wrappers and indices; the entry of the file for one elsewhere."""
    entry, slash, _ = key.partition("/")
    parts = [entry] if slash else [part for part in key.split(".") if part not in WRAPPERS and not part.isdigit()]
    return parts[:-1] or parts or [key]


def listed(keys: tuple[str, ...]) -> str:
    """`encoder_k (122), queue (1)`: every key of the tuple named by its group."""
    return ", ".join(f"{name} ({count})" for name, count in groups(keys).items())


@cache
def skeleton(arch: str) -> Mapping[str, Tensor]:
    """Shapes and types of every backbone tensor of an architecture, on the meta device."""
    with torch.device("meta"):
        model = getattr(torchvision.models, arch)()
    return {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors, whatever their order."""
    hashed = hashlib.sha256()
    for key in sorted(state):
        hashed.update(key.encode() + state[key].numpy().tobytes())
    return hashed.hexdigest()


TRUNK = re.compile(r"(conv1|bn1|layer[1-4]\.\d+\.(conv[123]|bn[123]|downsample\.[01]))\.\w+")
"""What a backbone tensor's canonical name looks like."""
