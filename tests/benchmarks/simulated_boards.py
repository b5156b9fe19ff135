"""Make leaderboards of records whose numbers are drawn: what the simulations of claims and predictions share."""

import dataclasses
import itertools
import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transfer.board.leaderboard import Leaderboard, RowKey, leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries = _shared["made"], _shared["entries"]

SPREAD = 0.2
"""Points of top-1: the standard deviation over fine-tunings, and, where nothing else is said, over pre-trainings."""
COSINE = 0.02
"""What a cosine varies by where top-1 varies by a point."""
MEASURES = ("Linv", "Ldiv")
Effect = Callable[[RowKey, str], float]
"""Row and metric → what is added to its numbers."""
Effects = Callable[[np.random.Generator], Effect]
"""Draws the effects of one board."""


def nothing(rng: np.random.Generator) -> Effect:
    """Add nothing to any row."""
    return lambda key, name: 0.0


@dataclasses.dataclass(frozen=True)
class Scene:
    """A board without numbers, and what each of its N numbers is of."""

    board: Leaderboard
    row: np.ndarray
    name: np.ndarray
    """Its metric."""
    pretraining: np.ndarray
    """Number of its row, column and seed: what shares a draw over pre-trainings."""
    seed: np.ndarray
    """Number of its column and seed: what rows of one seed share."""

    @classmethod
    def of(
        cls,
        rows: Sequence[Mapping[str, Any]],
        pre: int,
        trials: int,
        tasks: Sequence[str] = ("linear",),
        *,
        paired: bool = True,
    ) -> "Scene":
        """Lay out rows, each with as many pre-trainings, each of them measured and transferred that often."""
        records = []
        for (place, row), seed, trial in itertools.product(enumerate(rows), range(pre), range(trials)):
            at = {"seed": seed if paired else seed + 100 * place, "run_seed": trial} | row
            records += [made(task, {"top1": 50.0}, **at) for task in tasks]
            records.append(made("representation", dict.fromkeys(MEASURES, 0.5), kind="measure", **at))
        board = leaderboard(entries(records))
        of = [entry.record.checkpoint.provenance.seed or 0 for entry in board.entries]
        lines = [
            (row, column, of[entry]) for entry, row, column in board.values[["entry", "row", "column"]].to_numpy().tolist()
        ]
        numbers = [np.unique(part, axis=0, return_inverse=True)[1] for part in (lines, [line[1:] for line in lines])]
        name = np.array([board.columns[column].name for _, column, _ in lines])
        return cls(board, np.array([row for row, *_ in lines]), name, *numbers)

    def draw(
        self, rng: np.random.Generator, ratio: float = 1.0, wide: str = "", effects: Effects = nothing, shared: float = 0.5
    ) -> Leaderboard:
        """Fill in numbers.

        Args:
            rng: Source of the draws.
            ratio: Spread over pre-trainings, over that over fine-tunings.
            wide: An augmentation whose rows have three times the variance.
            effects: What is added.
            shared: Part of the variance over pre-trainings that rows of one seed have in common.
        """
        keys, effect = [row.key for row in self.board.rows], effects(rng)
        size = np.array([3**0.5 if key.aug == wide else 1.0 for key in keys])[self.row]
        over = rng.normal(size=self.pretraining.max() + 1)[self.pretraining] * (1 - shared) ** 0.5 * size
        over += rng.normal(size=self.seed.max() + 1)[self.seed] * shared**0.5
        lines = list(zip(self.row.tolist(), self.name.tolist(), strict=True))
        added = {(row, name): effect(keys[row], name) for row, name in set(lines)}
        values = SPREAD * (ratio * over + size * rng.normal(size=len(lines))) + [added[line] for line in lines]
        cosine = np.isin(self.name, MEASURES)
        values = np.where(cosine, 0.5 + COSINE * values, 50.0 + values)
        return dataclasses.replace(self.board, values=self.board.values.assign(value=values))
