"""What a reader of a segmentation number must know."""

from pretrain.core import distributed
from transfer.tasks.segmentation import SegmentationSettings

PLAIN_BN = "batch normalisation over the whole batch of one process, in place of synchronised BN over the same batch"
RESUMED = (
    "resumed at iteration {:,}: mmengine reads the batches before once more, so that, with as many processes and workers, "
    "images and crops are those of a run that was never stopped; its own log's averages of the losses begin anew"
)


def bn_note(settings: SegmentationSettings, device: str) -> str:
    """Describe over what BN took its statistics."""
    count = distributed.world()
    if count == 1:
        return PLAIN_BN
    if device != "cpu":
        return f"synchronised batch normalisation over {count} processes"
    return (
        f"batch normalisation in each of {count} processes over its own {settings.batch // count} images, in place of "
        f"synchronised BN over all {settings.batch}, which torch has on GPUs alone; evaluated with "
        + ("statistics of all images" if settings.precise_bn else "the mean of their running statistics")
    )
