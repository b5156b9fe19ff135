"""Norms of a backbone's weights: an audit that recognises LARS-trained ones, and NormRescale, the remedy.

LARS, with the tiny weight decay it is used with, leaves weights of about ten times the norm of those that SGD trains.
Fine-tuned with SGD's recipe they hardly move: BYOL on VOC07+12 gives 48.7 AP as it is, 56.7 rescaled to an SGD-trained BYOL,
56.8 with the constant 0.1 (supplement of arXiv 2208.00275, section 2.4 and table 4).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from torch import Tensor

from pretrain import backbones
from pretrain.backbones import Architecture
from pretrain.core.errors import CheckpointError, ConfigError
from transfer.sources.backbone import COUNTER

LARGE = 1.5
"""Median norm, in units of a fresh network's, above which a ResNet's weights are called large. A fresh network has 1, by
construction; the weight decay of SGD's recipes takes trained ones below it; ten times that is well above 1.5. Who trained them
it doesn't tell. AdamW stayed far below it in short trainings: `tests/benchmarks/weight_norms.py` prints 1.00 to 1.05 of 28
ResNet-18, 1 to 6 epochs each; long ones weren't measured."""

Scope = Literal["params", "all"]
STATISTICS = ("running_mean", "running_var")


def norm_ratio(state: Mapping[str, Tensor], arch: str) -> float:
    """Return how many times as large as freshly drawn the typical weight is: the median of ‖W‖ / E‖W‖ at initialisation.

    What E‖W‖ is, and of which tensors, the architecture says (`Architecture.fresh_norm`); of a ResNet's convolution it is
    √(2 C_in). The median, because the first convolution and a few narrow ones grow under any optimiser.

    Args:
        state: Canonical names → tensors.
        arch: A name of `pretrain.backbones.BACKBONES`.
    """
    return median(_ratios(state, backbones.get(arch)))


def _ratios(state: Mapping[str, Tensor], architecture: Architecture) -> Iterator[float]:
    for name, weight in state.items():
        fresh = architecture.fresh_norm(name, tuple(weight.shape))
        if fresh is not None:
            yield float(weight.norm()) / fresh


def warning(state: Mapping[str, Tensor], arch: str) -> str | None:
    """Return what to say of weights that are 0, and of large ones; None for others, and where a large norm says nothing."""
    ratio = norm_ratio(state, arch)
    if not ratio:
        return "empty weights: most of its layers hold zeros only, so that its features say nothing of an image"
    if not backbones.get(arch).scale_free or ratio <= LARGE:
        return None
    return (
        f"large weights: a typical convolution has {ratio:.1f} times the norm of a fresh one; SGD leaves 1 or less, LARS ten "
        "times what SGD does; who trained these the norm doesn't say. LARS-scaled ones fine-tune to points of AP less (48.7 "
        "against 56.7 on VOC07+12, arXiv 2208.00275), and `bench convert --norm-rescale 0.1` mends it"
    )


@dataclass(frozen=True)
class Rescaled:
    """Weights after NormRescale."""

    state: dict[str, Tensor]
    scaled: int
    """Tensors rescaled."""
    kept: tuple[str, ...]
    """Names of tensors within the scope that stayed as they are, because a norm of theirs is 0."""


def rescale(state: Mapping[str, Tensor], anchor: Mapping[str, Tensor] | float, *, scope: Scope = "params") -> Rescaled:
    """NormRescale: w ← w · ‖a‖ / ‖w‖ for each tensor w and the anchor's a, or w ← c · w for a constant c.

    Source: megvii-research/revisitAIRL @7afeb02, norm_rescale.py, whose demo takes every tensor with a point (`all`).
    NOTE: the default is `params`, weights and biases alone: running statistics belong to activations, not to weights, and are
    estimated anew wherever norms train. With `params` the features in eval mode change until then.
    NOTE: a tensor stays where its own norm is 0 (nothing to scale) or the anchor's is (it would be erased); the demo divides.

    Args:
        state: Canonical names → tensors.
        anchor: SGD-trained weights of the same architecture, or the constant.
        scope: `params`, or `all` for running statistics too. Counters always stay.

    Raises:
        CheckpointError: If the anchor is of another architecture.
        ConfigError: If the constant is not a positive number, or there is no such scope.
    """
    if scope not in ("params", "all"):
        raise ConfigError.unknown("scope", scope, ["params", "all"])
    if isinstance(anchor, float) and not (math.isfinite(anchor) and anchor > 0):
        raise ConfigError("not a factor for norms", seen=anchor, allowed="a number above 0, such as 0.1")
    if not isinstance(anchor, float):
        _require_alike(state, anchor)
    result, kept = dict(state), []
    scaled = 0
    for name, tensor in state.items():
        word = name.rpartition(".")[2]
        if word == COUNTER or (scope == "params" and word in STATISTICS):
            continue
        factor = anchor if isinstance(anchor, float) else _factor(tensor, anchor[name])
        if factor is None:
            kept.append(name)
            continue
        result[name] = tensor * factor
        scaled += 1
    return Rescaled(result, scaled, tuple(kept))


def _factor(tensor: Tensor, anchor: Tensor) -> float | None:
    own, wanted = float(tensor.double().norm()), float(anchor.double().norm())
    return wanted / own if own > 0 and wanted > 0 else None


def _require_alike(state: Mapping[str, Tensor], anchor: Mapping[str, Tensor]) -> None:
    wrong = sorted(key for key in state.keys() | anchor.keys() if _shape(state, key) != _shape(anchor, key))
    if wrong:
        raise CheckpointError(
            "the anchor is of another architecture",
            seen=f"{len(wrong)} tensors differ in shape, the first are {wrong[:3]}",
            allowed="an SGD-trained backbone of the same architecture, or a number",
            fix="--norm-rescale 0.1 needs no anchor and does nearly as well",
        )


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, ...] | None:
    return tuple(state[key].shape) if key in state else None
