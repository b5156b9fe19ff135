"""The labels of a step's images in all processes. Shapes: n images of this process, N of all."""

from torch import Tensor

from pretrain.core import distributed
from pretrain.images.labels import UNLABELLED


def labels_of_all(labels: Tensor, *, used: bool) -> Tensor:
    """Gather the labels (n,) of every process to (N,), in the order of the ranks; nothing is sent where none is `used`."""
    return distributed.gather(labels) if used else labels.new_full((len(labels) * distributed.world(),), UNLABELLED)
