"""Simulate leaderboards in which nothing differs, and some in which something does, and count what the report decides.

    python tests/benchmarks/decisions_claims.py [BOARDS]

Boards are made of records through the project's own functions; only the numbers are drawn. `sp` and `st` are the standard
deviations over pre-trainings and over fine-tunings, in units of the metric (cosines have 1/20 of it). Prints Markdown tables.
"""

import dataclasses
import itertools
import runpy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transfer.board.claims import claims
from transfer.board.factors import explained
from transfer.board.leaderboard import Leaderboard, RowKey, leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries = _shared["made"], _shared["entries"]

PAPER = ("none", "random-erasing", "cutout", "cutmix", "mixup")
SIZES = {2: ("none", "cutout"), 5: PAPER, 8: (*PAPER, "gridmask", "hide", "paste")}
SUPERVISIONS: tuple[dict[str, Any], ...] = (
    {"supervision": "self", "label_fraction": 0.0},
    {"supervision": "semi", "label_fraction": 0.5},
    {"supervision": "full", "label_fraction": 1.0},
)
NAMES = ("masking", "labels", "MixUp best", "MixUp marginal", "aug > method")
COSINE = 0.05
"""Points of top-1 that a simulated spread of 1 in a cosine is."""
MARGIN = 0.02
Effect = Callable[[RowKey, str], float]
"""Row and metric → what is added to its numbers."""


@dataclasses.dataclass(frozen=True)
class Scene:
    """A board without numbers, and what its lines of numbers are of."""

    board: Leaderboard
    row: np.ndarray
    name: np.ndarray
    pretraining: np.ndarray
    """Index of row, seed and metric's task: what shares the draw over pre-trainings."""
    seed: np.ndarray
    """Index of seed and metric: what paired rows share."""
    scale: np.ndarray

    @classmethod
    def of(
        cls,
        rows: Sequence[Mapping[str, Any]],
        pre: int,
        trials: int,
        *,
        paired: bool = True,
        tasks: Sequence[str] = ("linear",),
    ) -> "Scene":
        """Lay out the records of some rows: each with as many pre-trainings, each measured and transferred that often."""
        records = []
        for place, (row, trial) in enumerate(itertools.product(rows, range(trials))):
            for seed in range(pre):
                at = {"seed": row.get("seed", seed if paired else seed + 100 * (place // trials)), "run_seed": trial}
                own = {key: value for key, value in row.items() if key != "seed"}
                records += [made(task, {"top1": 50.0}, **own, **at) for task in tasks]
                records.append(made("representation", {"Linv": 0.5, "Ldiv": 0.5}, kind="measure", **own, **at))
        board = leaderboard(entries(records))
        lines = [
            (row, column, board.entries[entry].record.checkpoint.provenance.seed or 0)
            for entry, row, column in board.values[["entry", "row", "column"]].itertuples(index=False)
        ]
        name = np.array([board.columns[column].name for _, column, _ in lines])
        scale = np.where(np.isin(name, ["Linv", "Ldiv"]), COSINE, 1.0)
        numbers = [np.unique(of, axis=0, return_inverse=True)[1] for of in (lines, [line[1:] for line in lines])]
        return cls(board, np.array([line[0] for line in lines]), name, numbers[0], numbers[1], scale)

    def draw(
        self,
        rng: np.random.Generator,
        sp: float,
        st: float,
        *,
        wide: str = "",
        effect: Effect | None = None,
        shared: float = 0.5,
    ) -> Leaderboard:
        """Fill in numbers.

        Args:
            rng: Source of the draws.
            sp: Standard deviation over pre-trainings.
            st: Standard deviation over fine-tunings.
            wide: An augmentation whose rows have three times the variance.
            effect: What is added.
            shared: Part of the variance over pre-trainings that rows of one seed have in common.
        """
        keys = [row.key for row in self.board.rows]
        size = np.array([3**0.5 if key.aug == wide else 1.0 for key in keys])[self.row]
        over = rng.normal(size=self.pretraining.max() + 1)[self.pretraining] * (1 - shared) ** 0.5 * size
        over += rng.normal(size=self.seed.max() + 1)[self.seed] * shared**0.5
        values = self.scale * (sp * over + st * size * rng.normal(size=len(self.row))) + np.where(self.scale < 1, 0.5, 50.0)
        if effect:
            added = {
                pair: effect(keys[pair[0]], pair[1]) for pair in set(zip(self.row.tolist(), self.name.tolist(), strict=True))
            }
            values += [added[pair] for pair in zip(self.row.tolist(), self.name.tolist(), strict=True)]
        return dataclasses.replace(self.board, values=self.board.values.assign(value=values))


def decisions(
    scene: Scene, boards: int, *, drawn: Callable[[np.random.Generator], Effect] | None = None, **how: Any
) -> dict[str, Counter[str]]:
    """Count the verdicts of every claim over boards; `drawn` draws the effects of each board anew."""
    rng = np.random.default_rng(0)
    counts: dict[str, Counter[str]] = {name: Counter() for name in NAMES}
    for _ in range(boards):
        board = scene.draw(rng, **how, **({"effect": drawn(rng)} if drawn else {}))
        for name, claim in zip(NAMES, claims(board, explained(board)), strict=False):
            counts[name][claim.verdict] += 1
    return counts


def crossed(augs: int, methods: int) -> list[dict[str, Any]]:
    """List the rows of augmentations crossed with methods of one pipeline."""
    pipeline = {"recipe.pipeline": "shared"}
    return [{"aug": f"a{a}", "method": f"m{m}", "settings": pipeline} for a in range(augs) for m in range(methods)]


def of_levels(aug: float, method: float) -> Callable[[np.random.Generator], Effect]:
    """Draw an effect for every augmentation and every method, normal with these standard deviations."""

    def drawn(rng: np.random.Generator) -> Effect:
        a, m = rng.normal(0, aug, 10), rng.normal(0, method, 10)
        return lambda key, name: float(a[int(key.aug[1:])] + m[int(key.method[1:])])

    return drawn
