"""Show what changed between two sets of runs: rows, columns and cells that came, went or moved."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.report import words
from bench.report.content import Content
from transfer.board.cells import Cell
from transfer.board.columns import Column, ProtocolKey
from transfer.board.leaderboard import Leaderboard, RowKey

TOLERANCE = 1e-6
"""Means closer than this are the same."""

CellKey = tuple[RowKey, ProtocolKey, str]
"""What a cell is of in any set of runs: row, protocol and metric."""


class Change(NamedTuple):
    """One cell that isn't the same in both."""

    key: CellKey
    before: Cell | None
    after: Cell | None

    @property
    def word(self) -> Literal["new", "gone", "changed"]:
        """Say what became of it."""
        return "new" if self.before is None else "gone" if self.after is None else "changed"


def changes(before: Leaderboard, after: Leaderboard) -> list[Change]:
    """List the cells whose mean or repetitions differ, in the order of the second set, what is only in the first last."""
    old, new = _cells(before), _cells(after)
    found = [Change(key, old.get(key), new.get(key)) for key in dict.fromkeys([*new, *old])]
    return [change for change in found if not _same(change.before, change.after)]


def show(before: Content, after: Content, console: Console) -> None:
    """Print the changes as one table, and what was left out of either set."""
    found = changes(before.board, after.board)
    if found:
        console.print(_table(found, before, after))
    counts = Counter(change.word for change in found)
    said = [f"{counts[word]} {word}" for word in ("new", "gone", "changed")]
    console.print(", ".join([*said, f"{same(after.board, found)} the same"]))
    for problem in (*before.problems, *after.problems):
        console.print(Text(f"left out: {problem.message}", style="yellow"))


def same(after: Leaderboard, found: Sequence[Change]) -> int:
    """Count the cells of the second set that are as in the first."""
    return len(_cells(after)) - sum(change.after is not None for change in found)


def _cells(board: Leaderboard) -> dict[CellKey, Cell]:
    """Key every cell by what it is of, whatever else is in the set."""
    found = {}
    for row_index, row in enumerate(board.rows):
        for column in board.columns:
            if (row_index, column.index) in board.cells:
                found[row.key, column.protocol.key, column.name] = board.cells[row_index, column.index]
    return found


def _same(a: Cell | None, b: Cell | None) -> bool:
    """Whether two cells have as many repetitions and the same mean."""
    if a is None or b is None or a.count != b.count:
        return False
    if a.mean is None or b.mean is None:
        return a.mean is b.mean
    return abs(a.mean - b.mean) <= TOLERANCE


def _table(found: list[Change], before: Content, after: Content) -> Table:
    names = labels(before.board) | labels(after.board)
    heads = columns(before.board) | columns(after.board)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("pre-training", "column", "before", "after", "change"):
        left = name in ("pre-training", "column")
        table.add_column(name, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for (row, protocol, name), old, new in found:
        column = heads[protocol, name]
        texts = [words.cell(cell, column.metric) for cell in (old, new)]
        means = [cell.mean if cell else None for cell in (old, new)]
        moved = None if means[0] is None or means[1] is None else means[1] - means[0]
        titled = " ".join(filter(None, [words.clean(name), column.metric.direction]))
        head = f"{words.heading(column.protocol)} {titled} [{column.protocol.id}]"
        table.add_row(*map(Text, [names[row], head, *texts, words.signed(moved, column.metric.digits)]))
    return table


def labels(board: Leaderboard) -> dict[RowKey, str]:
    """Name the rows."""
    return dict(zip((row.key for row in board.rows), words.labels(board.rows), strict=True))


def columns(board: Leaderboard) -> dict[tuple[ProtocolKey, str], Column]:
    """Find the columns by protocol and metric."""
    return {(column.protocol.key, column.name): column for column in board.columns}
