"""Nothing on top of the base pipeline: the control row of every comparison."""

from torch import Generator, Tensor

from pretrain.augment.mixed import Mixed
from pretrain.core.settings import Settings


class NoAugmentation(Settings):
    """Leaves images as they are."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`."""
        return Mixed(images)
