"""Proving that an engine's model is the backbone it was given: every tensor, the features of a probe batch, what it sees.

Engines load what they can and warn about the rest; a wrong prefix, stride, norm or order of channels costs points of AP in
silence.
"""

import math
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pretrain.backbones import resnet
from pretrain.backbones.resnet import Dilation
from pretrain.core.errors import CheckpointError, ProofError
from pretrain.diverged import not_finite
from pretrain.images.normalise import IMAGENET, Input
from transfer.sources import Backbone, groups

PROBE_SHAPE = (2, 3, 96, 160)
"""Not square and not a power of two: a swapped axis or a stride of the wrong place shows. At stride 16 ten cells wide, so that
taps eight cells apart see more than padding."""
FEATURE_TOLERANCE = 0.0
"""Largest absolute difference of features: on the CPU the same operations on the same weights are equal to the last bit."""
PICTURE_SIDE = 64
"""Pixels of the picture that engines are shown."""
INPUT_TOLERANCE = 1e-5
"""Largest difference of normalised pixels, in parts of the largest where that is above 1: who normalises pixels of 0 to 255
rounds in another place than who divides first."""
SAME_PICTURE = 0.9
"""Correlation of pixels above which two pictures are the same but for a scale and an offset."""
NAMED_KEYS = 3
"""Keys, or groups of them, that a message names."""

Features = Callable[[Tensor], list[Tensor]]
"""Normalised images (N, 3, H, W) → the feature maps of the backbone's architecture, early to late, each (N, C, h, w)."""


def reference(
    backbone: Backbone, *, strides: Sequence[int] = resnet.STRIDES, dilations: Sequence[Dilation] = resnet.UNDILATED
) -> nn.Module:
    """Build the network that the backbone's recipe declares, with a task's strides and dilations, in eval mode.

    Args:
        backbone: In canonical form.
        strides: See `pretrain.backbones.resnet.set_strides`.
        dilations: See there.

    Raises:
        ConfigError: If the backbone is no ResNet.
    """
    variant = backbone.recipe.variant
    model = resnet.named(backbone.arch).network(backbone.state, variant)
    resnet.set_strides(model, strides, dilations, variant=variant)
    return model


def prove(
    backbone: Backbone,
    loaded: Mapping[str, Tensor],
    features: Features,
    expected: nn.Module,
    *,
    new: Collection[str] = (),
) -> dict[str, float]:
    """Check an engine's model against the backbone.

    Args:
        backbone: What should have been loaded.
        loaded: The engine's backbone tensors after loading, under canonical names.
        features: The engine's own forward pass, in eval mode, up to the last feature map.
        expected: `backbone.network()`, or `reference(...)` with the task's strides and dilations.
        new: Names of the engine's other tensors, its heads, which no backbone has.

    Returns:
        `tensors` compared, and `max_feature_difference`.

    Raises:
        ProofError: With the grouped list of what is fatal, what is new as expected, and what was dropped from the checkpoint.
        CheckpointError: If the backbone's own features are not finite.
    """
    others = {"expected-new": new, "dropped": backbone.dropped}
    wrong = _wrong_tensors(backbone, loaded)
    if wrong:
        raise ProofError(
            "the engine did not load the backbone it was given",
            seen=_report("; ".join(wrong), others),
            allowed="every tensor of the backbone equal",
            fix="this is a fault of the conversion or of the engine's model: report it with the checkpoint's source",
        )
    images = torch.randn(PROBE_SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = backbone.architecture.maps(expected, images)
        _require_finite(backbone, wanted)
        differences = [_difference(a, b) for a, b in zip(features(images), wanted, strict=True)]
    if max(differences) > FEATURE_TOLERANCE:
        names = backbone.architecture.map_names
        by_layer = ", ".join(f"{name} {value:.3g}" for name, value in zip(names, differences, strict=True))
        raise ProofError(
            "the engine's model computes other features than the backbone",
            seen=_report(f"largest absolute differences: {by_layer}", others),
            allowed=f"at most {FEATURE_TOLERANCE:g}",
            fix="check the stride's place, dilations, stem, norms and their eps of the engine's model",
        )
    return {"tensors": float(len(backbone.state)), "max_feature_difference": max(differences)}


def prove_input(prepared: Callable[[Path], Tensor], wanted: Input = IMAGENET) -> None:
    """Check that an engine shows its model what the backbone's recipe declares.

    Args:
        prepared: A picture file → (3, H, W), read and normalised by the engine, at its own size.
        wanted: The order of the channels, mean and deviation.

    Raises:
        ProofError: If it differs; says so where the channels are in the order BGR.
    """
    side = PICTURE_SIDE
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        Image.fromarray(pixels).save(path)
        seen = prepared(path).cpu()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (wanted.mean, wanted.std))
    orders = {"RGB": pixels, "BGR": pixels[..., ::-1]}
    shown = {name: (torch.from_numpy(each.copy()).permute(2, 0, 1) / 255 - mean) / std for name, each in orders.items()}
    difference = _difference(seen, shown[wanted.order])
    if difference <= INPUT_TOLERANCE * max(1.0, float(shown[wanted.order].abs().max())):
        return
    near = [name for name, image in shown.items() if _alike(seen, image)]
    raise ProofError(
        "the engine's model sees other pixels than the backbone was trained on",
        seen=f"fatal: the order {' or '.join(near) or 'is unknown'}; largest difference {difference:.3g}",
        allowed=f"{wanted.order}, mean {wanted.mean}, deviation {wanted.std}, to {INPUT_TOLERANCE:g}",
        fix="check the order of the channels, mean and deviation of the engine's configuration",
    )


def _wrong_tensors(backbone: Backbone, loaded: Mapping[str, Tensor]) -> list[str]:
    """Say each kind of what is wrong: how many tensors, and the first few."""
    shared = backbone.state.keys() & loaded.keys()
    kinds = {
        "not loaded": backbone.state.keys() - loaded.keys(),
        "not in the checkpoint": loaded.keys() - backbone.state.keys(),
        "different": {key for key in shared if not torch.equal(loaded[key].cpu(), backbone.state[key])},
    }
    return [f"{len(keys)} {kind}: {_few(sorted(keys))}" for kind, keys in kinds.items() if keys]


def _report(fatal: str, others: Mapping[str, Collection[str]]) -> str:
    """List what is fatal, then the keys that are no part of a backbone, counted by what they belong to."""
    lines = [f"fatal: {fatal}"]
    for kind, keys in others.items():
        named = [f"{name} ({count})" for name, count in groups(tuple(keys)).items()]
        lines.append(f"{kind}: {len(keys)}" + (f", {_few(named)}" if named else ""))
    return "\n           ".join(lines)


def _few(names: list[str]) -> str:
    return ", ".join(names[:NAMED_KEYS]) + (", …" if len(names) > NAMED_KEYS else "")


def _require_finite(backbone: Backbone, maps: list[Tensor]) -> None:
    """Refuse a backbone whose weights, each a number, make features that are none: nothing could be compared with them."""
    names = backbone.architecture.map_names
    broken = not_finite(dict(zip(names, maps, strict=True)))
    if broken:
        raise CheckpointError(
            f"the features of this {backbone.arch} are not finite: its weights make numbers beyond float32",
            seen=f"{broken[0]} is the first such map, of a picture of noise",
            allowed="a trained backbone, or one that was drawn at random",
            fix="take another checkpoint: the training diverged, or weights were averaged or rescaled wrongly",
        )


def _alike(a: Tensor, b: Tensor) -> bool:
    """Tell whether two pictures are the same but for a scale and an offset; noise in another order of channels is not."""
    return a.shape == b.shape and bool(torch.corrcoef(torch.stack([a, b]).flatten(1))[0, 1] > SAME_PICTURE)


def _difference(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float((a.cpu() - b.cpu()).abs().nan_to_num(nan=math.inf).max())  # of what is no number, nothing is small
