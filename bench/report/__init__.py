"""`bench report`: every `result.json` below some folders → terminal table, Markdown, CSV and one page.

A rendering is one module with one function of the leaderboard; adding one is one file and one line of `RENDERINGS`.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.report.gather import Problem, gather
from pretrain.errors import RecordError
from transfer.leaderboard import Leaderboard, leaderboard

RENDERINGS: dict[str, str] = {
    "leaderboard.md": "bench.report.markdown",
    "leaderboard.csv": "bench.report.csv",
    "leaderboard.html": "bench.report.page",
}
"""File → module whose `render(board, problems, out)` returns its text; `out` is the folder it will lie in."""


@dataclass(frozen=True)
class Report:
    """What `report` did."""

    board: Leaderboard
    written: tuple[Path, ...]
    problems: tuple[Problem, ...]
    """What was left out, each with its path; empty where everything was read. Not empty: the command exits with 2."""


def report(runs: Sequence[Path], out: Path, console: Console | None = None) -> Report:
    """Read the records below `runs`, print the table, write the files of `RENDERINGS` into `out`.

    Raises:
        RecordError: If there is no good record, or `out` can't be written.
    """
    entries, problems = gather(runs)
    board = leaderboard(entries)
    problems += tuple(Problem.conflict(conflict) for conflict in board.conflicts)
    texts = {name: importlib.import_module(module).render(board, problems, out) for name, module in RENDERINGS.items()}
    written = tuple(_write(out / name, text) for name, text in texts.items())
    terminal = importlib.import_module("bench.report.terminal")
    terminal.show(board, problems, console or Console())
    return Report(board, written, problems)


def _write(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        raise RecordError(f"can't write {path}", seen=error, fix="pass another folder with --out") from None
    return path
