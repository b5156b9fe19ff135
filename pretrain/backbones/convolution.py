"""Convolutions with small results as one matrix product: what makes bf16 fast on a CPU where images are small.

Deep layers have many weights and few pixels, for which the CPU's convolution kernels were not made: in bf16, forward and
backward through 512 channels of 2 × 2 pixels took a fifth of the time as a product of the patches and the weights, and on
4 × 4 pixels a third (one thread, `tests/benchmarks/convolution_speed.py`). Results differ by rounding.

Shapes: N images; I and O channels, H × W and h × w pixels of input and result; K × K the kernel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST = 16
"""Pixels of a result, h · w, up to which the product is taken: on 8 × 8 it took 0.94 and 1.36 of the kernel's time."""


class Convolution(nn.Conv2d):
    """A convolution without bias, groups and dilation, on channels-last memory."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve images (N, I, H, W) to (N, O, h, w)."""
        size, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        height, width = ((side + 2 * padding - size) // stride + 1 for side in images.shape[2:])
        if height * width > LARGEST:
            return super().forward(images)
        padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
        rows = [slice(first, first + height * stride, stride) for first in range(size)]
        columns = [slice(first, first + width * stride, stride) for first in range(size)]
        patches = torch.cat([padded[:, row, column] for row in rows for column in columns], dim=3)  # (N, h, w, K·K·I)
        return F.linear(patches, self.weight.permute(0, 2, 3, 1).flatten(1)).permute(0, 3, 1, 2)


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
