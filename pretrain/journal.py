"""What a run says while it works: `metrics.jsonl`, `log.txt`, TensorBoard's curves, a hook for whoever draws the progress."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from pretrain.faults import named

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called as `progress(stage, done, total, values)` after every step of a stage."""


class Journal:
    """Writes a run's course into its folder and passes it on.

    Nothing here decides anything: a run with `folder=None` and no hook does the same work in silence. What can't be written
    ends the run with a StorageError; the lines before are whole.
    """

    def __init__(self, folder: Path | None = None, progress: Progress | None = None, *, tensorboard: bool = False) -> None:
        """`tensorboard`: also draw the values as curves, for `tensorboard --logdir runs`."""
        self.folder = folder
        self._progress = progress
        self._start = time.monotonic()
        self._tensorboard = tensorboard and folder is not None
        self._curves: _Curves | None = None

    def step(self, stage: str, done: int, total: int, **values: float) -> None:
        """Note that `done` of `total` steps of a stage are finished, with the step's values if there are any."""
        if values and self.folder is not None:
            row = {"stage": stage, "step": done, "of": total, "seconds": round(time.monotonic() - self._start, 3)}
            row |= {key: value if math.isfinite(value) else None for key, value in values.items()}
            append_line(self.folder / "metrics.jsonl", json.dumps(row))
            self._draw(self.folder, stage, done, values)
        if self._progress is not None:
            self._progress(stage, done, total, values)

    def _draw(self, folder: Path, stage: str, done: int, values: Mapping[str, float]) -> None:
        if not self._tensorboard:
            return
        with named("write the curves", folder):
            if self._curves is None:
                self._curves = _Curves(folder)
            self._curves.add(done, {f"{stage}/{key}": value for key, value in values.items()})

    def close(self) -> None:
        """Write what is still held back."""
        if self._curves is not None and self.folder is not None:
            with named("write the curves", self.folder):
                self._curves.close()

    def say(self, text: str) -> None:
        """Write a line into the log and show it."""
        if self.folder is not None:
            append_line(self.folder / "log.txt", time.strftime("%Y-%m-%d %H:%M:%S ") + text)
        if self._progress is not None:
            self._progress(text, 0, 0, {})


class _Curves:
    """TensorBoard's file of events. Its own writer works in a thread, where a full disk would be a traceback of that thread."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # takes a moment: only runs that draw something pay it
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        now = time.time()
        self._file = (folder / f"events.out.tfevents.{int(now)}.{os.uname().nodename}.{os.getpid()}").open("ab")
        self._records = RecordWriter(self._file)
        self._records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """A point of each curve."""
        points = [self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        event = self._event(wall_time=time.time(), step=step, summary=self._summary(value=points))
        self._records.write(event.SerializeToString())

    def close(self) -> None:
        """Write what is still held back."""
        self._file.close()


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, whole or not at all: one call of the system, and what a full disk left of it is cut off.

    Raises:
        StorageError: If it can't be written.
    """
    data = (line + "\n").encode("utf-8", "backslashreplace")
    with named("write", path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            before = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, data)
                if written < len(data):
                    os.write(descriptor, data[written:])  # says why it was not all
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


def duration(seconds: float) -> str:
    """`about 3 h 20 min`: a time as a person says it."""
    for unit, size, below, part in (("days", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"about {int(seconds // size)} {unit} {int(seconds % size // part)} {below}"
    return f"about {max(1, round(seconds))} s"
