"""Convolutions on a CPU where images are small: as one matrix product, and bf16 where there are no instructions for it.

Deep layers have many weights and few pixels, for which the CPU's convolution kernels were not made. Forward and backward of
the product of the patches and the weights, without the part of a kernel that only ever reads the padding, took 0.17 of a
kernel's time on results of 512 channels and one pixel and 0.39 on 2 × 2 (128 images, fp32, AVX-512); in bf16, where there are
instructions for it, a fifth on 2 × 2 and a third on 4 × 4. Results differ by rounding.

Such instructions multiply in bf16 and sum in fp32. A CPU without them gets the same, but for the order of the sums, from fp32
products of operands rounded to bf16: in 0.24 to 0.6 of the time of torch's own emulation.
(One thread; `tests/benchmarks/convolution_speed.py`.)

Shapes: N images; I and O channels, H × W and h × w pixels of input and result; K × K the kernel, R × C the part of it that
reads any pixel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.core.devices import precision_of

NATIVE = precision_of("cpu") == "bf16"
"""Whether this CPU has instructions for bf16."""
LARGEST = {torch.bfloat16: 16, torch.float32: 4}
"""Pixels of a result, h · w, up to which the product is taken, by the operands' type."""


class Convolution(nn.Conv2d):
    """A convolution without bias, groups and dilation, on channels-last memory."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve images (N, I, H, W) to (N, O, h, w)."""
        bf16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
        if NATIVE or not bf16:
            return self._convolve(images, self.weight)  # autocast rounds the weights, once for all parts of a batch
        with torch.autocast("cpu", enabled=False):
            return self._convolve(images.bfloat16().float(), self.weight.bfloat16().float()).bfloat16()

    def _convolve(self, images: Tensor, weight: Tensor) -> Tensor:
        size, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        (height, top), (width, left) = (_reach(side, size, stride, padding) for side in images.shape[2:])
        if height * width > LARGEST.get(images.dtype, 0):
            return F.conv2d(images, weight, None, self.stride, self.padding)
        padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
        rows = [slice(first, first + height * stride, stride) for first in top]
        columns = [slice(first, first + width * stride, stride) for first in left]
        patches = torch.cat([padded[:, row, column] for row in rows for column in columns], dim=3)  # (N, h, w, R·C·I)
        kernel = weight[:, :, top.start : top.stop, left.start : left.stop].permute(0, 2, 3, 1).flatten(1)  # (O, R·C·I)
        return F.linear(patches, kernel).permute(0, 3, 1, 2)


def _reach(side: int, size: int, stride: int, padding: int) -> tuple[int, range]:
    """Count the results along a side, and say which of the kernel's places along it read a pixel at any of them."""
    results = (side + 2 * padding - size) // stride + 1
    starts = [stride * result - padding for result in range(results)]
    reading = [place for place in range(size) if any(0 <= start + place < side for start in starts)]
    return results, range(reading[0], reading[-1] + 1)


def as_products(network: nn.Module) -> None:
    """Let a network's plain convolutions take the product where the result is small.

    Convolutions with a bias, groups, dilation or sides that differ stay as they are, such as a ViT's projection of patches.
    Only the class of the modules changes: their tensors, hooks and names stay, so that a state dict fits both.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and _is_plain(module):
            module.__class__ = Convolution


def _is_plain(convolution: nn.Conv2d) -> bool:
    square = all(len(set(sides)) == 1 for sides in (convolution.kernel_size, convolution.stride, convolution.padding))
    numbers = not isinstance(convolution.padding, str) and convolution.padding_mode == "zeros"
    return numbers and square and (convolution.bias, convolution.groups, convolution.dilation) == (None, 1, (1, 1))
