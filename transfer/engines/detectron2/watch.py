"""What is told and kept while Detectron2 works."""

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pretrain.core import distributed, interrupt
from pretrain.core.atomic import replacing
from pretrain.core.errors import DataError
from transfer.datasets.detection import DetectionData
from transfer.detection import masks as mask_ops
from transfer.engines import Job
from transfer.engines.torchvision.evaluate import Found
from transfer.tasks.detection import DetectionSettings


class Watch:
    """What is told and kept while Detectron2 works; its methods are those of its evaluators and hooks."""

    def __init__(self, job: Job, settings: DetectionSettings, data: DetectionData) -> None:
        self.found: list[Found] = []
        """Of the evaluation, in the order of the validation images."""
        self._job, self._settings, self._images = job, settings, len(data.val)
        self._saved = time.monotonic()

    def reset(self) -> None:
        """Forget the evaluation before."""
        self.found = []

    def process(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Keep what was found in some images."""
        for output in outputs:
            self.found.append(_as_found(output["instances"].to("cpu")))
            done = min(len(self.found) * distributed.world(), self._images)
            self._job.journal.step("evaluate", done, self._images)

    def evaluate(self) -> dict[str, Any]:
        """Bring together what the processes found; the metric is computed after the trainer is done."""
        # Detectron2 gives each process a run of neighbouring images.
        self.found = [each for part in distributed.parts(self.found) for each in part]
        return {}

    def after_step(self, trainer: Any) -> None:
        """Note the losses; save a checkpoint where one is due, the last iteration's in any case. The first process does.

        Raises:
            Interrupted: If a signal asked for a stop, once the iteration is saved.
        """
        done, first = trainer.iter + 1, distributed.rank() == 0
        if first:
            self._note(trainer, done)
        stop = distributed.agreed_stop()
        due = stop or done == trainer.max_iter or time.monotonic() - self._saved >= self._settings.checkpoint_seconds
        if due and first:
            self._save(trainer)
            self._saved = time.monotonic()
        if stop and done < trainer.max_iter:  # what raises here still evaluates, after the last iteration
            distributed.barrier()
            raise interrupt.Interrupted(stop, f"iteration {done:,} of {trainer.max_iter:,}")

    def _note(self, trainer: Any, done: int) -> None:
        """Of several processes Detectron2 gives the mean losses to the first one alone."""
        latest = {name: value for name, (value, _) in trainer.storage.latest().items()}
        losses = {name.removeprefix("loss_"): value for name, value in latest.items() if name.startswith("loss_")}
        values = {"loss": latest["total_loss"], "lr": latest["lr"], **losses}
        self._job.journal.step("train", done, trainer.max_iter, **values)

    def _save(self, trainer: Any) -> None:
        """Replace the last checkpoint; the one before goes only when the new one is whole."""
        before = trainer.checkpointer.get_checkpoint_file()
        trainer.checkpointer.save(f"model_{trainer.iter + 1:07d}", identity=self._job.identity)
        if before and before != trainer.checkpointer.get_checkpoint_file():
            Path(before).unlink(missing_ok=True)


def tag_whole(checkpointer: Any) -> None:
    """Have the name of the last checkpoint written whole or not at all; Detectron2 empties that file first."""

    def tag(name: str) -> None:
        with replacing(Path(checkpointer.save_dir) / "last_checkpoint") as file:
            file.write(name.encode())

    checkpointer.tag_last_checkpoint = tag


class Checked:
    """A mapper of Detectron2's whose errors name the image."""

    def __init__(self, mapper: Callable[[dict[str, Any]], Any]) -> None:
        self._mapper = mapper

    def __call__(self, description: dict[str, Any]) -> Any:
        """What the mapper makes of an image; raises DataError where it can't be read or is not of the annotated size."""
        try:
            return self._mapper(description)
        except Exception as error:  # on broken files Pillow raises anything
            seen = " ".join(str(error).split())[:200]
            raise DataError(f"can't read the image {description['file_name']}", seen=seen) from None


def _as_found(instances: Any) -> Found:
    masks = None
    if instances.has("pred_masks"):
        masks = tuple(mask_ops.encode(mask) for mask in instances.pred_masks.numpy().astype(np.uint8))
    return Found(instances.pred_boxes.tensor.numpy(), instances.scores.numpy(), instances.pred_classes.numpy(), masks)


@contextlib.contextmanager
def quiet(work: Path) -> Iterator[None]:
    """Detectron2's words, those of the first process, go into its own log file, not onto the console."""
    first = distributed.rank() == 0
    handler = logging.FileHandler(work / "log.txt", encoding="utf-8") if first else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore", "torch.fx._symbolic_trace")]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.meshgrid.*")
            warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
            warnings.filterwarnings("ignore", message=".*broadcast_buffers.*")
            yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
        handler.close()
