"""Which architecture of the table a file's tensors are of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pretrain import backbones
from pretrain.backbones import BACKBONES, IMAGENET, Architecture, Shapes, shapes_of
from pretrain.core.counts import counted
from pretrain.core.errors import CheckpointError
from transfer.sources.anatomy import differences
from transfer.sources.backbone import COUNTER, listed
from transfer.sources.refusals import MISFITS, reason_of


def arch_of(
    state: Mapping[str, Tensor],
    path: Path,
    *,
    source: str,
    beside: Iterable[str] = (),
    own: bool = False,
    said: str | None = None,
) -> str:
    """Return the architecture whose tensors these are, all of them (counters may be missing) and no other.

    Args:
        state: Canonical names → tensors.
        path: The file, for messages.
        source: The line of `SOURCES` that recognised it, for messages.
        beside: The file's other keys, for the reason of a refusal.
        own: Whether the file is this project's, of which every stem is known; of others' a stem of one 3 × 3 convolution
            doesn't say whether a pooling follows.
        said: The architecture that the file says it is of.

    Raises:
        CheckpointError: With what is missing, extra or of another shape, and the likeliest reason.
    """
    shapes = shapes_of(state)
    fit = nearest(shapes, own=own, said=said)
    if not fit.amiss:
        return fit.name
    raise misfit(fit, shapes, path, f"a file of {source}", tuple(beside))


def nearest(shapes: Shapes, *, own: bool = False, said: str | None = None) -> "Fit":
    """Return how tensors of these shapes fit the architecture that they fit best; the arguments are those of `arch_of`."""
    fits = [Fit.of(architecture, shapes, own=own) for architecture in _candidates(shapes, said)]
    return min(fits, key=lambda fit: len(fit.amiss))


@dataclass(frozen=True)
class Fit:
    """How well tensors fit one architecture."""

    name: str
    expected: Shapes
    amiss: list[str]
    """Names of tensors that are missing, extra or of another shape, sorted."""

    @classmethod
    def of(cls, architecture: Architecture, shapes: Shapes, *, own: bool) -> "Fit":
        stem = architecture.stem_of(shapes) if own else IMAGENET
        expected = shapes_of(architecture.skeleton(stem=stem, size=architecture.size_of(shapes)))
        amiss = [key for key in expected.keys() | shapes.keys() if expected.get(key) != shapes.get(key)]
        return cls(architecture.name, expected, sorted(key for key in amiss if key in shapes or not key.endswith(COUNTER)))


def _candidates(shapes: Shapes, said: str | None) -> list[Architecture]:
    """The architecture the file says; else those of the family that most of the names are of."""
    if said in BACKBONES:
        return [backbones.get(said)]
    every = backbones.every()
    family = max(every, key=lambda each: sum(each.names.fullmatch(name) is not None for name in shapes)).family
    return [each for each in every if each.family == family]


def misfit(fit: Fit, shapes: Shapes, path: Path, place: str, beside: tuple[str, ...]) -> CheckpointError:
    """Return the error for tensors that are no whole backbone: what is amiss, and the likeliest reason."""
    expected = fit.expected
    kinds = {
        "missing": [key for key in fit.amiss if key not in shapes],
        "extra": [key for key in fit.amiss if key not in expected],
        "of another shape": [
            f"{key} {list(shapes[key])} for {list(expected[key])}" for key in fit.amiss if key in shapes and key in expected
        ],
    }
    parts = differences(shapes, fit.name, expected, backbones.get(fit.name).family)
    amiss = "; ".join(f"{len(keys)} {kind}: {', '.join(keys[:3])}" for kind, keys in kinds.items() if keys)
    seen = f"{place}; nearest is {fit.name}, with {counted(len(fit.amiss), 'tensor')} amiss: {amiss}"
    reason = reason_of(MISFITS, {**dict.fromkeys(beside, ()), **shapes})
    why = reason or " and ".join(parts[:2])
    whole = f"part of a backbone transfers as noise{'; if it is cut,' if parts else ';'} get the whole checkpoint"
    return CheckpointError(
        f"{path} holds no whole backbone" + (f": {why}" if why else ""),
        seen="; ".join([seen, *(parts if reason else parts[2:])]) + (f"; dropped: {listed(beside)}" if beside else ""),
        allowed=", ".join(BACKBONES) + ", as torchvision and timm build them",
        fix="take a checkpoint of one of those" if reason or not kinds["missing"] else whole,
    )
