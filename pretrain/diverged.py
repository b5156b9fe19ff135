"""Whether a training has diverged without a loss that says so: tensors that are no numbers, features out of all proportion."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pretrain import backbones
from pretrain.config import PretrainConfig
from pretrain.core.errors import TrainingError
from pretrain.images.loading import Crops, Position
from pretrain.inputs import normalised

EXPLODED = 1e4
"""Root mean square of features above which weights have grown out of all proportion: 82 trained ResNet-18 of several methods
had 0.57 to 2.4, a run with a learning rate of 1000 had 3e14."""
LOOKED_AT = 8
"""Training images whose features are looked at."""
REMEDY = "lower base_lr (--set base_lr=...), or lengthen the warm-up (--set warmup_epochs=...)"


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors with values that are not finite."""
    return [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]


def require_finite(state: Mapping[str, Tensor], what: str, fix: str) -> None:
    """Refuse tensors with values that are not finite: a last update can leave them after the last loss was fine.

    Args:
        state: Name → tensor.
        what: What they are, for the message: `the weights`.
        fix: What to do.

    Raises:
        TrainingError: If there are such tensors; it names the first.
    """
    broken = not_finite(state)
    if broken:
        seen = f"inf or nan in {len(broken)} of {len(state)} tensors, the first is {broken[0]}"
        raise TrainingError(f"{what} are not finite after the last step", seen=seen, fix=fix)


def looked_at(config: PretrainConfig, state: dict[str, Tensor], drawn: Crops, few: Sequence[Position], device: str) -> str:
    """Pass a few training images through a trained backbone; returns what is to say of features out of all proportion.

    Args:
        config: The run.
        state: The backbone's tensors.
        drawn: The run's crops.
        few: Epoch and index of images that the run has read.
        device: Where they are passed through.

    Raises:
        TrainingError: If weights, statistics or features are not finite.
    """
    require_finite(state, "the backbone's weights", REMEDY)
    (crop, *_), *_ = drawn.__getitems__(few[:LOOKED_AT])
    network = backbones.get(config.arch).network(state)
    with torch.inference_mode():
        features = network(normalised(crop.to(device).float() / 255))
    require_finite({"features": features}, "the backbone's features", REMEDY)
    scale = float(features.double().square().mean().sqrt())
    if scale <= EXPLODED:
        return ""
    return f"the training diverged: the backbone's features have a root mean square of {scale:.2g}; {REMEDY}"
