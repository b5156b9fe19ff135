"""Weights & Biases. Its own environment variables say where: WANDB_MODE (`online`, `offline`), WANDB_PROJECT, WANDB_ENTITY.

No code and no weights are sent. With WANDB_MODE=offline its files lie in the run's folder, for `wandb sync`.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pretrain.core.errors import ConfigError
from pretrain.core.loggers import Logger, Told

PROJECT = "bench"
"""Project of runs where WANDB_PROJECT names none."""
PATIENCE = 60.0
"""Seconds in which the server must answer when a run begins."""


class WandB(Logger):
    """Curves by stage over its own steps, `train/loss` over `train/step`."""

    name: ClassVar[str] = "wandb"

    def __init__(self, run: Any, where: str) -> None:
        """Take a run of the library's."""
        self._run, self._stages = run, set[str]()
        self.id, self.where = run.id, where

    @classmethod
    def open(cls, told: Told) -> Self:
        """See `Logger`. The library would ask for a login and wait: a run in a queue has nobody to answer."""
        import wandb

        online = os.environ.get("WANDB_MODE", "online") == "online"
        if online and not wandb.login(prompt=False, verify=False):
            raise ConfigError(
                "wandb has no login here",
                seen="no WANDB_API_KEY, and no login that was kept",
                fix="`wandb login`, or WANDB_MODE=offline and `wandb sync` later, or leave wandb out of --log",
            )
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=told.folder.resolve().name,
            id=told.id or secrets.token_hex(8),
            resume="allow",
            dir=str(told.folder),
            config={**told.settings, "command": told.command},
            allow_val_change=True,
            save_code=False,
            settings=wandb.Settings(console="off", silent=True, disable_git=True, init_timeout=PATIENCE),
        )
        return cls(run, run.url if online else f"wandb sync {Path(run.dir).parent}")

    def step(self, stage: str, step: int, values: Mapping[str, float], at: float) -> None:
        """See `Logger`. A step that is done again stands there twice, with the same place."""
        if stage not in self._stages:
            self._run.define_metric(f"{stage}/step", hidden=True)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
            self._stages.add(stage)
        self._run.log({f"{stage}/step": step, **{f"{stage}/{name}": value for name, value in values.items()}})

    def finish(self, metrics: Mapping[str, float], record: Mapping[str, Any]) -> None:
        """See `Logger`."""
        self._run.summary.update({f"result/{name}": value for name, value in metrics.items()})
        self._run.config.update({"record": dict(record)}, allow_val_change=True)

    def close(self, failed: bool) -> None:
        """See `Logger`."""
        self._run.finish(exit_code=int(failed))
