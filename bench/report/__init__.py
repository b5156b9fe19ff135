"""Report every `result.json` below some folders as a terminal table, Markdown, CSV, LaTeX, JSON and one page.

A rendering is one module with one function of the content; adding one is one file and one line of `RENDERINGS`.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench import places
from bench.report.content import Content
from bench.report.gather import Problem, gather, require_there
from pretrain.core.errors import RecordError
from transfer.board import published_numbers
from transfer.board.leaderboard import Leaderboard

RENDERINGS: dict[str, str] = {
    "leaderboard.md": "bench.report.markdown",
    "leaderboard.csv": "bench.report.csv",
    "leaderboard.tex": "bench.report.tex",
    "leaderboard.json": "bench.report.json",
    "leaderboard.html": "bench.report.page",
}
"""File → module whose `render(content, out)` returns its text; `out` is the folder it will lie in."""


@dataclass(frozen=True)
class Report:
    """What `report` read and wrote."""

    content: Content
    written: tuple[Path, ...]

    @property
    def board(self) -> Leaderboard:
        """Return the leaderboard."""
        return self.content.board

    @property
    def problems(self) -> tuple[Problem, ...]:
        """List what was left out, each with its path; where there is any, the command exits with 2."""
        return self.content.problems


def read(runs: Sequence[Path], interests: Mapping[str, float] | None = None) -> Content:
    """Read the records below some folders, and set up all that is computed from them.

    Args:
        runs: The folders.
        interests: Metric → smallest difference of interest, where it isn't the declared one.

    Raises:
        RecordError: If there is no good record.
    """
    entries, problems = gather(runs)
    return Content.of(entries, problems, published_numbers.read(places.published()), interests)


def report(
    runs: Sequence[Path], out: Path, console: Console | None = None, interests: Mapping[str, float] | None = None
) -> Report:
    """Read the records below `runs`, print the table, write the files of `RENDERINGS` into `out`.

    Raises:
        RecordError: If there is no good record, or `out` can't be written.
    """
    return publish(read(runs, interests), out, console)


def publish(content: Content, out: Path, console: Console | None = None, *, claims: bool = True) -> Report:
    """Print the table of some content, with the sources' claims or without, write the files of `RENDERINGS` into `out`.

    Raises:
        RecordError: If `out` can't be written.
    """
    texts = {name: importlib.import_module(module).render(content, out) for name, module in RENDERINGS.items()}
    written = tuple(write(out / name, text) for name, text in texts.items())
    terminal = importlib.import_module("bench.report.terminal")
    terminal.show(content, console or Console(), claims=claims)
    return Report(content, written)


def compare(before: Path, after: Path, console: Console | None = None, *, as_json: bool = False) -> bool:
    """Print what changed between two folders of runs; return whether every record of both was read.

    Raises:
        RecordError: If one of them has no good record.
    """
    first, second = read([before]), read([after])
    if as_json:
        compared = importlib.import_module("bench.report.answer").compared(first, second)
        compared.show()
        return not compared.left_out
    importlib.import_module("bench.report.diff").show(first, second, console or Console())
    return not (first.problems or second.problems)


def describe(run: Path, runs: Sequence[Path], out: Path | None = None, console: Console | None = None) -> tuple[Path, bool]:
    """Write the model card of a pre-training; return its path, and whether every record was read.

    Raises:
        RecordError: If `run` is no finished pre-training, a folder of runs is not there, or the card can't be written.
    """
    cards = importlib.import_module("bench.report.card")
    made = cards.own(run)
    require_there(runs)
    entries, problems = gather([run, *runs])
    for problem in problems:
        (console or Console()).print(f"left out: {problem.message}", style="yellow", markup=False)
    return write(out or run / cards.CARD, cards.render(made, entries)), not problems


def write(path: Path, text: str) -> Path:
    """Write a file whole or not at all.

    Raises:
        RecordError: If it can't be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        raise RecordError(f"can't write {path}", seen=error, fix="pass another folder with --out") from None
    return path
