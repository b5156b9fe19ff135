"""Multi-crop (SwAV, arXiv:2006.09882, section 3.4): small crops beside the whole views, which predict and aren't predicted."""

from typing import TYPE_CHECKING

from pydantic import Field

from pretrain.batch import View
from pretrain.core.ranges import FractionRange
from pretrain.methods import Method

if TYPE_CHECKING:
    from pretrain.augment.pipelines import Pipeline


class MultiCrop(Method):
    """Base of the methods that take small crops. Only the trained encoder sees them, each size in a pass of its own."""

    local_views: int = Field(0, ge=0)
    """Small crops of each image, beside the whole views."""
    local_size: int = Field(96, ge=16)
    """Side of a small crop, in pixels."""
    local_scale: FractionRange = (0.05, 0.14)
    """Fraction of the image's area that a small crop keeps, drawn uniformly."""

    def small_crops(self, pipeline: "Pipeline", size: int) -> tuple[View, ...]:
        """Declare the small crops; they have a pipeline's operations, and a size and a scale of their own.

        Args:
            pipeline: The operations.
            size: Side of the whole views, in pixels.

        Raises:
            ValueError: If a small crop is not smaller than a whole view.
        """
        if self.local_views and self.local_size >= size:
            raise ValueError(f"small crops (local_size {self.local_size}) must be smaller than the views (size {size})")
        local = pipeline.replace({"crop_scale": self.local_scale})
        return tuple(View(f"crop {index + 1}", local, self.local_size, "online") for index in range(self.local_views))
