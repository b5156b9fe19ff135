"""The hook and the evaluator through which Detectron2's trainer reports to a run."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from pretrain.core import distributed, interrupt
from transfer.datasets.objects import DetectionData
from transfer.detection import masks as mask_ops
from transfer.detection.found import Found
from transfer.engines.detectron2.checkpoint import save
from transfer.engines.job import Job
from transfer.tasks.detection import DetectionSettings


class Watch:
    """Log and save while Detectron2 trains, and keep its detections; the methods are those of its evaluators and hooks."""

    def __init__(self, job: Job, settings: DetectionSettings, data: DetectionData) -> None:
        self.found: list[Found] = []
        """Detections of the evaluation, in the order of the validation images."""
        self.trained = 0
        """Iterations of which the weights have been updated."""
        self._job, self._settings, self._images = job, settings, len(data.val)
        self._saved = time.monotonic()

    def reset(self) -> None:
        """Forget an earlier evaluation."""
        self.found = []

    def process(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Keep the detections in some images."""
        for output in outputs:
            self.found.append(_as_found(output["instances"].to("cpu")))
            done = min(len(self.found) * distributed.world(), self._images)
            self._job.journal.step("evaluate", done, self._images)

    def evaluate(self) -> dict[str, Any]:
        """Gather the detections of all processes; the metric is computed after the trainer is done."""
        # Detectron2 gives each process a run of neighbouring images.
        self.found = [each for part in distributed.parts(self.found) for each in part]
        return {}

    def after_step(self, trainer: Any) -> None:
        """Log the losses, and save a checkpoint where one is due, in the first process; the last iteration's is always due.

        Raises:
            Interrupted: If a signal asked for a stop, once the iteration is saved.
        """
        done, first = trainer.iter + 1, distributed.rank() == 0
        if first:
            self._note(trainer, done)
        stop = distributed.agreed_stop()
        due = stop or done == trainer.max_iter or time.monotonic() - self._saved >= self._settings.checkpoint_seconds
        if due and first:
            save(trainer, self._job.identity)
            self._saved = time.monotonic()
        if stop and done < trainer.max_iter:  # what raises here still evaluates, after the last iteration
            distributed.barrier()
            raise interrupt.Interrupted(stop, f"iteration {done:,} of {trainer.max_iter:,}")

    def save_between(self, trainer: Any) -> str:
        """Save where a wait for the images of the next iteration ended; says how many iterations are saved.

        What comes after the last update, such as the statistics of BN, begins again from the last checkpoint.
        """
        if not self.trained or self.trained > trainer.iter:
            return "nothing since the last checkpoint"
        trainer.iter -= 1  # it has counted the iteration that it waited for
        if distributed.rank() == 0:
            save(trainer, self._job.identity)
        return f"iteration {self.trained:,} of {trainer.max_iter:,}"

    def _note(self, trainer: Any, done: int) -> None:
        """Log the mean losses, which Detectron2 gives to the first process alone."""
        latest = {name: value for name, (value, _) in trainer.storage.latest().items()}
        losses = {name.removeprefix("loss_"): value for name, value in latest.items() if name.startswith("loss_")}
        values = {"loss": latest["total_loss"], "lr": latest["lr"], **losses}
        self._job.journal.step("train", done, trainer.max_iter, **values)


def _as_found(instances: Any) -> Found:
    masks = None
    if instances.has("pred_masks"):
        masks = tuple(mask_ops.encode(mask) for mask in instances.pred_masks.numpy().astype(np.uint8))
    return Found(instances.pred_boxes.tensor.numpy(), instances.scores.numpy(), instances.pred_classes.numpy(), masks)
