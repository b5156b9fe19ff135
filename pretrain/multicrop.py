"""Multi-crop (SwAV, arXiv:2006.09882, section 3.4): small crops beside the whole views, which predict and aren't predicted."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pretrain.batch import View
from pretrain.core.ranges import FractionRange
from pretrain.methods import Method, Targets
from pretrain.recipe import Recipe

if TYPE_CHECKING:
    from pretrain.augment.pipelines import Pipeline

WHOLE = 2
"""Whole views of an image."""


class MultiCrop(Method):
    """Base of the methods that take small crops. Only the trained encoder sees them, all of them in a pass of their own."""

    local_views: int = Field(0, ge=0)
    """Small crops of each image, beside the whole views."""
    local_size: int = Field(96, ge=16)
    """Side of a small crop, in pixels."""
    local_scale: FractionRange = (0.05, 0.14)
    """Fraction of the image's area that a small crop keeps, drawn uniformly."""

    def views(self, recipe: Recipe, size: int) -> tuple[View, ...]:
        """Declare two whole views, and small crops with the second one's operations."""
        return super().views(recipe, size) + self.small_crops(recipe.pipelines()[1], size)

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


class Predicting(MultiCrop):
    """Base of the methods with a predictor, which small crops are known to hurt: they are taken only if asked for twice."""

    targets: ClassVar[Targets] = "momentum"
    predicts: ClassVar[bool] = True
    """Whether it has a predictor, which all views share."""

    local_views_anyway: bool = False
    """Take small crops although they are known to hurt."""

    def check(self, batch: int) -> None:
        """Refuse small crops, unless they are wanted all the same."""
        super().check(batch)
        if self.local_views and self.predicts and not self.local_views_anyway:
            raise ValueError(
                f"small crops (local_views {self.local_views}) are known to hurt methods with a predictor: BYOL's "
                "nearest-neighbour accuracy fell from 66.6 to 59.8 (arXiv:2104.14294, appendix E); for them all the same set "
                "local_views_anyway=true"
            )
        if self.local_views_anyway and not self.local_views:
            raise ValueError("local_views_anyway without local_views changes nothing; drop it")
