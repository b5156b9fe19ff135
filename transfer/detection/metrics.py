"""The metrics of a detection task, from what an engine found in the validation images."""

from collections.abc import Sequence

from transfer.datasets.objects import DetectionData
from transfer.detection.coco_metric import coco_metrics
from transfer.detection.found import Found
from transfer.detection.voc_metric import voc_metrics
from transfer.tasks.detection import DetectionSettings


def detection_metrics(
    found: Sequence[Found], data: DetectionData, settings: DetectionSettings
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Compute the task's metrics, in percent, and remarks on them.

    Args:
        found: Detections in each of `data.val`, in that order.
        data: The data set.
        settings: Say by which metric, and whether of masks, too.
    """
    if settings.metric == "coco":
        return coco_metrics(found, data, masks=settings.masks), ()
    metrics, absent = voc_metrics(found, data.val, len(data.classes))
    names = ", ".join(data.classes[label] for label in absent)
    return metrics, (f"classes without an object to find, left out of the mean: {names}",) if absent else ()
