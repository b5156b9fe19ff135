"""The metric of a detection task, from what an engine found in the validation images."""

from collections.abc import Sequence

from pretrain.core import distributed
from transfer.datasets.detection import DetectionData
from transfer.detection.coco_metric import coco_metrics
from transfer.detection.voc_metric import voc_metrics
from transfer.engines.torchvision.evaluate import Found
from transfer.tasks.detection import DetectionSettings


def bn_note(synchronised: bool) -> str:
    """Over what BN took its statistics, for a record's notes; `synchronised`: where there are several processes."""
    world, published = distributed.world(), "the published recipe synchronises over 8"
    if world == 1:
        return f"BN statistics of one process; {published}"
    if synchronised:
        return f"BN synchronised over {world} processes; {published}"
    return f"BN statistics of each of {world} processes by itself, for torch synchronises none on CPUs; {published}"


def measure(
    found: Sequence[Found], data: DetectionData, settings: DetectionSettings
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """The task's metrics, and notes on them."""
    if settings.metric == "coco":
        return coco_metrics(found, data, masks=settings.masks), ()
    metrics, absent = voc_metrics(found, data.val, len(data.classes))
    names = ", ".join(data.classes[label] for label in absent)
    return metrics, (f"classes without an object to find, left out of the mean: {names}",) if absent else ()
