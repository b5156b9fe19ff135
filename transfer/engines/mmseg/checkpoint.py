"""mmengine's checkpoints: saved whole or not at all, and resumed from where they are of the same run."""

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pretrain.core import distributed, interrupt
from transfer.engines import state
from transfer.engines.job import Job

LAST, PARTIAL = "last.pth", ".last.pth.tmp"
"""The last checkpoint, and its name until it is whole."""
STATES = {"meta", "state_dict", "optimizer", "param_schedulers"}
"""Its keys, at least."""


class Checkpoints:
    """A hook that saves every so many iterations, at the end and when asked to stop; it must follow the schedule's hook.

    NOTE: it replaces mmengine's own, which deletes the old file before it writes the new one, and under its final name.
    """

    def __init__(self, job: Job, work: Path, iters: int, every: int) -> None:
        self._identity = job.identity
        self._work, self._iters, self._every = work, iters, every
        self._between = False

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Add the run's identity, and leave out what torch refuses to read with `weights_only`: mmengine's past losses."""
        checkpoint[state.IDENTITY] = self._identity
        if self._between:
            checkpoint["meta"]["iter"] -= 1  # mmengine counts the iteration that it believes to be in
        checkpoint["message_hub"] = {"log_scalars": OrderedDict(), "runtime_info": OrderedDict(), "resumed_keys": OrderedDict()}

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Save where that is due; raises Interrupted if a stop was asked for."""
        done = batch_idx + 1
        by = distributed.agreed_stop()
        if by or done % self._every == 0 or done == self._iters:
            self._save(runner)
        if by:
            raise interrupt.Interrupted(by, f"iteration {done:,} of {self._iters:,}")

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None) -> None:
        """Raise Interrupted if a stop was asked for; what was trained is saved."""
        by = distributed.agreed_stop()
        if by:
            raise interrupt.Interrupted(by, f"all {self._iters:,} iterations" if self._iters else "nothing: none was trained")

    def save_between(self, runner: Any) -> str:
        """Save between two iterations, unless all are done and saved; says which were done."""
        done, self._between = int(runner.iter), True
        if 0 < done < self._iters:
            self._save(runner)
        return f"iteration {done:,} of {self._iters:,}"

    def _save(self, runner: Any) -> None:
        average_statistics(runner.model)
        if distributed.rank():
            return
        runner.save_checkpoint(str(self._work), PARTIAL, by_epoch=False)
        with (self._work / PARTIAL).open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self._work / PARTIAL, self._work / LAST)


def saved(work: Path, identity: str) -> int:
    """Read at which iteration a run can be resumed; 0 where nothing was saved.

    Raises:
        CheckpointError: If its checkpoint is broken or of another run.
    """
    payload = state.load(work / LAST, identity, STATES)
    return 0 if payload is None else int(payload["meta"]["iter"])


def average_statistics(model: nn.Module) -> None:
    """Give the norms of all processes the mean of their running statistics."""
    for buffer in model.buffers() if distributed.world() > 1 else ():
        if buffer.is_floating_point():
            buffer.copy_(distributed.mean(buffer))
