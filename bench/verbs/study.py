"""`bench study`: plan, run and watch what a study file asks for."""

import importlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.study import PLACES, child, live, view
from bench.study import plan as planning
from bench.study import snakefile as snakefiles
from bench.study.cost import Costs
from bench.study.forecast import Forecast, forecast
from bench.study.plan import StudyPlan
from bench.study.single import LOOK_EVERY
from bench.study.slurm import stopping
from bench.study.states import Look, Observer, State
from pretrain.core import atomic
from pretrain.core.counts import counted
from pretrain.core.errors import BenchError, ConfigError

FIRST_SHOWN = 20
"""Commands that a dry run prints at most."""


def plan(file: Path, found: Sequence[Path], devices: int, *, as_json: bool, snakefile: Path | None = None) -> None:
    """Print what would run and what it costs; writes nothing but the Snakefile that is asked for.

    Raises:
        ConfigError: With everything that is wrong in the file.
    """
    made = _forecast(planning.read(file), found, devices)
    if snakefile is not None:
        content = snakefiles.text(made.look, found)
        with atomic.replacing(snakefile) as target:
            target.write(content.encode())
    print(json.dumps(view.plain(made), indent=1) if as_json else "\n".join(view.plan(made)))


def run(file: Path, found: Sequence[Path], on: str, options: Mapping[str, Any], *, watch: bool, dry_run: bool) -> int:
    """Run what is not done; returns 0 if all is, 1 if some of it can't be, 3 if it was stopped.

    Raises:
        ConfigError: For an unknown place, or with everything that is wrong in the file.
    """
    place = _place(on)
    if dry_run:
        made = _forecast(planning.read(file), found, options.get("workers") or 1)
        first = made.order.sorted(made.look.having(State.READY))[:FIRST_SHOWN]
        print("\n".join([*view.plan(made), "first:", *(f"  {made.look.line(cell)}" for cell in first), *place.preview(made)]))
        return 0
    with live.Screen(Console(stderr=True)) as screen:

        def show(look: Look, observer: Observer) -> None:
            if watch:
                screen.show(look, observer)

        code: int = place.run(file, tuple(found), {**options, "watch": watch}, screen.say, show)
    return code


def status(file: Path, found: Sequence[Path], *, watch: bool, failed: bool, as_json: bool) -> None:
    """Print what has become of the cells; with `watch`, again and again until nothing is left to wait for.

    Raises:
        ConfigError: With everything that is wrong in the file.
    """
    plan = planning.read(file)
    observer = Observer.of(plan, found)
    look = observer.look(plan)
    if as_json:
        print(json.dumps(view.plain(forecast(look, Costs(observer.records.all()), 1)), indent=1))
        return
    if watch:
        look = _watched(file, look, observer)
    shown = [] if failed else live.fitted(live.states(look, observer))
    print("\n".join([*shown, *view.failures(look, observer.attempts)]))


def _watched(file: Path, look: Look, observer: Observer) -> Look:
    """Show a study until nothing is left to wait for, and return the last look; while its file is wrong, the last good one
    counts.
    """
    plan, wrong = look.plan, ""
    with live.Screen(Console()) as screen:
        while True:
            screen.show(look, observer)
            if not look.having(State.READY, State.RUNNING):
                return look
            time.sleep(LOOK_EVERY)
            try:
                plan = planning.read(file)
            except BenchError as error:
                if str(error) != wrong:
                    screen.say(f"{file} has changed and can't be used; the former plan is shown\n{error}")
                wrong = str(error)
            look = observer.look(plan)


def retry(file: Path, cells: Sequence[str], found: Sequence[Path] = (), *, failed: bool) -> None:
    """Forget the failures of some cells, or of all, so that the next `run` starts them again.

    Raises:
        ConfigError: For a cell that the study has not, or that has not failed.
    """
    plan = planning.read(file)
    observer = Observer.of(plan, found)
    look = observer.look(plan)
    all_failed = look.having(State.FAILED)
    unasked = [cell for cell in look.having(State.RUNNING) if observer.unasked(cell.id)]
    if failed == bool(cells):
        raise ConfigError("which cells?", allowed="names of cells, or --failed for all that have failed")
    chosen = all_failed if failed else [plan.find(name) for name in cells]
    for cell in chosen:
        if cell not in [*all_failed, *unasked]:
            raise ConfigError("only what has failed is tried again", seen=f"{cell.id} is {look.states[cell.id]}")
    observer.attempts.retry(cell.id for cell in chosen)
    print(f"{counted(len(chosen), 'cell')} will be started again by `bench study run`")
    for cell in chosen:
        print(cell.folder.name)


def stop(file: Path, *, now: bool) -> None:
    """Tell whoever runs the study to start nothing more; with `now`, to let what runs save and stop.

    Raises:
        ConfigError: With everything that is wrong in the file.
    """
    home = planning.read(file).home
    home.mkdir(parents=True, exist_ok=True)
    child.stop_file(home).write_text("now\n" if now else "", encoding="utf-8")
    print("nothing more is started" + (", and what runs saves and stops" if now else "; what runs goes on") + ", until `run`")
    waiting = stopping.cancel_waiting(home)
    if waiting:
        print(f"cancelled: {counted(waiting, 'job')} that waited; the cells are free for the next `run`")


def cell(file: Path, names: Sequence[str], on: str, found: Sequence[Path], *, wait: bool = False) -> int:
    """Do cells here, as a place does; returns the exit code. While another process runs one, that is an error; with `wait`, it
    is waited for.

    Raises:
        ConfigError: For an unknown place, if the study has no such cell, or it can't be started now.
        Interrupted: After a signal, when the command has saved.
    """
    code: int = _place(on).do(file, names, tuple(found), wait=wait)
    return code


def _place(on: str) -> Any:
    """Return the module of a place to run.

    Raises:
        ConfigError: If there is none of this name.
    """
    if on not in PLACES:
        raise ConfigError.unknown("place to run", on, PLACES)
    return importlib.import_module(f"bench.study.{PLACES[on]}")


def _forecast(plan: StudyPlan, found: Sequence[Path], devices: int) -> Forecast:
    observer = Observer.of(plan, found)
    look = observer.look(plan)
    return forecast(look, Costs(observer.records.all()), devices)
