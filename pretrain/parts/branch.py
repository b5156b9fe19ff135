"""An encoder: a backbone and the head on it, with the precision and the batch statistics of a run.

Shapes: N images, S side of a view, F features of the trunk, D outputs of the head.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Branch(nn.Module):
    """Encodes images (N, 3, S, S) as float32 outputs (N, D); the networks inside may run under bf16 autocast."""

    def __init__(self, trunk: nn.Module, head: nn.Module, *, splits: int = 1, bf16: bool = False) -> None:
        """Join a trunk and a head.

        Args:
            trunk: Images → (N, F).
            head: (N, F) → (N, D).
            splits: Parts in which a batch passes through, each with its own batch statistics.
            bf16: Whether the networks run under bf16 autocast.
        """
        super().__init__()
        self.trunk, self.head = trunk, head
        self.splits, self.bf16 = splits, bf16

    def forward(self, images: Tensor) -> Tensor:
        """Encode images; trunk and head take their batch statistics over the same images."""
        return self._in_parts(images, lambda part: self.head(self.trunk(part)))

    def features(self, images: Tensor) -> Tensor:
        """Return the trunk's features (N, F) alone, for methods whose head sees other images together than the trunk."""
        return self._in_parts(images, self.trunk)

    def project(self, features: Tensor) -> Tensor:
        """Return the head's outputs (N, D) of features (N, F)."""
        return self._in_parts(features, self.head)

    def _in_parts(self, inputs: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        parts = inputs.chunk(self.splits) if self.splits > 1 else (inputs,)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            outputs = [network(part) for part in parts]
        return (torch.cat(outputs) if len(outputs) > 1 else outputs[0]).float()
