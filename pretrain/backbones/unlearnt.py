"""Weights that small views never reach: taps of kernels that meet padding in every place stay as they were drawn.

A ResNet halves its maps five times, so that views of 32 pixels leave its last stage one cell, and of a 3 × 3 kernel there the
middle alone sees something. A classifier at that size reads nothing else; a detector's last stage, which sees regions, does.
"""

from functools import cache
from typing import Any

import torch
from torch import nn

from pretrain.backbones import IMAGENET, get

LEAST = 0.01
"""Share of the weights from which it is said."""
LARGEST = 64
"""Pixels from which every trunk's last map, at stride 32, has two cells a side, so that nothing need be computed."""


@cache
def unlearnt(arch: str, stem: str, size: int) -> float:
    """Return the share of a trunk's weights that views of `size` × `size` pixels never reach; no number is drawn."""
    missed: list[int] = []

    def count(module: nn.Conv2d, inputs: tuple[Any, ...], output: Any) -> None:
        reached = 1
        for side in (0, 1):
            reached *= _reached(module, side, inputs[0].shape[2 + side], output.shape[2 + side])
        taps = module.kernel_size[0] * module.kernel_size[1]
        missed.append(module.weight.numel() // taps * (taps - reached))

    with torch.device("meta"):
        trunk, _ = get(arch).build(1, stem=stem, size=size)
    trunk.to_empty(device="cpu").eval()  # whatever is in its tensors, maps have the same sides
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        trunk(torch.zeros(1, 3, size, size))
    return sum(missed) / sum(weight.numel() for weight in trunk.parameters())


def _reached(module: nn.Conv2d, side: int, cells: int, outputs: int) -> int:
    """Count the taps of one side of a kernel that lie on a cell in some place."""
    padding = module.padding[side]
    assert isinstance(padding, int), "backbones pad by numbers"
    first = [tap * module.dilation[side] - padding for tap in range(module.kernel_size[side])]
    return sum(any(0 <= at + place * module.stride[side] < cells for place in range(outputs)) for at in first)


def remark(arch: str, size: int, stem: str = IMAGENET) -> str:
    """Say which share of an architecture's weights views of that size never reach, and which size does; empty where none."""
    share = unlearnt(arch, stem, size) if size < LARGEST else 0.0
    if share < LEAST:
        return ""
    step = get(arch).multiple
    enough = next((side for side in range(size + step, LARGEST + 1, step) if unlearnt(arch, stem, side) < LEAST), LARGEST)
    return (
        f"views of {size} pixels leave {share:.0%} of {arch}'s weights as they were drawn: where maps have one cell, kernels "
        "learn their middle alone. Detectors and segmenters, which see more cells, read the rest, too; "
        f"{enough} pixels reach all of them"
    )
