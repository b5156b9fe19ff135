"""TensorBoard's event file in the run's folder, for `tensorboard --logdir runs`.

Its own writer isn't taken: that has a thread of its own, of which a full disk is only a traceback.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pretrain.core.loggers import Logger, Told
from pretrain.core.machine_errors import translating_os_errors


class TensorBoard(Logger):
    """Curves by stage, `train/loss`; the settings and the record as texts."""

    name: ClassVar[str] = "tensorboard"

    def __init__(self, folder: Path) -> None:
        """Open a new file."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # slow to import: only runs that write curves pay it
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._session, self._summary, self._tensor = Event, SessionLog, Summary, TensorProto
        self._text = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        now = time.time()
        self.id = f"events.out.tfevents.{int(now)}.{os.uname().nodename}.{os.getpid()}"
        self._file = (folder / self.id).open("ab")
        self._records = RecordWriter(self._file)
        self._write(now, file_version="brain.Event:2")

    @classmethod
    def open(cls, told: Told) -> Self:
        """See `Logger`. Each start has a file of its own, and TensorBoard reads all of a folder as one run."""
        with translating_os_errors("write the curves", told.folder):
            made = cls(told.folder)
            if told.id is None:
                made._tell("settings", {**told.settings, "command": told.command})
        return made

    def again(self, step: int) -> None:
        """See `Logger`; TensorBoard drops what an earlier file holds from that step on."""
        self._write(time.time(), step=step, session_log=self._session(status=self._session.START))

    def step(self, stage: str, step: int, values: Mapping[str, float], at: float) -> None:
        """See `Logger`."""
        points = [self._summary.Value(tag=f"{stage}/{name}", simple_value=value) for name, value in values.items()]
        self._write(at, step=step, summary=self._summary(value=points))

    def finish(self, metrics: Mapping[str, float], record: Mapping[str, Any]) -> None:
        """See `Logger`."""
        self.step("result", 0, metrics, time.time())
        self._tell("record", record)

    def close(self, failed: bool) -> None:
        """See `Logger`."""
        self._file.close()

    def _tell(self, tag: str, values: Mapping[str, Any]) -> None:
        text = "".join(f"    {line}\n" for line in json.dumps(values, indent=1, ensure_ascii=False, default=str).splitlines())
        tensor = self._tensor(dtype="DT_STRING", string_val=[text.encode()])
        value = self._summary.Value(tag=tag, metadata=self._text, tensor=tensor)
        self._write(time.time(), step=0, summary=self._summary(value=[value]))

    def _write(self, at: float, **what: Any) -> None:
        self._records.write(self._event(wall_time=at, **what).SerializeToString())
        self._file.flush()
