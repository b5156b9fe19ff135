"""What a run says while it works: `metrics.jsonl`, `log.txt`, TensorBoard's curves, a hook for whoever draws the progress."""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pretrain.core.machine_errors import translating_os_errors

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called as `progress(stage, done, total, values)` after every step of a stage."""


METRICS = "metrics.jsonl"


class Journal:
    """Writes a run's course into its folder and passes it on.

    Nothing here decides anything: a run with `folder=None` and no hook does the same work in silence. What can't be written
    ends the run with a StorageError; the lines before are whole.
    """

    def __init__(self, folder: Path | None = None, progress: Progress | None = None, *, tensorboard: bool = False) -> None:
        """`tensorboard`: also draw the values as curves, for `tensorboard --logdir runs`."""
        self.folder = folder
        self._progress = progress
        self._start, self._before = time.monotonic(), 0.0
        self._tensorboard = tensorboard and folder is not None
        self._again: int | None = None
        self._curves: _Curves | None = None
        self._stamps: dict[str, list[tuple[int, float]]] = {}

    def step(self, stage: str, done: int, total: int, **values: float) -> None:
        """Note that `done` of `total` steps of a stage are finished, with the step's values if there are any."""
        self._stamps[stage] = [*self._stamps.get(stage, [])[:1], (done, time.monotonic())]
        if values and self.folder is not None:
            row = {"stage": stage, "step": done, "of": total, "seconds": self.seconds()}
            row |= {key: value if math.isfinite(value) else None for key, value in values.items()}
            append_line(self.folder / METRICS, json.dumps(row))
            self._draw(self.folder, stage, done, values)
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
        with translating_os_errors("write", path):
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

    def _draw(self, folder: Path, stage: str, done: int, values: Mapping[str, float]) -> None:
        if not self._tensorboard:
            return
        with translating_os_errors("write the curves", folder):
            if self._curves is None:
                self._curves = _Curves(folder, self._again)
            self._curves.add(done, {f"{stage}/{key}": value for key, value in values.items()})

    def close(self) -> None:
        """Write what is still held back."""
        if self._curves is not None and self.folder is not None:
            with translating_os_errors("write the curves", self.folder):
                self._curves.close()

    def say(self, text: str) -> None:
        """Write a line into the log and show it."""
        if self.folder is not None:
            append_line(self.folder / "log.txt", time.strftime("%Y-%m-%d %H:%M:%S ") + text)
        if self._progress is not None:
            self._progress(text, 0, 0, {})


class _Curves:
    """TensorBoard's file of events. Its own writer works in a thread, where a full disk would be a traceback of that thread."""

    def __init__(self, folder: Path, again: int | None) -> None:
        """`again`: the step from which on what an earlier file of the folder drew is drawn again."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # takes a moment: only runs that draw something pay it
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        now = time.time()
        self._file = (folder / f"events.out.tfevents.{int(now)}.{os.uname().nodename}.{os.getpid()}").open("ab")
        self._records = RecordWriter(self._file)
        self._records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        if again is not None:
            start = Event(wall_time=now, step=again, session_log=SessionLog(status=SessionLog.START))
            self._records.write(start.SerializeToString())

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
    with translating_os_errors("write", path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            before = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, data)
                if written < len(data):
                    os.write(descriptor, data[written:])  # says why it was not all
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


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
