"""An encoder: a backbone and the head on it, with the precision and the batch statistics of a run.

Shapes: N images, S side of a view, F features of the trunk, D outputs of the head.
"""

import itertools
from collections.abc import Callable, Sequence

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

    def through(self, network: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """Pass (N, ...) through a further network as through this branch's own: its precision, its parts of a batch."""
        return self._in_parts(inputs, network)

    def features_by_size(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Return the trunk's features (N, F) of each view (N, 3, S, S).

        Neighbouring views of one size go through the trunk as one batch, and so share their batch statistics.
        """
        return self._by_size(views, self.trunk)

    def by_size(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs (N, D) of each view (N, 3, S, S); neighbouring views of one size are one batch, the head's too."""
        return self._by_size(views, lambda images: self.head(self.trunk(images)))

    def project_together(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the head's outputs (N, D) of the features (N, F) of each view; all views are one batch of the head's."""
        return self._together(features, self.head)

    def _by_size(self, views: Sequence[Tensor], network: Callable[[Tensor], Tensor]) -> list[Tensor]:
        alike = (list(group) for _, group in itertools.groupby(views, key=lambda view: view.shape[-1]))
        return [outputs for group in alike for outputs in self._together(group, network)]

    def _together(self, views: Sequence[Tensor], network: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """Pass several views as one batch; where a batch has parts, each part has the same images of every view."""
        parts = [torch.cat(part) for part in zip(*(view.chunk(self.splits) for view in views), strict=True)]
        with torch.autocast(parts[0].device.type, torch.bfloat16, enabled=self.bf16):
            outputs = [network(part).chunk(len(views)) for part in parts]
        return [torch.cat(view).float() for view in zip(*outputs, strict=True)]

    def _in_parts(self, inputs: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        parts = inputs.chunk(self.splits) if self.splits > 1 else (inputs,)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            outputs = [network(part) for part in parts]
        return (torch.cat(outputs) if len(outputs) > 1 else outputs[0]).float()
