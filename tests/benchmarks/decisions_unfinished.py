"""Simulate the leaderboards of a study under way, in which seeds come in order, and count what the report decides by chance.

Nothing differs between the rows of these boards but how often each was pre-trained: the untrained backbone three times, one
control `m` times, the rows with an augmentation once but for the first few, which have two pre-trainings, and a second control
once. A mark is wrong wherever it stands. Columns are decided on their own, as in `decisions.py`.

    python tests/benchmarks/decisions_unfinished.py                 # everything: minutes
    python tests/benchmarks/decisions_unfinished.py --columns 500   # a minute
"""

import argparse
import itertools
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transfer.board.best import best
from transfer.board.comparison import differences
from transfer.board.leaderboard import leaderboard
from transfer.record import RunRecord

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries, RANDOM = _shared["made"], _shared["entries"], _shared["RANDOM"]

UNTRAINED = 3
"""Untrained backbones."""
ONCE = {"3×": 3.0, "½×": 0.5}
"""Standard deviation of the rows of one pre-training, over that of the control."""
UNEQUAL = {"3:1": 3**0.5, "9:1": 3.0}
"""Standard deviation of every second row, the untrained backbone or the control over that of the others, by variances."""
SPREADS = (
    "equal",
    *(f"{name} once" for name in ONCE),
    *(f"{name} {who}" for name in UNEQUAL for who in ("rows", "untrained", "control")),
)


@dataclass(frozen=True)
class Unfinished:
    """One kind of board of a study under way."""

    control: int
    """Pre-trainings of the control."""
    rows: int
    """Rows with an augmentation."""
    twice: int
    """How many of them have two pre-trainings."""
    spread: str
    """One of `SPREADS`."""

    def rows_of(self) -> list[tuple[dict[str, object], int, float]]:
        """List the rows: their provenance, how many pre-trainings they have, and the standard deviation of each."""
        size, _, who = self.spread.partition(" ")
        wide = (ONCE | UNEQUAL).get(size, 1.0)
        listed: list[tuple[dict[str, object], int, float]] = [
            (RANDOM, UNTRAINED, wide if who == "untrained" else 1.0),
            ({}, self.control, wide if who == "control" else 1.0),
            ({"supervision": "semi"}, 1, wide if who == "once" else 1.0),
        ]
        for row in range(self.rows):
            twice = row < self.twice
            of = (who == "once" and not twice) or (who == "rows" and row % 2 == 1)
            listed.append(({"aug": f"a{row}"}, 1 + twice, wide if of else 1.0))
        return listed

    def records(self, columns: int, rng: np.random.Generator) -> Iterator[RunRecord]:
        """Draw the records of a board, one per pre-training, with one metric per column."""
        for provenance, pretrainings, spread in self.rows_of():
            for seed in range(pretrainings):
                values = (50 + spread * rng.normal(size=columns)).tolist()
                metrics = {f"m{column:05d}": value for column, value in enumerate(values)}
                yield made(metrics=metrics, **{**provenance, "seed": seed})


def simulate(kind: Unfinished, columns: int, seed: int) -> dict[str, float]:
    """Simulate one kind of board; return what is counted, in percent.

    `▲▼`: columns with a mark. `decided`: comparisons that are more than ? and ◇. `best missing`: columns that have bold rows
    but not the truly best one, which may be any, of the row of which that is most often so. `bold`: rows that are.
    """
    rng = np.random.default_rng([seed, kind.control, kind.rows, kind.twice])
    board = leaderboard(entries([*kind.records(columns, rng)]))
    found, shown = differences(board), best(board)
    compared = sorted({row for row, _ in found})
    answers = np.array([[found[row, column.index].answer for row in compared] for column in board.columns])
    bold = np.array([[(row, column.index) in shown for row in range(len(board.rows))] for column in board.columns])
    missing = bold.any(1, keepdims=True) & ~bold
    return {
        "▲▼": 100 * float((answers == "different").any(1).mean()),
        "decided": 100 * float(np.isin(answers, ("different", "equivalent")).mean()),
        "best missing": 100 * float(missing.mean(0).max()),
        "bold": 100 * float(bold.mean()),
    }


def kinds() -> Iterator[Unfinished]:
    """List all kinds of boards."""
    for (control, twice), rows, spread in itertools.product(((2, 0), (3, 0), (2, 1), (3, 2)), (4, 8, 15), SPREADS):
        yield Unfinished(control, rows, twice, spread)


def main() -> None:
    """Count every kind of board, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, default=2000, help="boards of each kind")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for kind in kinds():
        numbers = ", ".join(f"{name} {value:.1f}" for name, value in simulate(kind, given.columns, given.seed).items())
        print(f"control {kind.control}, rows {kind.rows} ({kind.twice} twice), {kind.spread}: {numbers}", flush=True)


if __name__ == "__main__":
    main()
