"""A study in the terminal: the plan with its forecast, the states, and what failed."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from bench.progress import clock
from bench.study.attempts import Attempts
from bench.study.cells import Cell
from bench.study.forecast import GIB, Forecast, free
from bench.study.states import Look, State
from pretrain.core.counts import counted

SHOWN = 20
"""Cells that are listed at most."""
DAY = 86_400


def plan(forecast: Forecast) -> Iterator[str]:
    """Yield the plan in lines: cells by state and task, device hours, wall time, disk, memory, and what is impossible."""
    look, study = forecast.look, forecast.look.plan.study
    yield summary(look)
    for task, cells in by_task(look).items():
        left = sum(cell.id in forecast.to_do for cell in cells)
        hours = forecast.hours(task)
        cost = "nothing to do" if not left else "time unknown" if hours is None else _worked(hours)
        yield f"  {task:<32} {len(cells):>6,} {left:>6,} to do   {cost}"
    if look.plan.shared or look.plan.doubles:
        shared, doubles = counted(look.plan.shared, "pre-training"), counted(look.plan.doubles, "evaluation")
        yield f"  planned once: {shared} in several blocks, {doubles} named again"
    yield from _time(forecast)
    room = f"{free(look.plan.cells[next(iter(look.plan.cells))].folder.parent) / GIB:,.1f} GiB free"
    disk = "unknown until one of its pre-trainings is done" if forecast.disk is None else f"{forecast.disk / GIB:,.1f} GiB new"
    yield f"disk: {disk}; {room} in {study.runs}"
    if forecast.memory_mib:
        yield f"memory: {forecast.memory_mib / 1024:,.1f} GiB at most for a cell"
    yield from failures(look)


def _time(forecast: Forecast) -> Iterator[str]:
    if forecast.estimates:
        played, devices = forecast.played, forecast.devices
        on = f"on {counted(devices, 'device')}: {span(played.seconds)}, {1 - played.busy:.1%} idle or starting"
        yield f"time: {_worked(forecast.device_hours)}; {on}; longest chain {span(played.path)}"
        sources = Counter(each.source for each in forecast.estimates.values())
        yield "  from " + "; ".join(f"{source} ({counted(count, 'cell')})" for source, count in sources.most_common(4))
    unknown = forecast.unknown
    if unknown:
        yield "time unknown, no record is like: " + ", ".join(f"{task} × {count}" for task, count in unknown.items())
        yield "  --dry-run estimates one of them: `bench pretrain --dry-run`, `bench transfer --dry-run`"


def summary(look: Look) -> str:
    """Return one line: how many cells are in which state."""
    counts = look.counts()
    said = [f"{counts[state]:,} {state}" for state in State if counts[state]]
    return f"study {look.plan.study.study}: {counted(len(look.plan.cells), 'cell')}: {', '.join(said)}"


def by_task(look: Look) -> dict[str, list[Cell]]:
    """Group the cells by task, in the order of the file; measures under a swept probe together."""
    groups: dict[str, list[Cell]] = {}
    for cell in look.plan.cells.values():
        groups.setdefault(cell.task, []).append(cell)
    return groups


def failures(look: Look, attempts: Attempts | None = None) -> Iterator[str]:
    """Yield failed and impossible cells with what is wrong; of many with one reason the first few."""
    for state in (State.FAILED, State.IMPOSSIBLE):
        cells = look.having(state)
        for cell in cells[:SHOWN]:
            log = f"\n    log: {attempts.log(cell.id)}" if attempts and state is State.FAILED else ""
            why = look.why[cell.id].replace("\n", "\n    ")
            yield f"{state}: {cell.id} {cell.folder.name}\n    {why}{log}"
        if len(cells) > SHOWN:
            yield f"and {len(cells) - SHOWN} more {state}"


def _worked(hours: float) -> str:
    """Format the time that devices work."""
    return f"{hours:,.1f} device hours" if hours >= 1 else f"{hours * 60:,.1f} device minutes"


def span(seconds: float) -> str:
    """Format a time: `3.2 days`, or `1:02:03`."""
    return f"{seconds / DAY:,.1f} days" if seconds > 2 * DAY else clock(seconds)


def plain(forecast: Forecast) -> dict[str, Any]:
    """Return the plan as JSON values, every cell with its command, for other engines."""
    look = forecast.look
    return {
        "study": look.plan.study.study,
        "counts": {str(state): count for state, count in look.counts().items()},
        "shared": look.plan.shared,
        "named_again": look.plan.doubles,
        "device_hours": round(forecast.device_hours, 2),
        "wall_seconds": round(forecast.played.seconds),
        "devices": forecast.devices,
        "unknown": dict(forecast.unknown),
        "cells": [_cell(forecast, cell) for cell in look.plan.cells.values()],
    }


def _cell(forecast: Forecast, cell: Cell) -> dict[str, Any]:
    look, estimate = forecast.look, forecast.estimates.get(cell.id)
    return {
        "id": cell.id,
        "state": str(look.states[cell.id]),
        "why": look.why.get(cell.id),
        "needs": cell.needs,
        "command": list(cell.command(look.checkpoints.get(cell.id))),
        "folder": str(cell.folder),
        "devices": cell.resource.devices,
        "seconds": estimate and round(estimate.seconds, 1),
        "source": estimate and estimate.source,
    }
