"""The region proposal network on one or several maps (`modeling/proposal_generator/rpn.py`, `proposal_utils.py`)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

from transfer.engines.torchvision import boxes as box_ops
from transfer.tasks.detection import DetectionSettings

BACKGROUND_BELOW, OBJECT_FROM = 0.3, 0.7
"""Overlaps below which an anchor is background, and from which it is an object."""
OBJECT_SHARE = 0.5
NMS_OVERLAP = 0.7
INITIAL_STD = 0.01
UNIT: box_ops.Weights = (1.0, 1.0, 1.0, 1.0)

Size = tuple[int, int]
"""Height and width of an image in pixels, without padding."""


@dataclass(frozen=True)
class Target:
    """The objects in an image."""

    boxes: Tensor
    """Boxes (M, 4)."""
    labels: Tensor
    """Classes (M,)."""


class Anchored(NamedTuple):
    """The network's output for every anchor, per map; a map's anchors are ordered by rows, then by cells."""

    anchors: list[Tensor]
    """Anchors (A, 4)."""
    logits: list[Tensor]
    """Logits (N, A) of being an object."""
    offsets: list[Tensor]
    """Offsets (N, A, 4) from the anchor to the object."""


class RPN(nn.Module):
    """The network that finds regions: objectness and offsets of every anchor, the losses, and the proposals."""

    def __init__(
        self, channels: int, sizes: tuple[tuple[int, ...], ...], strides: tuple[int, ...], settings: DetectionSettings
    ) -> None:
        """Build with random weights.

        Args:
            channels: Of each map.
            sizes: Anchor sizes in pixels, per map.
            strides: Pixels per cell, per map.
            settings: For numbers of anchors and proposals.
        """
        super().__init__()
        self.settings = settings
        self.strides = strides
        for level, level_sizes in enumerate(sizes):
            self.register_buffer(f"cells{level}", box_ops.cell_anchors(level_sizes), persistent=False)
        anchors = len(sizes[0]) * len(box_ops.ASPECT_RATIOS)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.offsets = nn.Conv2d(channels, anchors * 4, 1)
        for layer in (self.conv, self.objectness, self.offsets):
            nn.init.normal_(layer.weight, std=INITIAL_STD)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, maps: list[Tensor]) -> Anchored:
        """Compute objectness and offsets of every map's anchors."""
        anchors, logits, offsets = [], [], []
        for level, (features, stride) in enumerate(zip(maps, self.strides, strict=True)):
            hidden = F.relu(self.conv(features))
            count, height, width = len(features), *features.shape[-2:]
            anchors.append(box_ops.grid_anchors(getattr(self, f"cells{level}"), height, width, stride))
            logits.append(self.objectness(hidden).permute(0, 2, 3, 1).flatten(1))
            moved = self.offsets(hidden).view(count, -1, 4, height, width).permute(0, 3, 4, 1, 2)
            offsets.append(moved.reshape(count, -1, 4))
        return Anchored(anchors, logits, offsets)

    @torch.no_grad()
    def proposals(self, seen: Anchored, sizes: list[Size]) -> list[Tensor]:
        """Return for each image the best boxes after non-maximum suppression, (R, 4), best first.

        NOTE: Detectron2 raises in training where a box is not finite; here it is dropped, and the loss tells.
        """
        before = self.settings.pre_nms_train if self.training else self.settings.pre_nms_test
        after = self.settings.post_nms_train if self.training else self.settings.post_nms_test
        found, scores, levels = [], [], []
        for level, (anchor, logit, offset) in enumerate(zip(*seen, strict=True)):
            top, index = logit.topk(min(before, logit.shape[1]), dim=1)
            chosen = offset.gather(1, index[..., None].expand(-1, -1, 4))
            decoded = [box_ops.decode(o[:, None], anchor[i], UNIT)[:, 0] for o, i in zip(chosen, index, strict=True)]
            found.append(torch.stack(decoded))
            scores.append(top)
            levels.append(torch.full((top.shape[1],), level, device=top.device))
        merged, score, level_of = torch.cat(found, dim=1), torch.cat(scores, dim=1), torch.cat(levels)
        return [_suppress(b, s, level_of, size, after) for b, s, size in zip(merged, score, sizes, strict=True)]

    def losses(self, seen: Anchored, targets: list[Target], generator: torch.Generator) -> dict[str, Tensor]:
        """Compute `rpn_cls` and `rpn_loc`: sums over the sampled anchors, divided by the number asked for."""
        every = torch.cat(seen.anchors)
        picked = [self._label(every, target, generator) for target in targets]
        labels = torch.stack([label for label, _ in picked])
        aims = torch.stack([box_ops.encode(every, matched, UNIT) for _, matched in picked])
        objects, valid = labels == 1, labels >= 0
        located = (torch.cat(seen.offsets, dim=1)[objects] - aims[objects]).abs().sum()
        classified = F.binary_cross_entropy_with_logits(
            torch.cat(seen.logits, dim=1)[valid], labels[valid].to(torch.float32), reduction="sum"
        )
        divisor = self.settings.rpn_batch * len(targets)
        return {"rpn_cls": classified / divisor, "rpn_loc": located / divisor}

    @torch.no_grad()
    def _label(self, anchors: Tensor, target: Target, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Sample anchors: labels (A,), −1 for those left out, and each anchor's object (A, 4)."""
        index, label = box_ops.match(box_ops.overlap(target.boxes, anchors), BACKGROUND_BELOW, OBJECT_FROM, rescue=True)
        positive, negative = box_ops.sample(label, self.settings.rpn_batch, OBJECT_SHARE, 0, generator)
        label = torch.full_like(label, -1)
        label[positive], label[negative] = 1, 0
        # Without objects nothing is encoded: any box with an area will do.
        return label, target.boxes[index] if len(target.boxes) else anchors


def _suppress(boxes: Tensor, scores: Tensor, levels: Tensor, size: Size, keep: int) -> Tensor:
    finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores)
    boxes, scores, levels = box_ops.clip(boxes[finite], size), scores[finite], levels[finite]
    whole = box_ops.has_area(boxes)
    boxes, scores, levels = boxes[whole], scores[whole], levels[whole]
    return boxes[batched_nms(boxes, scores, levels, NMS_OVERLAP)[:keep]]
