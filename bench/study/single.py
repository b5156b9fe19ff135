"""One cell, here, with its output in the terminal."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from bench.study import child
from bench.study import plan as planning
from bench.study.cells import Cell
from bench.study.plan import StudyPlan
from bench.study.states import Look, Observer, State
from pretrain.core import interrupt
from pretrain.core.errors import ConfigError

LOOK_EVERY = 5.0
"""Seconds between two looks at what is waited for."""


def do(path: Path, names: Sequence[str], elsewhere: tuple[Path, ...], *, wait: bool = False) -> int:
    """Do cells one after another, until one ends otherwise than well; returns the exit code of the last one's command.

    Args:
        path: The study file.
        names: As `StudyPlan.find` takes them.
        elsewhere: Further folders with records.
        wait: Whether a cell that another process runs is waited for; else that is an error.

    Raises:
        ConfigError: If the study has no such cell, or it can't be started now.
        Interrupted: After a signal, when the command has saved.
    """
    plan = planning.read(path)
    observer = Observer.of(plan, elsewhere)
    code = 0
    for one in [plan.find(name) for name in names]:
        code = code or _one(one, plan, observer, wait=wait)
    return code


def _one(one: Cell, plan: StudyPlan, observer: Observer, *, wait: bool) -> int:
    while True:
        look = observer.look(plan)
        state = look.states[one.id]
        if state is State.DONE:
            print(f"already done: {look.folder(one)}")
            return 0
        if state is State.READY and (code := _done_here(one, look, observer)) is not None:
            return code
        if not wait or state not in (State.READY, State.RUNNING):
            seen = ": ".join(filter(None, [f"it is {state}", look.why.get(one.id)]))
            raise ConfigError(f"{one.id} can't be started now", seen=seen, fix="see `bench study status`")
        time.sleep(LOOK_EVERY)


def _done_here(one: Cell, look: Look, observer: Observer) -> int | None:
    """Run a cell's command and return its exit code; None if another process has just begun it."""
    with interrupt.listening("\nasking the command to save and to stop\n"):
        retries = look.plan.study.retries
        started = child.start(
            one, look.checkpoints.get(one.id), observer.attempts, retries, environment=os.environ, logged=False
        )
        if started is None:
            return None
        print(look.line(one), flush=True)
        while (ended := started.ended()) is None:
            if interrupt.asked():
                started.stop()
            time.sleep(0.1)
        signal = interrupt.asked()
    if signal is not None:
        raise interrupt.Interrupted(signal, "see its message above")
    return ended.code if ended.code is not None and ended.code >= 0 else 1
