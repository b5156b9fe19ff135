"""Forward and backward of convolutions, by torch's kernels and by `pretrain.backbones.convolution`, by turns; prints JSON.

    python tests/benchmarks/convolution_speed.py [--precision bf16 fp32] [--images 64] [--repeat 15]

The layers are those of ResNet-18 on 32 and 64 pixels and of ResNet-50 on 128. `product` takes every layer as a product,
`direct` none (in fp32, or on a CPU with bf16 instructions, the kernel itself). `of_kernel` is the median over the turns of the
time by the kernel's: the largest results that are products lie where `product` passes `direct`.
"""

import argparse
import copy
import json
import statistics
import time

import torch
from torch import nn

from pretrain.backbones import convolution

LAYERS = [  # channels of the input and of the result, kernel, stride, side of the result
    (512, 512, 3, 1, 1),
    (256, 512, 3, 2, 1),
    (512, 512, 3, 1, 2),
    (256, 512, 3, 2, 2),
    (256, 512, 1, 2, 2),
    (256, 256, 3, 1, 2),
    (128, 256, 3, 2, 2),
    (256, 256, 3, 1, 4),
    (128, 128, 3, 1, 4),
    (512, 512, 3, 1, 4),
    (512, 2048, 1, 1, 4),
    (2048, 512, 1, 1, 4),
    (256, 256, 3, 1, 8),
    (128, 128, 3, 1, 8),
    (64, 64, 3, 1, 8),
    (64, 64, 3, 1, 16),
    (3, 64, 7, 2, 16),
]
WARMUP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", nargs="+", choices=["bf16", "fp32"], default=["bf16", "fp32"])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    for precision in options.precision:
        for layer in LAYERS:
            found = compare(layer, options.images, options.repeat, precision == "bf16")
            print(json.dumps({"precision": precision, "native": convolution.NATIVE, "layer": layer, **found}), flush=True)


def compare(layer: tuple[int, ...], images: int, repeat: int, bf16: bool) -> dict[str, object]:
    """Median milliseconds of the kernel, and of the others as a part of the kernel's."""
    inside, outside, size, stride, side = layer
    plain = nn.Conv2d(inside, outside, size, stride, size // 2, bias=False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ours = copy.deepcopy(plain)
    convolution.as_products(ours)
    inputs = torch.randn(images, inside, side * stride, side * stride, dtype=torch.bfloat16 if bf16 else torch.float32)
    inputs = inputs.contiguous(memory_format=torch.channels_last).requires_grad_()
    upstream = torch.randn(images, outside, side, side, dtype=inputs.dtype).contiguous(memory_format=torch.channels_last)

    def timed(network: nn.Module, largest: int) -> float:
        convolution.LARGEST = dict.fromkeys(convolution.LARGEST, largest)
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            results = network(inputs)
        torch.autograd.grad(results, (inputs, next(network.parameters())), upstream)  # as in training, not under autocast
        return time.perf_counter() - began

    turns = [(timed(plain, 0), timed(ours, 2**30), timed(ours, 0)) for _ in range(WARMUP + repeat)][WARMUP:]
    ratios = {name: [turn[place] / turn[0] for turn in turns] for place, name in ((1, "product"), (2, "direct"))}
    of_kernel = {name: round(statistics.median(each), 3) for name, each in ratios.items()}
    return {
        "pixels": side * side,
        "kernel_ms": round(1000 * statistics.median(turn[0] for turn in turns), 2),
        "of_kernel": of_kernel,
    }


if __name__ == "__main__":
    main()
