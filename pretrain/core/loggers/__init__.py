"""What a run's log is also sent to: TensorBoard, Weights & Biases, MLflow. Adding one is one file and one line of `LOGGERS`.

A logger is told what `metrics.jsonl` holds, and at a run's ends its settings and its record. It changes no number.
"""

import importlib
import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pretrain.core.errors import BenchError, ConfigError

LOGGERS: dict[str, str] = {
    "tensorboard": "tensorboard:TensorBoard",
    "wandb": "wandb:WandB",
    "mlflow": "mlflow:MLflow",
}
"""Name of the logger, of its package and of the extra that installs it → `module:Class` in this package."""
NOTHING = "none"
"""The word for no logger."""
USUAL = "tensorboard"
"""What is written without a word, where it is installed: it needs no network and no account."""
VARIABLE = "BENCH_LOG"
"""Environment variable with the loggers of commands that name none, such as those of a study."""


@dataclass(frozen=True)
class Told:
    """What a logger is told of a run when it begins."""

    folder: Path
    """The run's folder; its name is the run's."""
    settings: Mapping[str, Any]
    """All that `config.yaml` holds."""
    command: str
    id: str | None = None
    """What the logger called this run when it began before; None: it begins now."""


class Logger(ABC):
    """What a run's log is sent to. Everything but `open` is called in a thread of its own, and may wait for a network."""

    name: ClassVar[str]
    """As in `LOGGERS`."""
    id: str
    """What it calls the run."""
    where: str = ""
    """Where to look at it, for people; empty where that is the run's folder."""

    @classmethod
    @abstractmethod
    def open(cls, told: Told) -> Self:
        """Begin to log a run, or go on.

        Raises:
            Exception: Of any kind, if it can't be.
        """

    def again(self, step: int) -> None:  # noqa: B027
        """Hear that the next step has perhaps been sent before, for the run goes on from its last checkpoint."""

    @abstractmethod
    def step(self, stage: str, step: int, values: Mapping[str, float], at: float) -> None:
        """Take what a step of a stage logged, at a time in seconds since the epoch."""

    @abstractmethod
    def finish(self, metrics: Mapping[str, float], record: Mapping[str, Any]) -> None:
        """Take what the run measured, and all else that its record says, as plain values."""

    @abstractmethod
    def close(self, failed: bool) -> None:
        """Send what is not sent yet, and end; `failed`: the run stopped before it was done."""


def chosen(text: str | None) -> tuple[str, ...]:
    """Read `--log`: names joined by commas, or `none`; where nothing is said, what `BENCH_LOG` says, or the usual one.

    Raises:
        ConfigError: For a name that is no logger's, or whose package isn't installed.
    """
    said = os.environ.get(VARIABLE) if text is None else text
    if said is None:
        return (USUAL,) if installed(USUAL) else ()
    names = tuple(dict.fromkeys(word.strip() for word in said.split(",") if word.strip()))
    if names == (NOTHING,):
        return ()
    if NOTHING in names:
        raise ConfigError(f"{NOTHING} is no logger beside others", seen=f"--log {said}", fix="leave it or the others away")
    for name in names:
        if name not in LOGGERS:
            raise ConfigError.unknown("logger", name, [*LOGGERS, NOTHING])
        if not installed(name):
            fix = f"pip install 'bench-transfer[{name}]', or leave it out of --log"
            raise ConfigError(f"logging to {name} needs its package", seen=f"no package {name} here", fix=fix)
    return names


def installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def opened(name: str, told: Told) -> Logger:
    """Begin to log a run with a logger of that name.

    Raises:
        ConfigError: If it can't be.
    """
    module, declaration = LOGGERS[name].split(":")
    kind: type[Logger] = getattr(importlib.import_module(f"pretrain.core.loggers.{module}"), declaration)
    try:
        return kind.open(told)
    except BenchError:
        raise
    except Exception as error:  # each of these packages has errors of its own
        seen = " ".join(f"{type(error).__name__}: {error}".split())[:400]
        raise ConfigError(f"can't log to {name}", seen=seen, fix=f"mend that, or leave {name} out of --log") from error


def flat(values: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of plain values by their whole names, `recipe.optimizer.momentum`."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{under}{name}.")
        elif value is not None and value not in ([], {}, ""):
            yield f"{under}{name}", value
