"""What a run says while it works: `metrics.jsonl`, `log.txt`, TensorBoard's curves, a hook for whoever draws the progress."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called as `progress(stage, done, total, values)` after every step of a stage."""


METRICS = "metrics.jsonl"


class Journal:
    """Writes a run's course into its folder and passes it on.

    Nothing here decides anything: a run with `folder=None` and no hook does the same work in silence.
    """

    def __init__(self, folder: Path | None = None, progress: Progress | None = None, *, tensorboard: bool = False) -> None:
        """`tensorboard`: also draw the values as curves, for `tensorboard --logdir runs`."""
        self.folder = folder
        self._progress = progress
        self._start, self._before = time.monotonic(), 0.0
        self._tensorboard = tensorboard and folder is not None
        self._again: int | None = None
        self._curves: Any = None
        self._stamps: dict[str, list[tuple[int, float]]] = {}

    def step(self, stage: str, done: int, total: int, **values: float) -> None:
        """Note that `done` of `total` steps of a stage are finished, with the step's values if there are any."""
        self._stamps[stage] = [*self._stamps.get(stage, [])[:1], (done, time.monotonic())]
        if values and self.folder is not None:
            row = {"stage": stage, "step": done, "of": total, "seconds": self.seconds()}
            row |= {key: value if math.isfinite(value) else None for key, value in values.items()}
            with (self.folder / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            self._draw(stage, done, values)
        if self._progress is not None:
            self._progress(stage, done, total, values)

    def seconds(self) -> float:
        """Wall seconds of the work, to milliseconds; with those before the step that `rewind` went back to."""
        return round(self._before + time.monotonic() - self._start, 3)

    def rewind(self, **steps: int) -> None:
        """Forget what was noted of each stage after that many steps, which are done again, and any half a line."""
        path = None if self.folder is None else self.folder / METRICS
        if path is None or not path.is_file():
            return
        kept = [row for row in _rows(path) if row["step"] <= steps.get(row["stage"], row["step"])]
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        temporary.replace(path)
        self._before = max((row["seconds"] for row in kept), default=0.0)
        self._again = max(steps.values(), default=0) + 1 if kept else None

    def rate(self, stage: str) -> float | None:
        """Steps per second of a stage, from the end of the first step seen, which warms up; None below two steps."""
        stamps = self._stamps.get(stage, [])
        if len(stamps) < 2:
            return None
        (first, began), (last, ended) = stamps
        return (last - first) / (ended - began) if ended > began else None

    def _draw(self, stage: str, done: int, values: dict[str, float]) -> None:
        if not self._tensorboard:
            return
        if self._curves is None:
            from torch.utils.tensorboard import SummaryWriter  # takes a second: only runs that have something to draw pay it

            self._curves = SummaryWriter(str(self.folder), purge_step=self._again)
        for key, value in values.items():
            self._curves.add_scalar(f"{stage}/{key}", value, done)

    def close(self) -> None:
        """Write what is still held back."""
        if self._curves is not None:
            self._curves.close()

    def say(self, text: str) -> None:
        """Write a line into the log and show it."""
        if self.folder is not None:
            with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
                file.write(time.strftime("%Y-%m-%d %H:%M:%S ") + text + "\n")
        if self._progress is not None:
            self._progress(text, 0, 0, {})


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict) and {"stage", "step", "seconds"} <= row.keys():
                yield row


def duration(seconds: float) -> str:
    """`about 3 h 20 min`: a time as a person says it."""
    for unit, size, below, part in (("days", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"about {int(seconds // size)} {unit} {int(seconds % size // part)} {below}"
    return f"about {max(1, round(seconds))} s"
