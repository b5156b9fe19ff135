"""How the attempts at a cell ended: one line for each in `attempts.jsonl`, in the cell's folder beside the study file.

Nothing here says that a cell is done: its record does.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from bench.runs import lock
from pretrain.core import interrupt

CELLS = "cells"
FILE, LOG, OUTCOME = "attempts.jsonl", "log.txt", "outcome.json"
Ended = Literal["done", "stopped", "held", "mistake", "fault", "retry"]
"""How: a record was written; a signal; another process has the run; a person must act; the machine or a bug; `study retry`."""
MISTAKES = frozenset(
    {"ConfigError", "DataError", "ImageError", "CheckpointError", "ProofError", "EngineError", "RecordError", "TrainingError"}
)
"""Errors that the same command meets again until a person acts."""
HELD = "is held by another process"


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

    @property
    def alike(self) -> str:
        """Return what failures of one cause have in common: the class and the message's first line, without its digits."""
        line = self.message.partition("\n")[0]
        return f"{self.error}: {''.join(char for char in line if not char.isdigit())}"


@dataclass(frozen=True)
class Attempts:
    """The attempts at the cells of one study."""

    home: Path
    """Its folder."""

    def folder(self, cell: str) -> Path:
        """Return the folder of a cell's attempts."""
        return self.home / CELLS / cell

    def log(self, cell: str) -> Path:
        """Return the file of what a cell's command printed."""
        return self.folder(cell) / LOG

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
            file.write(json.dumps(asdict(attempt)) + "\n")

    def retry(self, cells: Iterable[str]) -> None:
        """Forget the failures of some cells."""
        for cell in cells:
            self.note(cell, Attempt("retry", at=now()))

    def held(self, cell: str) -> bool:
        """Return whether another process attempts a cell."""
        return lock.is_held(self.folder(cell))

    def failure(self, cell: str, retries: int) -> Attempt | None:
        """Return the attempt by which a cell has failed; None if it may be started: again after a fault of the machine, at
        most `retries` times.
        """
        failures: list[Attempt] = []
        for attempt in self.of(cell):
            if attempt.ended in ("retry", "done"):
                failures = []
            elif attempt.ended in ("mistake", "fault"):
                failures.append(attempt)
        if failures and (failures[-1].ended == "mistake" or len(failures) > retries):
            return failures[-1]
        return None


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
    return Attempt(ended, error, message, code, round(seconds, 1), socket.gethostname(), now())


def now() -> str:
    """Return the time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
