"""Simulate leaderboards and count what the report decides, through the project's own functions: records, board, decisions.

A column is decided on its own, so that one board of 2,000 columns is 2,000 boards of one. Nothing differs between the rows of
a null board; the others have one row that does. Printed beside: the t test of each cell on its own, which marks too many
columns in which nothing differs, and the same at a level divided by the comparisons (Bonferroni).

    python tests/benchmarks/decisions.py                                        # everything: hours
    python tests/benchmarks/decisions.py --columns 500 --powers 200 --ratios 1  # minutes
"""

import argparse
import itertools
import runpy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from transfer.board.best import best
from transfer.board.comparison import differences
from transfer.board.leaderboard import Leaderboard, leaderboard
from transfer.record import RunRecord

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries = _shared["made"], _shared["entries"]

REPETITIONS = ((1, 1), (1, 5), (2, 5), (3, 1), (3, 3), (5, 5))
"""Pre-trainings × trials."""
RATIOS = (0.0, 0.5, 1.0, 2.0)
"""Spread of pre-training over that of fine-tuning."""
VARIANCES = ("equal", "3:1 control", "3:1 rows")
"""Whose variance is three times that of the others: nobody's, the control's, every second other row's."""
MARGIN = 0.5
"""Smallest difference of interest of a metric that is a percentage."""
LEVEL = 0.05
COUNTED = (
    *(f"{name} {effect}" for effect in range(4) for name in ("ours", "t", "t/k")),
    "≈ wrong",
    "≈ right",
    "best missing",
    "bold",
    "◇ wrong",
)
"""What is counted: columns with a mark (effect 0), cells that are found (1 to 3 spreads), by the report and by t tests. Where
nothing differs, any row may be the truly best one, by as little as one likes: `best missing` counts how often it isn't bold, of
the row of which that is most often so, and `bold` how many rows are. `◇ wrong` counts the intervals over fine-tunings that
leave out the difference of their two checkpoints, which is zero where pre-trainings don't differ (ratio 0)."""
POWERS = ("found of 1 spread: ours / Bonferroni / t", "2 spreads", "3 spreads")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """One kind of board."""

    pretrainings: int
    trials: int
    ratio: float
    variances: str
    paired: bool
    rows: int

    @property
    def spread(self) -> float:
        """Return the standard deviation of a unit of pre-training, where that of fine-tuning is 1."""
        return float((self.ratio**2 + 1 / self.trials) ** 0.5)


def draw(setting: Setting, columns: int, rng: np.random.Generator) -> Numbers:
    """Draw the noise of a board, (columns, rows, pre-trainings, trials).

    With pairs, half the variance of a pre-training belongs to its seed, in all rows alike.
    """
    shape = (columns, setting.rows, setting.pretrainings)
    own = rng.normal(size=shape)
    if setting.paired:
        own = (own + rng.normal(size=(columns, 1, setting.pretrainings))) / 2**0.5
    scale = np.ones((setting.rows, 1))
    if setting.variances == "3:1 control":
        scale[0] = 3**0.5
    elif setting.variances == "3:1 rows":
        scale[1::2] = 3**0.5
    noise = setting.ratio * own[..., None] + rng.normal(size=(*shape, setting.trials))
    return noise * scale[..., None]


def records(numbers: Numbers, *, paired: bool) -> Iterator[RunRecord]:
    """Make the records of a board: one per run, with one metric per column; the first row is the control."""
    columns, rows, pretrainings, trials = numbers.shape
    names = [f"m{column:05d}" for column in range(columns)]
    for row, pretraining, trial in itertools.product(range(rows), range(pretrainings), range(trials)):
        seed = pretraining if paired else pretraining + 100 * row
        values = (50 + numbers[:, row, pretraining, trial]).tolist()
        aug = f"a{row}" if row else "none"
        yield made(metrics=dict(zip(names, values, strict=True)), aug=aug, seed=seed, run_seed=trial)


def decided(board: Leaderboard) -> dict[str, NDArray[np.bool_]]:
    """Decide a board: answer → (columns, rows), whether it was given."""
    found = differences(board)
    answers = np.array([[found[row, column.index].answer for row in range(1, len(board.rows))] for column in board.columns])
    return {answer: answers == answer for answer in ("different", "equivalent", "undecided", "two checkpoints")}


def bold(board: Leaderboard) -> dict[str, float]:
    """Count how often the row that is least often bold isn't, and how many rows are, in percent."""
    found = best(board)
    shown = np.array([[(row, column.index) in found for row in range(len(board.rows))] for column in board.columns])
    return {"best missing": 100 * float((~shown).mean(0).max()), "bold": 100 * float(shown.mean())}


def ordinary(numbers: Numbers, *, paired: bool) -> Numbers:
    """Return the p-values of the t test of each row against the control, over pre-trainings: (columns, rows − 1)."""
    units = numbers.mean(3)
    if units.shape[2] < 2:
        return np.ones((units.shape[0], units.shape[1] - 1))
    test = stats.ttest_rel if paired else stats.ttest_ind
    found: Numbers = test(units[:, 1:], units[:, :1], axis=2).pvalue
    return found


def simulate(setting: Setting, columns: int, powers: int, seed: int) -> dict[str, float]:
    """Simulate one kind of board; return what is counted, in percent of columns.

    Args:
        setting: The kind.
        columns: Columns in which nothing differs, and in which every row differs by exactly what is of interest.
        powers: Columns in which one row differs.
        seed: Of the draws.
    """
    rng = np.random.default_rng([seed, setting.pretrainings, setting.trials, int(2 * setting.ratio), setting.rows])
    counted: dict[str, float] = {}
    comparisons = setting.rows - 1
    for effect in (0, 1, 2, 3) if powers and setting.pretrainings > 1 else (0,):
        noise = draw(setting, powers if effect else columns, rng)
        noise[:, 1] += effect * setting.spread * (3**0.5 if setting.variances == "3:1 rows" else 1)
        board = leaderboard(entries([*records(noise, paired=setting.paired)]))
        different = decided(board)["different"]
        if effect == 0 and setting.pretrainings > 1:
            counted |= bold(board)
        if setting.pretrainings == 1 and setting.trials > 1 and setting.ratio == 0:
            halves = [(found.mean, found.half) for found in differences(board).values()]
            counted["◇ wrong"] = 100 * sum(half is not None and abs(mean) > half for mean, half in halves) / len(halves)
        p = ordinary(noise, paired=setting.paired)
        hits = {"ours": different, "t": p < LEVEL, "t/k": p < LEVEL / comparisons}
        for name, hit in hits.items():
            counted[f"{name} {effect}"] = 100 * float((hit.any(1) if effect == 0 else hit[:, 0]).mean())
    small = draw(setting, columns, rng) * MARGIN / 6 / setting.spread
    small[:, 1:] += MARGIN  # the smallest difference that is of interest, in all rows
    equivalent = decided(leaderboard(entries([*records(small, paired=setting.paired)])))["equivalent"]
    counted["≈ wrong"] = 100 * float(equivalent.any(1).mean())
    if not powers:
        return counted
    small = small[:powers]
    small[:, 1:] -= MARGIN
    equivalent = decided(leaderboard(entries([*records(small, paired=setting.paired)])))["equivalent"]
    counted["≈ right"] = 100 * float(equivalent[:, 0].mean())
    return counted


def settings(ratios: Sequence[float], rows: Sequence[int]) -> Iterator[Setting]:
    """List all kinds of boards."""
    for ratio, (pretrainings, trials), count, paired, variances in itertools.product(
        ratios, REPETITIONS, rows, (False, True), VARIANCES
    ):
        yield Setting(pretrainings, trials, ratio, variances, paired, count)


def summary(lines: pd.DataFrame) -> str:
    """Write the table of `docs/decisions.md`: means over ratios and variances, and the worst kind of board."""
    table = [
        "| repetitions | seeds | rows | marked of null: ours | worst kind | t | Bonferroni | "
        + " | ".join(POWERS)
        + " | ≈ wrong, worst | ≈ found | best not bold, worst | bold |"
    ]
    table.append("| :-- | :-- " + "| --: " * (table[0].count("|") - 3) + "|")
    for (repetitions, seeds, rows), group in lines.groupby(["pre × trials", "seeds", "rows"], sort=False):
        mean = group[list(COUNTED)].mean()
        null = [mean["ours 0"], group["ours 0"].max(), mean["t 0"], mean["t/k 0"]]
        texts = [_number(value) for value in null]
        texts += [" / ".join(_number(mean[f"{name} {effect}"]) for name in ("ours", "t/k", "t")) for effect in (1, 2, 3)]
        texts += [_number(group["≈ wrong"].max()), _number(mean["≈ right"])]
        texts += [_number(group["best missing"].max()), _number(mean["bold"])]
        table.append(f"| {repetitions} | {seeds} | {rows} | {' | '.join(texts)} |")
    return "\n".join(table)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1f}"


def main() -> None:
    """Count every kind of board; write one line for each to a file, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, default=2000, help="boards of each kind")
    parser.add_argument("--powers", type=int, default=2000, help="boards of each kind with a row that differs")
    parser.add_argument("--ratios", type=float, nargs="+", default=list(RATIOS))
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--pretrainings", type=int, nargs="+", default=[1, 2, 3, 5])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("decisions.tsv"), help="one line for each kind of board")
    given = parser.parse_args()
    lines = []
    for setting in settings(given.ratios, given.rows):
        if setting.pretrainings in given.pretrainings:
            about = (f"{setting.pretrainings} × {setting.trials}", setting.ratio, setting.variances)
            seeds = "paired" if setting.paired else "unpaired"
            counted = simulate(setting, given.columns, given.powers, given.seed)
            lines.append((*about, seeds, setting.rows, *(counted.get(name) for name in COUNTED)))
            found = pd.DataFrame(lines, columns=["pre × trials", "ratio", "variances", "seeds", "rows", *COUNTED]).astype(
                dict.fromkeys(COUNTED, float)
            )
            found.to_csv(given.out, sep="\t", index=False, float_format="%.1f")
    print(summary(found))


if __name__ == "__main__":
    main()
