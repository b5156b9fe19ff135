"""The log of a run: `metrics.jsonl`, `log.txt`, what it is also sent to, and a hook for progress bars."""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pretrain.core.loggers.sending import Sender
from pretrain.core.machine_errors import translating_os_errors

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called as `progress(stage, done, total, values)` after every step, and as `progress(text, 0, 0, {})` for a message."""


METRICS = "metrics.jsonl"
"""File in the run's folder with one JSON object for each logged step."""
LOG_EVERY = 10
"""Steps of a training between two of its lines."""


class Journal:
    """Logs the steps and messages of a run into its folder, and passes them to the progress hook.

    It has no effect on the numbers: with `folder=None` and no hook a run does the same work in silence. A line that can't be
    written ends the run with a StorageError; the lines before it stay whole.
    """

    def __init__(self, folder: Path | None = None, progress: Progress | None = None, senders: Sequence[Sender] = ()) -> None:
        """Start the clock; nothing is written yet.

        Args:
            folder: The run's folder; None: nothing is written.
            progress: Called after every step and message.
            senders: Are given what is logged, too.
        """
        self.folder = folder
        self._progress = progress
        self._start, self._before = time.monotonic(), 0.0
        self._senders = tuple(senders)
        self._again: int | None = None
        self._stamps: dict[str, list[tuple[int, float]]] = {}

    def step(self, stage: str, done: int, total: int, **values: float) -> None:
        """Report that `done` of `total` steps of a stage are finished, and log the step's values if there are any."""
        self._stamps[stage] = [*self._stamps.get(stage, [])[:1], (done, time.monotonic())]
        if values and self.folder is not None:
            row = {"stage": stage, "step": done, "of": total, "seconds": self.seconds()}
            row |= {key: value if math.isfinite(value) else None for key, value in values.items()}
            append_line(self.folder / METRICS, json.dumps(row))
            self._send(stage, done, values)
        if self._progress is not None:
            self._progress(stage, done, total, values)

    def seconds(self) -> float:
        """Return the wall-clock seconds of the run, to milliseconds, including those before the step it resumed from."""
        return round(self._before + time.monotonic() - self._start, 3)

    def rewind(self, **steps: int) -> None:
        """Delete what was logged after the given step of each stage, since those steps are run again, and incomplete lines."""
        path = None if self.folder is None else self.folder / METRICS
        self._again = 1  # a start that kept no line may have sent some
        if path is None or not path.is_file():
            return
        rows = [row for row in _rows(path) if row["step"] <= steps.get(row["stage"], row["step"])]
        temporary = path.with_name(f".{path.name}.tmp")
        with translating_os_errors("write", path):
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            temporary.replace(path)
        self._before = max((row["seconds"] for row in rows), default=0.0)
        self._again = max(steps.values(), default=0) + 1

    def logged(self, stage: str) -> list[dict[str, Any]]:
        """Return what is logged of a stage's steps, in their order; values that were not finite are None."""
        path = None if self.folder is None else self.folder / METRICS
        return [] if path is None or not path.is_file() else [row for row in _rows(path) if row["stage"] == stage]

    def rate(self, stage: str) -> float | None:
        """Return the steps per second of a stage since the end of its first step, which warms up; None below two steps."""
        stamps = self._stamps.get(stage, [])
        if len(stamps) < 2:
            return None
        (first, began), (last, ended) = stamps
        return (last - first) / (ended - began) if ended > began else None

    def _send(self, stage: str, done: int, values: Mapping[str, float]) -> None:
        for sender in self._senders:
            if self._again is not None:
                sender.again(self._again)
            sender.step(stage, done, values)
        self._again = None
        self._warn()

    def _warn(self) -> None:
        for line in [line for sender in self._senders for line in sender.said()]:
            self.say(line)

    def finish(self, metrics: Mapping[str, float | None], record: Mapping[str, Any]) -> None:
        """Send what the run measured, and what else its record says."""
        for sender in self._senders:
            sender.finish({name: value for name, value in metrics.items() if value is not None}, record)

    def close(self, *, failed: bool = False) -> None:
        """Wait a while for what isn't sent yet; `failed`: the run stopped before it was done."""
        for sender in self._senders:
            sender.close(failed=failed)
        self._warn()

    def say(self, text: str) -> None:
        """Log a message, and show it."""
        if self.folder is not None:
            append_line(self.folder / "log.txt", time.strftime("%Y-%m-%d %H:%M:%S ") + text)
        if self._progress is not None:
            self._progress(text, 0, 0, {})


def append_line(path: Path, line: str) -> None:
    """Append a line to a file, whole or not at all: one system call, and a part that a full disk accepted is cut off.

    Raises:
        StorageError: If it can't be written.
    """
    data = (line + "\n").encode("utf-8", "backslashreplace")
    with translating_os_errors("write", path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            before = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, data)
                if written < len(data):
                    os.write(descriptor, data[written:])  # raises the reason why not all was written
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


def is_number(value: Any) -> bool:
    """Return whether a value of a line is a finite number; a whole number beyond a float's range is none."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read the complete lines."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and "stage" in row and is_number(row.get("step")) and is_number(row.get("seconds")):
                yield row


def duration(seconds: float) -> str:
    """Format a time: `about 3 h 20 min`."""
    for unit, size, below, part in (("days", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"about {int(seconds // size)} {unit} {int(seconds % size // part)} {below}"
    return f"about {max(1, round(seconds))} s"
