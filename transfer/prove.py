"""Proof that an engine's model is the backbone it was given: every tensor, the features of a probe batch, and what it sees.

Engines load what they can and warn about the rest; a wrong prefix, stride, norm or order of channels costs points of AP in
silence.
"""

import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from pretrain.backbones.resnet import small_stem
from pretrain.checkpoint import IMAGENET_MEAN, IMAGENET_STD
from pretrain.core.errors import ProofError
from transfer.sources import SMALL_STEM, Backbone, Features, groups

PROBE_SHAPE = (2, 3, 96, 160)
"""Not square and not a power of two: a swapped axis or a stride of the wrong place shows. At stride 16 ten cells wide, so that
taps eight cells apart see more than padding."""
LAYERS = ("layer1", "layer2", "layer3", "layer4")
PICTURE_SIDE = 64
"""Pixels of the picture that engines are shown."""
INPUT_TOLERANCE = 1e-5
"""Of normalised pixels: whoever normalises pixels of 0 to 255 rounds in another place than who divides them first."""
NAMED = 3
"""Keys, or groups of them, that a message names."""

Dilation = int | tuple[int, ...]
"""Of all blocks of a layer, or of each in turn."""


def reference(
    backbone: Backbone, *, strides: tuple[int, ...] = (1, 2, 2, 2), dilations: tuple[Dilation, ...] = (1, 1, 1, 1)
) -> nn.Module:
    """torchvision's ResNet with the backbone's weights and a task's strides and dilations, in eval mode.

    Args:
        backbone: In canonical form.
        strides: Of the first block of layer1 to layer4.
        dilations: Of the strided 3×3 convolution of every block of layer1 to layer4. In a basic block that is the
            first of the two, as in MMSegmentation; torchvision's own takes none.
    """
    model = network(backbone.arch, backbone.state)
    for layer, stride, dilation in zip(LAYERS, strides, dilations, strict=True):
        for index, block in enumerate(getattr(model, layer)):
            conv = block.conv2 if hasattr(block, "conv3") else block.conv1
            step = stride if index == 0 else 1
            apart = dilation if isinstance(dilation, int) else dilation[index]
            conv.stride, conv.dilation, conv.padding = (step, step), (apart, apart), (apart, apart)
            if block.downsample is not None:
                block.downsample[0].stride = (step, step)
    return model


def network(arch: str, state: Mapping[str, Tensor]) -> nn.Module:
    """torchvision's ResNet with these tensors, without a classifier, in eval mode: images → features (N, D)."""
    model: nn.Module = getattr(torchvision.models, arch)()
    if tuple(state["conv1.weight"].shape) == SMALL_STEM:
        small_stem(model)
    model.fc = nn.Identity()
    model.load_state_dict(state, strict=True)
    return model.eval()


def stage_features(model: nn.Module) -> Features:
    """The features of layer1 to layer4 of a torchvision ResNet."""

    def features(images: Tensor) -> list[Tensor]:
        x = images
        for name in ("conv1", "bn1", "relu", "maxpool"):
            x = getattr(model, name)(x)
        outputs = []
        for layer in LAYERS:
            x = getattr(model, layer)(x)
            outputs.append(x)
        return outputs

    return features


def prove(
    backbone: Backbone,
    loaded: Mapping[str, Tensor],
    features: Features,
    expected: nn.Module,
    *,
    new: Collection[str] = (),
    tolerance: float = 0.0,
) -> dict[str, float]:
    """Check an engine's model against the backbone.

    Args:
        backbone: What should have been loaded.
        loaded: The engine's backbone tensors after loading, under canonical names.
        features: The engine's own forward pass, in eval mode, up to layer4.
        expected: `reference(...)` with the task's strides and dilations.
        new: Names of the engine's other tensors, its heads, which no backbone has.
        tolerance: Largest absolute difference of features allowed.

    Returns:
        `tensors` compared, and `max_feature_difference`.

    Raises:
        ProofError: With the grouped list of what is fatal, what is new as expected, and what was dropped from the checkpoint.
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
    differences = _differences(features, expected)
    if max(differences) > tolerance:
        by_layer = ", ".join(f"{layer} {value:.3g}" for layer, value in zip(LAYERS, differences, strict=True))
        raise ProofError(
            "the engine's model computes other features than the backbone",
            seen=_report(f"largest absolute differences: {by_layer}", others),
            allowed=f"at most {tolerance:g}",
            fix="check the stride's place (3×3), dilations, stem and normalisation of the engine's model",
        )
    return {"tensors": float(len(backbone.state)), "max_feature_difference": max(differences)}


def prove_input(prepared: Callable[[Path], Tensor]) -> None:
    """Check that an engine shows its model what the backbone was trained to see: RGB, with ImageNet's mean and deviation.

    Args:
        prepared: A picture file → (3, H, W), read and normalised by the engine, at its own size.

    Raises:
        ProofError: If it differs; says so where the channels are in the order BGR.
    """
    side = PICTURE_SIDE
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        Image.fromarray(pixels).save(path)
        seen = prepared(path).cpu()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    rgb, bgr = ((torch.from_numpy(each.copy()).permute(2, 0, 1) / 255 - mean) / std for each in (pixels, pixels[..., ::-1]))
    if _difference(seen, rgb) <= INPUT_TOLERANCE:
        return
    near = [name for name, image in (("RGB", rgb), ("BGR", bgr)) if _alike(seen, image)]
    raise ProofError(
        "the engine's model sees other pixels than the backbone was trained on",
        seen=f"fatal: the order {' or '.join(near) or 'is unknown'}; largest difference {_difference(seen, rgb):.3g}",
        allowed=f"RGB, mean {IMAGENET_MEAN}, deviation {IMAGENET_STD}, to {INPUT_TOLERANCE:g}",
        fix="check the order of the channels, mean and deviation of the engine's configuration",
    )


def _wrong_tensors(backbone: Backbone, loaded: Mapping[str, Tensor]) -> list[str]:
    """Each kind of what is wrong, in words: how many, and the first few."""
    shared = backbone.state.keys() & loaded.keys()
    kinds = {
        "not loaded": backbone.state.keys() - loaded.keys(),
        "not in the checkpoint": loaded.keys() - backbone.state.keys(),
        "different": {key for key in shared if not torch.equal(loaded[key].cpu(), backbone.state[key])},
    }
    return [f"{len(keys)} {kind}: {_few(sorted(keys))}" for kind, keys in kinds.items() if keys]


def _report(fatal: str, others: Mapping[str, Collection[str]]) -> str:
    """The grouped list: what is fatal, then the keys that are no part of a backbone, counted by what they belong to."""
    lines = [f"fatal: {fatal}"]
    for kind, keys in others.items():
        named = [f"{name} ({count})" for name, count in groups(tuple(keys)).items()]
        lines.append(f"{kind}: {len(keys)}" + (f", {_few(named)}" if named else ""))
    return "\n           ".join(lines)


def _few(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _differences(features: Features, expected: nn.Module) -> list[float]:
    """Of each layer's features on the probe batch, the largest."""
    images = torch.randn(PROBE_SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return [_difference(a, b) for a, b in zip(features(images), stage_features(expected)(images), strict=True)]


def _alike(a: Tensor, b: Tensor) -> bool:
    """Whether they are nearly the same but for a scale and an offset; noise in another order of channels is not."""
    return a.shape == b.shape and bool(torch.corrcoef(torch.stack([a, b]).flatten(1))[0, 1] > 0.9)


def _difference(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float((a.cpu() - b.cpu()).abs().max())
