"""Hooks of mmengine's runner: what is logged, kept and set while it works.

The methods' names are mmengine's hook points. In several processes each has its own hooks, and what they decide, they decide
together.
"""

import copy
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretrain.core import distributed, interrupt
from pretrain.core.errors import TrainingError
from transfer.engines.job import Job
from transfer.engines.parallel import bare
from transfer.engines.precise_bn import precise_bn
from transfer.segmentation.label_maps import Sample
from transfer.tasks.segmentation import SegmentationSettings

PICTURED = 4
"""Validation images in `predictions.png`; of several processes, those of the first."""


class Watch:
    """A hook that logs every step, and keeps the metrics and some predictions."""

    def __init__(self, job: Job, iters: int, evaluated: int) -> None:
        self.metrics: dict[str, float] = {}
        """Metrics of the last evaluation, by mmengine's names."""
        self.samples: list[Sample] = []
        """Some images of the last evaluation, evenly spread."""
        self._journal, self._iters, self._evaluated = job.journal, iters, evaluated
        mine = -(-evaluated // distributed.world())
        self._pictured = {index * mine // PICTURED for index in range(PICTURED)}

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Log the loss, the mean over the processes; raises TrainingError if it is not finite."""
        loss = float(distributed.mean((outputs or {})["loss"].detach()))
        lr = runner.optim_wrapper.get_lr()["lr"][0]
        self._journal.step("train", batch_idx + 1, self._iters, loss=loss, lr=lr)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} after {batch_idx + 1} iterations", seen=f"learning rate {lr:g}", fix="lower it: --set lr=…"
            )

    def before_val_epoch(self, runner: Any) -> None:
        """Forget an earlier evaluation."""
        self.metrics, self.samples = {}, []

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None) -> None:
        """Keep some images for the picture of predictions."""
        for output in outputs or () if batch_idx in self._pictured else ():
            truth, prediction = (_label_map(field) for field in (output.gt_sem_seg, output.pred_sem_seg))
            self.samples.append(Sample(Path(output.img_path), truth, prediction))
        done = min((batch_idx + 1) * distributed.world(), self._evaluated)
        self._journal.step("evaluate", done, self._evaluated)

    def after_val_epoch(self, runner: Any, metrics: Mapping[str, float] | None = None) -> None:
        """Keep the metrics."""
        self.metrics = {name: round(float(value), 4) for name, value in (metrics or {}).items()}
        self._journal.step("evaluate", self._evaluated, self._evaluated, **self.metrics)


class Statistics:
    """Set BN's statistics before the evaluation (precise BN), from batches that depend on the seed alone: a resumed run has the
    same.
    """

    def __init__(self, job: Job, settings: SegmentationSettings) -> None:
        self._job, self._batches, self._iters = job, settings.precise_bn, settings.iters

    def before_val_epoch(self, runner: Any) -> None:
        """Set the statistics of every norm; raises Interrupted where a stop was asked for."""
        from mmengine.runner import set_random_seed

        several = distributed.world() > 1
        seed = set_random_seed(self._job.seed, diff_rank_seed=several)
        loader = runner.build_dataloader(copy.deepcopy(runner.cfg.train_dataloader), seed=seed, diff_rank_seed=several)
        model = bare(runner.model)
        model.train()
        precise_bn(model, lambda batch: model(**model.data_preprocessor(batch, True), mode="tensor"), self._drawn(loader))

    def _drawn(self, loader: Any) -> Iterator[Any]:
        for done, batch in enumerate(itertools.islice(loader, self._batches), start=1):
            by = distributed.agreed_stop()
            if by:
                raise interrupt.Interrupted(by, f"all {self._iters:,} iterations")
            yield batch
            self._job.journal.step("precise-bn", done, self._batches)


def _label_map(field: Any) -> NDArray[np.uint8]:
    """Turn mmengine's (1, H, W) of any integer type into (H, W) of 8 bits."""
    labels: NDArray[np.uint8] = field.data.squeeze(0).cpu().numpy().astype("uint8")
    return labels
