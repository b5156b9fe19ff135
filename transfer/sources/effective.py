"""Weights that a file keeps in parts: pruned, of weight norm or of spectral norm. What the network computes with is computed.

torch keeps such a weight as tensors beside each other, and makes the weight of them at each forward pass. An example: after
`torch.nn.utils.prune.l1_unstructured(conv1, "weight", 0.3)` the state dict has `conv1.weight_orig` and `conv1.weight_mask`,
and no `conv1.weight`, which is their product.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_NUMBERS = 2**28
"""Numbers that are computed of one file: 1 GiB, both of a pair of the largest backbones. A small file can claim far more."""
PARAMETRIZATIONS = "parametrizations."
"""What torch puts before the last word of a name: `conv1.parametrizations.weight.original0`."""


@dataclass(frozen=True)
class Parts:
    """One way to keep a tensor in parts: what stands behind its name in each, and what they make."""

    ends: tuple[str, ...]
    """What stands behind a common stem in the name of each part."""
    makes: Callable[..., Tensor | None]
    """The parts → the tensor as the network in eval mode has it; None where their shapes don't fit each other."""
    words: str
    """What that is, for people."""

    def whole(self, stem: str) -> str:
        """Return the name of what the parts make, of what stands before their ends; empty where it is no such name."""
        if not self.ends[0].startswith("."):
            return stem
        before, marked, last = stem.rpartition(PARAMETRIZATIONS)
        return before + last if marked else ""


def pruned(original: Tensor, mask: Tensor) -> Tensor | None:
    """Return a pruned weight, as `torch.nn.utils.prune` computes it: original and mask of one shape."""
    return original * mask.to(original.dtype) if original.shape == mask.shape else None


def normed(length: Tensor, direction: Tensor) -> Tensor | None:
    """Return a weight of weight norm (arXiv:1602.07868, equation 2): lengths × directions of length 1.

    Args:
        length: Of as many dimensions as the direction, 1 in those over which the norm is taken; or one number for all.
        direction: The weight before.
    """
    pairs = list(zip(length.shape, direction.shape, strict=False))
    if length.dim() not in (0, direction.dim()) or any(own not in (1, whole) for own, whole in pairs):
        return None
    over = [at for at, (own, _) in enumerate(pairs) if own == 1] or list(range(direction.dim()))
    norms = torch.linalg.vector_norm(direction, dim=over if len(pairs) else None, keepdim=bool(pairs))
    return length * direction / norms


def spectral(original: Tensor, left: Tensor, right: Tensor) -> Tensor | None:
    """Return a weight of spectral norm (arXiv:1802.05957) as in eval mode: divided by the singular value that the two kept
    vectors give, left (O) and right (I), of the weight as a matrix (O, I)."""
    matrix = original.flatten(1) if original.dim() > 1 else original[None]
    if left.shape != matrix.shape[:1] or right.shape != matrix.shape[1:]:
        return None
    return original / torch.dot(left, torch.mv(matrix, right))


IN_PARTS: tuple[Parts, ...] = (
    Parts(("_orig", "_u", "_v"), spectral, "of spectral norm"),
    Parts(("_orig", "_mask"), pruned, "pruned, weight_orig × weight_mask"),
    Parts(("_g", "_v"), normed, "of weight norm"),
    Parts((".original", ".0._u", ".0._v"), spectral, "of spectral norm"),
    Parts((".original0", ".original1"), normed, "of weight norm"),
)
"""The first whose parts are all there, and fit, is taken. Those with a dot lie in `parametrizations`."""


class Room:
    """How many numbers may still be computed of a file, all its mappings together."""

    def __init__(self) -> None:
        self._left = MOST_NUMBERS

    def take(self, parts: Sequence[Tensor]) -> bool:
        """Take the room of what these parts make; tells whether it was there."""
        self._left -= max(part.numel() for part in parts)
        return self._left > 0


def effective(tensors: Mapping[str, Tensor], room: Room) -> dict[str, tuple[Tensor, tuple[str, ...], str]]:
    """Find the tensors that a mapping keeps in parts: the whole name → the tensor, the names of its parts, what it is.

    Args:
        tensors: The mapping.
        room: What its file may still take; weights that find none stay in parts.
    """
    found: dict[str, tuple[Tensor, tuple[str, ...], str]] = {}
    for way in IN_PARTS:
        for stem in [key.removesuffix(way.ends[0]) for key in tensors if key.endswith(way.ends[0])]:
            name, names = way.whole(stem), tuple(f"{stem}{end}" for end in way.ends)
            if name and name not in tensors and name not in found and all(each in tensors for each in names):
                parts = [tensors[each] for each in names]
                made = _made(way, parts) if room.take(parts) else None
                found |= {} if made is None else {name: (made, names, way.words)}
    return found


def _made(way: Parts, parts: list[Tensor]) -> Tensor | None:
    first = parts[0]
    if not all(each.is_floating_point() or each.dtype == torch.bool for each in parts) or not first.is_floating_point():
        return None
    wide = [each if each.dtype == torch.bool else each.to(torch.float32) for each in parts]
    return way.makes(*wide)
