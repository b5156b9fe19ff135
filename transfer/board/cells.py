"""Pool the repetitions of each row and column of the leaderboard into one cell."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from transfer.board.columns import Column


@dataclass(frozen=True)
class Cell:
    """The pooled repetitions of one row under one column."""

    mean: float | None
    """None where every run said it could not be computed."""
    std: float | None
    """Sample standard deviation (divisor n − 1); None for n < 2."""
    n: int
    """Numbers pooled: runs over all seeds, of the pre-training and of the transfer."""
    best: bool
    """Whether it is the best of its column, to the digits shown."""
    entries: tuple[int, ...]
    """The runs, as indices into `Leaderboard.entries`."""


def pooled(values: pd.DataFrame, columns: Sequence[Column]) -> dict[tuple[int, int], Cell]:
    """Pool the lines of `Leaderboard.values`: (row, column) → cell."""
    groups = values.groupby(["row", "column"], sort=False)
    table = groups["value"].agg(["mean", "std", "count"])
    entries: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, column, entry in zip(*(values[name].tolist() for name in ("row", "column", "entry")), strict=True):
        entries[row, column].append(entry)
    table["best"] = _best(table, columns)
    lines = table[["mean", "std", "count", "best"]].itertuples(name=None)
    return {
        pair: Cell(mean if n else None, std if n > 1 else None, n, best, tuple(entries[pair]))
        for pair, mean, std, n, best in lines
    }


def _best(table: pd.DataFrame, columns: Sequence[Column]) -> pd.Series:
    """Tell which means are the best of their column, to the digits shown; none where fewer than two rows have a number."""
    column = table.index.get_level_values("column").to_numpy(dtype=int)
    sign = np.array([one.metric.sign for one in columns], dtype=float)[column]
    digits = np.array([one.metric.digits for one in columns], dtype=int)[column]
    scale = 10.0**digits
    score = pd.Series(np.rint(table["mean"].to_numpy() * scale) / scale * sign, index=table.index)
    by_column = score.groupby(level="column")
    return (score == by_column.transform("max")) & (by_column.transform("count") > 1) & (sign != 0)
