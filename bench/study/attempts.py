"""How the attempts at a cell ended: one line for each in `attempts.jsonl`, in the cell's folder beside the study file.

Nothing here says that a cell is done: its record does.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from bench.runs import lock
from pretrain.core import interrupt

CELLS = "cells"
FILE, LOG, OUTCOME, PLACE = "attempts.jsonl", "log.txt", "outcome.json", "place.txt"
Ended = Literal["done", "stopped", "held", "mistake", "fault", "retry", "submitted", "begun", "freed"]
"""How: a record was written; a signal; another process has the run; a person must act; the machine or a bug; `study retry`.
Of a job of a cluster: it was put into the queue; it has begun; the next `run` may submit its cell again.
"""
FAILURES = frozenset({"mistake", "fault"})
_ENDS = FAILURES | {"done", "retry"}
WITH_A_JOB = frozenset({"submitted", "begun", "stopped"})
"""After such a line the cell is its job's, if the line names one."""
MISTAKES = frozenset(
    {"ConfigError", "DataError", "ImageError", "CheckpointError", "ProofError", "EngineError", "RecordError", "TrainingError"}
)
"""Errors that the same command meets again until a person acts."""
HELD = "is held by another process"
ALIKE = 10
"""Failures in a row of one cause that stop new starts."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a cell."""

    ended: Ended
    error: str = ""
    """Class of the error; empty without one."""
    message: str = ""
    code: int | None = None
    """Exit code of the command; a negative one is the signal that killed it."""
    seconds: float = 0.0
    host: str = ""
    at: str = ""
    """When it ended, ISO 8601, UTC."""
    job: str = ""
    """Of a cluster's job, its id; empty elsewhere."""

    @property
    def alike(self) -> str:
        """Return what failures of one cause have in common: the class and the message's first line, without its digits."""
        return f"{self.error}: {cause(self.message)}"


@dataclass(frozen=True)
class Attempts:
    """The attempts at the cells of one study."""

    home: Path
    """Its folder."""
    job: str = ""
    """Id of the cluster's job that this process is; empty elsewhere."""

    def folder(self, cell: str) -> Path:
        """Return the folder of a cell's attempts."""
        return self.home / CELLS / cell

    def log(self, cell: str) -> Path:
        """Return the file of what a cell's command printed."""
        return self.folder(cell) / LOG

    def place(self, cell: str) -> str:
        """Say where a cell was started last, such as `GPU 0,1 on NODE`; empty if nobody noted it."""
        with contextlib.suppress(OSError):
            return (self.folder(cell) / PLACE).read_text(encoding="utf-8").strip()
        return ""

    def put(self, cell: str, devices: str) -> None:
        """Note where a cell is started: on devices of this machine, or somewhere on it."""
        (self.folder(cell) / PLACE).write_text(f"{devices} on {host()}" if devices else host(), encoding="utf-8")

    def known(self) -> set[str]:
        """Return the ids of the cells that were attempted."""
        with contextlib.suppress(OSError):
            return set(os.listdir(self.home / CELLS))
        return set()

    def of(self, cell: str) -> list[Attempt]:
        """Read a cell's attempts, the first one first; a line that was cut short by a kill is none."""
        found = []
        with contextlib.suppress(OSError):
            for line in (self.folder(cell) / FILE).read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    found.append(Attempt(**json.loads(line)))
        return found

    def note(self, cell: str, attempt: Attempt) -> None:
        """Add an attempt."""
        self.folder(cell).mkdir(parents=True, exist_ok=True)
        with (self.folder(cell) / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(replace(attempt, job=attempt.job or self.job))) + "\n")

    def begin(self, cell: str) -> None:
        """Note that this process, if it is a cluster's job, attempts a cell from now on: should it vanish, it was not cancelled
        while it waited.
        """
        if self.job:
            self.note(cell, Attempt("begun", host=host(), at=now()))

    def owner(self, cell: str) -> Attempt | None:
        """Return the last line of a cell's attempts where it says that the cell is a job's."""
        last = next(reversed(self.of(cell)), None)
        return last if last is not None and last.job and last.ended in WITH_A_JOB else None

    def retry(self, cells: Iterable[str]) -> None:
        """Forget the failures of some cells."""
        for cell in cells:
            self.note(cell, Attempt("retry", at=now()))

    def held(self, cell: str) -> bool:
        """Return whether another process attempts a cell."""
        return lock.is_held(self.folder(cell))

    def failure(self, cell: str, retries: int, *last: Attempt) -> Attempt | None:
        """Return the attempt by which a cell has failed; None if it may be started: again after a fault of the machine, at
        most `retries` times.

        Args:
            cell: Its id.
            retries: Of the study.
            last: Attempts that came after those that are noted.
        """
        failures = _failures([*self.of(cell), *last])
        if failures and (failures[-1].ended == "mistake" or len(failures) > retries):
            return failures[-1]
        return None

    def faulty(self, cell: str) -> frozenset[str]:
        """Return the machines on which a cell failed by their fault, since it was last done or tried again by a person."""
        return frozenset(each.host for each in _failures(self.of(cell)) if each.ended == "fault" and each.host)

    def halted(self, cells: Iterable[str], since: str = "") -> str:
        """Say why nothing more should be started: the last attempts at any of these cells failed alike. Empty if not so.

        Args:
            cells: Their ids.
            since: Attempts that ended before don't count; ISO 8601, UTC.
        """
        of_all = [attempt for cell in self.known().intersection(cells) for attempt in self.of(cell)]
        ends = sorted((each for each in of_all if each.ended in _ENDS and each.at >= since), key=lambda each: each.at)[-ALIKE:]
        if len(ends) < ALIKE or any(each.ended not in FAILURES or each.alike != ends[-1].alike for each in ends):
            return ""
        return f"{ALIKE} cells in a row failed alike, nothing more is started: {ends[-1].message.partition(chr(10))[0]}"


def cause(message: str) -> str:
    """Return what messages of one cause have in common: the first line, without its digits."""
    return "".join(char for char in message.partition("\n")[0] if not char.isdigit())


def _failures(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return the failures that count."""
    failures: list[Attempt] = []
    for attempt in attempts:
        if attempt.ended in ("retry", "done"):
            failures = []
        elif attempt.ended in FAILURES:
            failures.append(attempt)
    return failures


def judged(code: int, outcome: Path, seconds: float, *, asked: bool) -> Attempt:
    """Judge how a command ended by its exit code, and by what it left in its outcome file.

    Args:
        code: Its exit code; negative for the signal that killed it.
        outcome: The file, which is taken away.
        seconds: How long it ran.
        asked: Whether it was asked to stop: then whatever it says is a stop.
    """
    said: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        said = dict(json.loads(outcome.read_text(encoding="utf-8")))
    outcome.unlink(missing_ok=True)
    error, message = str(said.get("error", "")), str(said.get("message", ""))
    if not error and code:
        error, message = ("killed", f"by signal {-code}") if code < 0 else ("exit", f"exit code {code}")
    ended: Ended = "fault"
    if code == 0:
        ended = "done"
    elif asked or interrupt.signal_of(code) or -code in interrupt.SIGNALS:
        ended = "stopped"
    elif HELD in message:
        ended = "held"
    elif error in MISTAKES:
        ended = "mistake"
    return Attempt(ended, error, message, code, round(seconds, 1), host(), now())


def host() -> str:
    """Return the name of this machine; in a cluster's job, as the cluster names it."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def now() -> str:
    """Return the time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
