"""What both detection engines do alike: the metrics, the picture of predictions, the notes, and the count of their work."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pretrain.core import distributed
from transfer.datasets.objects import DetectionData
from transfer.detection.found import Found
from transfer.detection.metrics import detection_metrics
from transfer.detection.predictions import write_predictions
from transfer.engines.driver import PREDICTIONS, Engine
from transfer.engines.estimate import Work
from transfer.tasks import TaskSettings
from transfer.tasks.detection import DetectionSettings


class DetectionEngine(Engine[DetectionSettings, DetectionData]):
    """A detector, fine-tuned.

    NOTE: the metrics of every engine are those of `transfer.detection`, tested equal to Detectron2's, so that all engines
    treat classes and images without objects alike.
    """

    SETTINGS: ClassVar[type[TaskSettings]] = DetectionSettings
    TASKS: ClassVar[str] = "detection tasks"
    _remarks: tuple[str, ...] = ()

    @abstractmethod
    def found(self) -> Sequence[Found]:
        """Return the detections in each validation image."""

    @abstractmethod
    def about(self) -> str:
        """Say which detector ran, for the notes."""

    @property
    def synchronised(self) -> bool:
        """Tell whether BN takes its statistics over all processes, where there are several."""
        return True

    def work(self) -> Work:
        """Count the images; a test image costs as much more as it has more regions than a training image."""
        settings = self.settings
        regions = max(settings.post_nms_test / settings.rois, 1)
        forwarded = settings.batch * settings.precise_bn + len(self.data.val) * regions
        return Work(trained=settings.batch * settings.iters, forwarded=forwarded)

    def measure(self) -> Mapping[str, float | None]:
        """Compute the task's average precisions."""
        metrics, self._remarks = detection_metrics(self.found(), self.data, self.settings)
        return metrics

    def draw(self) -> None:
        """Draw truth and predictions of some validation images."""
        write_predictions(self.job.folder / PREDICTIONS, self.data, self.found())

    def notes(self) -> tuple[str, ...]:
        """Say which detector ran, over what BN took its statistics, and what was left out."""
        return (self.about(), bn_note(self.synchronised), *self.data.notes, *self.particulars(), *self._remarks)

    def particulars(self) -> tuple[str, ...]:
        """Return the notes that only this engine has reason to make."""
        return ()


def bn_note(synchronised: bool) -> str:
    """Describe over what BN took its statistics; `synchronised`: over all processes, where there are several."""
    world, published = distributed.world(), "the published recipe synchronises over 8"
    if world == 1:
        return f"BN statistics of one process; {published}"
    if synchronised:
        return f"BN synchronised over {world} processes; {published}"
    return f"BN statistics of each of {world} processes by itself, for torch synchronises none on CPUs; {published}"
