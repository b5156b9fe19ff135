"""Forward and backward of convolutions in bf16, by torch's kernels and as matrix products, by turns; prints JSON.

    python tests/benchmarks/convolution_speed.py [--repeat 15]

The layers are those of ResNet-18 on 64 pixels and of ResNet-50 on 128, by the side of their results. `ratio` is the median over
the turns of the product's time by the kernel's: `pretrain.backbones.convolution.LARGEST` lies where it passes 1.
"""

import argparse
import copy
import json
import statistics
import time

import torch
from torch import Tensor, nn

from pretrain.backbones import convolution

LAYERS = [  # images, channels of the input and of the result, kernel, stride, side of the result
    (64, 512, 512, 3, 1, 1),
    (64, 512, 512, 3, 1, 2),
    (64, 256, 512, 3, 2, 2),
    (64, 256, 512, 1, 2, 2),
    (64, 256, 256, 3, 1, 4),
    (64, 128, 128, 3, 1, 4),
    (32, 512, 512, 3, 1, 4),
    (32, 512, 2048, 1, 1, 4),
    (32, 2048, 512, 1, 1, 4),
    (32, 256, 256, 3, 1, 8),
    (64, 128, 128, 3, 1, 8),
    (64, 64, 64, 3, 1, 16),
]
WARMUP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    convolution.LARGEST = 2**30  # every layer is tried as a product
    print(json.dumps([compare(layer, options.repeat) for layer in LAYERS], indent=1))


def compare(layer: tuple[int, ...], repeat: int) -> dict[str, object]:
    """Medians of both, in milliseconds."""
    n, inside, outside, kernel, stride, side = layer
    plain = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
    plain = plain.bfloat16().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    product = copy.deepcopy(plain)
    convolution.as_products(product)
    images = torch.randn(n, inside, side * stride, side * stride, dtype=torch.bfloat16)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    upstream = torch.randn_like(plain(images))
    turns = [(timed(plain, images, upstream), timed(product, images, upstream)) for _ in range(WARMUP + repeat)][WARMUP:]
    kernel_ms, product_ms = (round(statistics.median(side), 3) for side in zip(*turns, strict=True))
    ratio = statistics.median(mine / theirs for theirs, mine in turns)
    return {"layer": layer, "pixels": side * side, "kernel_ms": kernel_ms, "product_ms": product_ms, "ratio": round(ratio, 3)}


def timed(layer: nn.Module, images: Tensor, upstream: Tensor) -> float:
    """Milliseconds of forward and backward."""
    began = time.perf_counter()
    torch.autograd.grad(layer(images), (images, next(layer.parameters())), upstream)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
