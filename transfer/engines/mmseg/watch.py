"""What is told and kept while mmengine's runner works: progress, pictures, and the checkpoint that a stopped run goes on from.

The methods are mmengine's hook points. In several processes each has its own, and what they decide, they decide together.
"""

import contextlib
import math
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pretrain.core import distributed, interrupt
from pretrain.core.errors import BenchError, TrainingError
from pretrain.images.decode import opened, rgb
from transfer.datasets.cityscapes import SegmentationData
from transfer.engines import Job, state
from transfer.segmentation.label_maps import Sample
from transfer.tasks.cityscapes import SegmentationSettings

PICTURED = 4
"""Validation images in `predictions.png`; of several processes, those of the first."""
LAST, PARTIAL = "last.pth", ".last.pth.tmp"
"""The checkpoint to go on from, and what it is called until it is whole."""
PLAIN_BN = "batch normalisation over the whole batch of one process, in place of synchronised BN over the same batch"
RESUMED = (
    "went on from iteration {:,}: mmengine reads the batches before once more, so that, with as many processes and loaders, "
    "images and crops are those of a run that was never stopped; its own log's averages of the losses begin anew"
)
STATES = {"meta", "state_dict", "optimizer", "param_schedulers"}
"""What it holds, at least."""


class Watch:
    """Tells of every step, keeps the metrics and some predictions."""

    def __init__(self, job: Job, iters: int, evaluated: int) -> None:
        self.metrics: dict[str, float] = {}
        """Of the last evaluation, by mmengine's names."""
        self.samples: list[Sample] = []
        """Images of the last evaluation, evenly spread."""
        self._journal, self._iters, self._evaluated = job.journal, iters, evaluated
        mine = -(-evaluated // distributed.world())
        self._pictured = {index * mine // PICTURED for index in range(PICTURED)}

    def before_train_epoch(self, runner: Any) -> None:
        """Say where training goes on: mmengine then reads the batches before once more, to leave their order the same."""
        if runner.iter:
            self._journal.say(f"going on from iteration {runner.iter} of {self._iters}")

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Note the loss, the mean over the processes; raises TrainingError where it is not finite."""
        loss = float(distributed.mean((outputs or {})["loss"].detach()))
        lr = runner.optim_wrapper.get_lr()["lr"][0]
        self._journal.step("train", batch_idx + 1, self._iters, loss=loss, lr=lr)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} after {batch_idx + 1} iterations", seen=f"learning rate {lr:g}", fix="lower it: --set lr=…"
            )

    def before_val_epoch(self, runner: Any) -> None:
        """Forget the evaluation before."""
        self.metrics, self.samples = {}, []

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None) -> None:
        """Keep some images for the picture."""
        for output in outputs or () if batch_idx in self._pictured else ():
            truth, prediction = (_label_map(field) for field in (output.gt_sem_seg, output.pred_sem_seg))
            self.samples.append(Sample(Path(output.img_path), truth, prediction))
        done = min((batch_idx + 1) * distributed.world(), self._evaluated)
        self._journal.step("evaluate", done, self._evaluated)

    def after_val_epoch(self, runner: Any, metrics: Mapping[str, float] | None = None) -> None:
        """Keep the metrics."""
        self.metrics = {name: round(float(value), 4) for name, value in (metrics or {}).items()}
        self._journal.step("evaluate", self._evaluated, self._evaluated, **self.metrics)


class Checkpoints:
    """Saves every so many iterations, at the end and when asked to stop; must come after the hook of the schedule.

    NOTE: in place of mmengine's own, which deletes the old file before it writes the new one, and under its final name.
    """

    def __init__(self, job: Job, work: Path, iters: int, every: int) -> None:
        self._identity = job.identity
        self._work, self._iters, self._every = work, iters, every

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Say whose it is, and keep out what torch will not read back with `weights_only`: mmengine's past losses."""
        checkpoint[state.IDENTITY] = self._identity
        checkpoint["message_hub"] = {"log_scalars": OrderedDict(), "runtime_info": OrderedDict(), "resumed_keys": OrderedDict()}

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Save where that is due; raises Interrupted where a stop was asked for."""
        done = batch_idx + 1
        by = distributed.agreed_stop()
        if by or done % self._every == 0 or done == self._iters:
            self._save(runner)
        if by:
            raise interrupt.Interrupted(by, f"iteration {done:,} of {self._iters:,}")

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None) -> None:
        """Raises Interrupted where a stop was asked for: what was trained is saved."""
        by = distributed.agreed_stop()
        if by:
            raise interrupt.Interrupted(by, f"all {self._iters:,} iterations" if self._iters else "nothing: none was trained")

    def _save(self, runner: Any) -> None:
        average_statistics(runner.model)
        if distributed.rank():
            return
        runner.save_checkpoint(str(self._work), PARTIAL, by_epoch=False)
        with (self._work / PARTIAL).open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self._work / PARTIAL, self._work / LAST)


def saved(work: Path, identity: str) -> int:
    """The iteration a run can go on from; 0 where nothing was saved.

    Raises:
        CheckpointError: If its checkpoint is broken or of another run.
    """
    payload = state.load(work / LAST, identity, STATES)
    return 0 if payload is None else int(payload["meta"]["iter"])


def notes(job: Job, settings: SegmentationSettings, data: SegmentationData, evaluated: int, done: int) -> tuple[str, ...]:
    """What a reader of the number must know; `done`: the iteration a broken run went on from, 0 for none."""
    count = distributed.world()
    norms = PLAIN_BN
    if count > 1 and job.device != "cpu":
        norms = f"synchronised batch normalisation over {count} processes"
    elif count > 1:
        norms = (
            f"batch normalisation in each of {count} processes over its own {settings.batch // count} images, in place of "
            f"synchronised BN over all {settings.batch}, which torch has on GPUs alone; evaluated with "
            + ("statistics of all images" if settings.precise_bn else "the mean of their running statistics")
        )
    part = f"evaluated on {evaluated} of {len(data.val)} validation images" if evaluated < len(data.val) else None
    return tuple(filter(None, (norms, part, RESUMED.format(done) if done else None)))


def average_statistics(model: nn.Module) -> None:
    """Give the norms of all processes the mean of their running statistics; on one process they have it."""
    for buffer in model.buffers() if distributed.world() > 1 else ():
        if buffer.is_floating_point():
            buffer.copy_(distributed.mean(buffer))


def _label_map(field: Any) -> Any:
    """(1, H, W) of any integer type → (H, W), 8 bits."""
    return field.data.squeeze(0).cpu().numpy().astype("uint8")


@contextlib.contextmanager
def unreadable_named(data: SegmentationData) -> Iterator[None]:
    """MMSegmentation's errors don't name the file: where one comes up, the first that can't be read is looked for."""
    try:
        yield
    except (BenchError, interrupt.Interrupted):
        raise
    except Exception:
        for path in (path for pair in data.train + data.val for path in (pair.image, pair.label)):
            with opened(path, str(path)) as image:
                rgb(image, str(path))
        raise
