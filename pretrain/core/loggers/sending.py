"""Send a run's log in a thread of its own, so that no step waits for it and no failure of it ends the run."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from pretrain.core.loggers import Logger

WAITING = 10_000
"""Lines that wait to be sent at most; one comes every ten steps. More are not sent. What a run's ends send is not counted."""
PATIENCE = 60.0
"""Seconds that the end of a run waits for its last lines to be sent."""
HURRY = 10.0
"""The same for a run that was stopped, or failed."""


class Sender:
    """Sends one run's log to one logger."""

    def __init__(self, logger: Logger) -> None:
        """Start nothing yet: the thread begins with the first line."""
        self.logger = logger
        self.lost = 0
        """Lines that could not be sent."""
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._hurry = threading.Event()

    def again(self, step: int) -> None:
        """Say that the next step has perhaps been sent before."""
        self._put(lambda: self.logger.again(step))

    def step(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Send what a step logged."""
        if self._jobs.qsize() >= WAITING:
            self._lose("it takes lines more slowly than they come")
            return
        now, kept = time.time(), dict(values)
        self._put(lambda: self.logger.step(stage, step, kept, now))

    def finish(self, metrics: Mapping[str, float], record: Mapping[str, Any]) -> None:
        """Send what the run measured."""
        self._put(lambda: self.logger.finish(metrics, record))

    def close(self, *, failed: bool) -> None:
        """Wait a while for what isn't sent yet, and end."""
        self._put(lambda: self.logger.close(failed))
        self._jobs.put(None)
        patience = HURRY if failed else PATIENCE
        if self._thread is not None:
            self._thread.join(patience)
            if self._thread.is_alive():
                self._hurry.set()
                self._said.put(f"{self.logger.name} was still busy after {patience:.0f} s: the run's folder has every line")
        if self.lost:
            self._said.put(f"{self.lost} lines were not sent to {self.logger.name}; the run's folder has every line")

    def said(self) -> list[str]:
        """Return what has gone wrong since this was asked last."""
        lines = []
        while not self._said.empty():
            lines.append(self._said.get())
        return lines

    def _put(self, job: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"log to {self.logger.name}", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._hurry.is_set():
            try:
                job()
            except Exception as error:  # a logger's own; the run goes on
                self._lose(" ".join(f"{type(error).__name__}: {error}".split())[:400])

    def _lose(self, why: str) -> None:
        if not self.lost:
            self._said.put(f"warning: a line was not sent to {self.logger.name} ({why}); the run goes on")
        self.lost += 1
