"""Show a run's progress: the stage, how far it is, the time left, the last values."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from bench import FIRST

QUIET_EVERY = 20.0
"""Seconds between lines where the output is no terminal."""
_SHOWN = {"loss": "loss {:.3f}", "lr": "lr {:.2g}", "images_per_second": "{:.0f} img/s", "accuracy": "accuracy {:.0%}"}
"""Value of a step → how it is shown; others are not."""


class TimeLeft(ProgressColumn):
    """Shows the time left, extrapolated from the fraction done so far."""

    def render(self, task: Task) -> Text:
        """`1:23 left`, or `–` before the first step."""
        if not task.completed or not task.total or task.elapsed is None:
            return Text("– left", style="cyan")
        return Text(f"{clock(task.elapsed * (task.total - task.completed) / task.completed)} left", style="cyan")


def clock(seconds: float) -> str:
    """Format seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display:
    """Draws bars on a terminal, and prints a line now and then elsewhere. Its `hook` is a journal's progress."""

    def __init__(self, console: Console | None = None, overall: tuple[str, float] | None = None) -> None:
        """`overall`: title and total of a second bar, for several runs, which `part` moves."""
        self.console = console or Console(stderr=True, quiet=not FIRST)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(), TimeLeft(), TextColumn("{task.fields[values]}"), console=self.console, transient=True,
        )  # fmt: skip
        self._overall = self._bars.add_task(overall[0], total=overall[1], values="") if overall else None
        self._stage: TaskID | None = None
        self._name = ""
        self._weight = 0.0
        self._before = 0.0
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.console.is_terminal:
            self._bars.stop()

    def hook(self, stage: str, done: int, total: int, values: dict[str, float]) -> None:
        """Show a journal's step, or its line where the total is 0."""
        if total == 0:
            self.console.print(stage, highlight=False, soft_wrap=True, markup=False)
            return
        if stage != self._name or self._stage is None:
            if self._stage is not None:
                self._bars.remove_task(self._stage)
            self._stage, self._name = self._bars.add_task(stage, total=total, values=""), stage
        shown = " ".join(form.format(values[key]) for key, form in _SHOWN.items() if key in values)
        self._bars.update(self._stage, completed=done, total=total)
        if shown:
            self._bars.update(self._stage, values=shown)
        if self._overall is not None:
            self._bars.update(self._overall, completed=self._before + self._weight * done / total)
        self._line(stage, done, total, shown)

    def part(self, title: str, weight: float) -> None:
        """Move the overall bar to the next part, which is `weight` of its total."""
        self._before += self._weight
        self._weight = weight
        if self._overall is not None:
            self._bars.update(self._overall, completed=self._before, description=title)

    def _line(self, stage: str, done: int, total: int, shown: str) -> None:
        """Print a line every `QUIET_EVERY` seconds, where there is no terminal."""
        now = time.monotonic()
        if self.console.is_terminal or now - self._last_line < QUIET_EVERY:
            return
        self._last_line = now
        left = ""
        if self._overall is not None:
            bar = self._bars.tasks[self._overall]
            seconds = (now - self._began) * ((bar.total or 0) / max(bar.completed, 1) - 1)
            left = f"; {bar.description}, {clock(seconds)} left in all"
        self.console.print(f"{stage}: {done} of {total} {shown}".rstrip() + left, highlight=False, soft_wrap=True, markup=False)
