"""A study while it runs: bars, who works on what, what failed, and when it will be done; of 80 columns at most."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.study import running
from bench.study.attempts import Attempts
from bench.study.cells import Cell
from bench.study.cost import Costs
from bench.study.forecast import forecast
from bench.study.states import Look, Observer, State
from bench.study.view import SHOWN, by_task, failures, span, summary
from pretrain.core.counts import counted

COLUMNS = 80
BAR = 20


def states(look: Look, observer: Observer) -> Iterator[str]:
    """Yield the states of all cells, the predicted end, bars by task, and what runs where and how far it is."""
    yield summary(look)
    yield from end(look, observer)
    yield from _bars(look)
    yield from _running(look, observer.attempts)


def fitted(said: Iterable[str], columns: int = COLUMNS) -> Iterator[str]:
    """Break lines that are too long; what goes on is indented."""
    for line in (line for each in said for line in each.splitlines()):
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        yield from textwrap.wrap(line, columns, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False)


def end(look: Look, observer: Observer) -> Iterator[str]:
    """Say when everything will be done on the devices that work now; nothing while none works, or nothing is known."""
    busy = sum(cell.resource.devices for cell in look.having(State.RUNNING))
    made = forecast(look, Costs(observer.records.all()), max(busy, 1))
    if not busy or not made.estimates:
        return
    seconds, unknown = made.played.seconds, sum(made.unknown.values())
    at = datetime.now() + timedelta(seconds=seconds)
    besides = f"; without {counted(unknown, 'cell')} whose time no record tells" * bool(unknown)
    working = f"{busy} devices that work" if busy > 1 else "one device that works"
    yield f"end: {at:%a %d %b %H:%M}, in {span(seconds)}, on the {working} now{besides}"


def _bars(look: Look) -> Iterator[str]:
    for task, cells in by_task(look).items():
        counts = Counter(look.states[cell.id] for cell in cells)
        done = counts[State.DONE]
        others = "".join(f", {counts[state]:,} {state}" for state in State if state is not State.DONE and counts[state])
        bar = "█" * int(BAR * done / len(cells))
        yield f"  {task:<20} {bar:·<{BAR}} {done:>5,} of {len(cells):,}{others}"


def _running(look: Look, attempts: Attempts) -> Iterator[str]:
    """Tell of what runs: on which devices, its stage, step and time left; or of its job where it waits for one."""
    cells = [(attempts.place(cell.id), cell) for cell in look.having(State.RUNNING)]
    for place, cell in sorted(cells, key=lambda each: each[0])[:SHOWN]:
        said = [part for part in (_step(cell), str(look.jobs.get(cell.id) or look.why.get(cell.id) or "")) if part]
        yield f"  {place or 'running'}: {cell.id} {cell.folder.name}: {'; '.join(said) or 'no step is logged yet'}"
    if len(cells) > SHOWN:
        yield f"  and {len(cells) - SHOWN:,} more running"


def _step(cell: Cell) -> str:
    at = running.read(cell.folder)
    if at is None:
        return ""
    left = "" if at.left is None else f", {span(at.left)} left"
    return f"{at.stage}, step {at.step:,} of {at.of:,}{left}"


class Screen:
    """Shows looks one after another: each in the former one's place on a terminal; elsewhere a line when something changed."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, auto_refresh=False, transient=True)
        self._said: set[str] = set()
        self._last = ""

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def say(self, line: str) -> None:
        """Print what happened, with the time."""
        self.console.print(f"{datetime.now():%H:%M:%S} {line}", highlight=False, markup=False, soft_wrap=True)

    def show(self, look: Look, observer: Observer) -> None:
        """Show a look."""
        if self.console.is_terminal:
            whole = [*states(look, observer), *failures(look, observer.attempts)]
            self.live.update(Text("\n".join(fitted(whole, min(COLUMNS, self.console.width)))), refresh=True)
            return
        now = summary(look)
        if now != self._last:
            self.say("; ".join([now, *end(look, observer)]))
        self._last = now
        for line in failures(look, observer.attempts):
            if line not in self._said:
                self.say(line)
            self._said.add(line)
