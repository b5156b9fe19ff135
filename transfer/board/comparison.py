"""Decide whether a row differs from its baseline: different, equivalent or undecided, for all rows of a column together.

A row's baseline is its control, the same pre-training without the augmentation; that of a control, and of a file that doesn't
say its augmentation, is the untrained backbone. What is compared are units of pre-training. `docs/decisions.md` says how.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtrit

from transfer.board.baselines import baselines
from transfer.board.cells import Count, Unit, average, count
from transfer.board.columns import Column
from transfer.board.controls import Control
from transfer.board.errors import Errors, Estimate, Role, Side, errors, role, seeds
from transfer.board.leaderboard import Leaderboard
from transfer.board.published_numbers import benchmark
from transfer.board.simultaneous import CONFIDENCE, critical
from transfer.metrics import smallest_interest
from transfer.tasks import Noise

TWO_SIDED = (1 + CONFIDENCE) / 2

Answer = Literal["different", "equivalent", "undecided", "two checkpoints", "no control"]
Families = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Difference:
    """One cell minus that of the baseline row."""

    baseline: int
    """Index of the baseline's row; without a control, of the row that comes nearest to one."""
    answer: Answer
    mean: float
    half: float | None
    """Half the width of the 95 % interval, for all comparisons of the column together; None where nothing says how large it
    is, as of one pre-training. Of two checkpoints: over fine-tunings, and for this comparison alone."""
    mine: Count
    theirs: Count
    paired: int = 0
    """Pre-training seeds that both rows have."""
    freedom: float | None = None
    """Degrees of freedom of the interval."""
    interest: float | None = None
    """The smallest difference of interest."""
    prior: Noise | None = None
    """The published spread that was counted in."""
    differing: tuple[str, ...] = ()
    """Without a control: the fields in which the nearest row differs."""

    @property
    def interval(self) -> tuple[float, float] | tuple[None, None]:
        """Return both ends of the interval."""
        return (None, None) if self.half is None else (self.mean - self.half, self.mean + self.half)


def differences(board: Leaderboard, interests: Mapping[str, float] | None = None) -> dict[tuple[int, int], Difference]:
    """Compare every cell with its baseline's: (row, column) → the difference, wherever both have a number.

    Args:
        board: The leaderboard.
        interests: Metric → smallest difference of interest, where it isn't the declared one.
    """
    of = baselines(board)
    made: dict[tuple[int, int], Difference] = {}
    for column, sides in columns(board).items():
        metric = board.columns[column]
        interest = smallest_interest(metric.name, interests or {})
        for row, found in _compared(sides, of, priors(metric), interest).items():
            made[row, column] = found
    return made


def columns(board: Leaderboard) -> dict[int, dict[int, Side]]:
    """Arrange the units: column → row → its side of a difference."""
    roles = [role(row) for row in board.rows]
    found: dict[int, dict[int, Side]] = {column.index: {} for column in board.columns}
    for (row, column), units in board.units.items():
        found[column][row] = Side(roles[row], units)
    return found


def _compared(
    sides: Mapping[int, Side], of: Mapping[int, Control], noises: Mapping[str, Noise], interest: float | None
) -> dict[int, Difference]:
    """Compare the rows of one column with their baselines.

    Args:
        sides: Row → its role and units.
        of: Row → its baseline.
        noises: What was repeated → a published spread over it.
        interest: The smallest difference of interest; None: there is none.
    """
    made: dict[int, Difference] = {}
    known = {row: one.row for row, one in of.items() if one.row is not None and row in sides and one.row in sides}
    for row, one in of.items():
        if one.row is None and one.nearest is not None and one.nearest in sides and row in sides:
            made[row] = _without_control(sides[row], sides[one.nearest], one)
    spreads = errors(sides, known, noises.get("pre-trainings"))
    estimates = {row: spreads.repeated(sides[row], sides[baseline]) for row, baseline in known.items()}
    families = _families(estimates, known)
    units = [(side.role, unit) for side in sides.values() for unit in side.units]
    trials = errors({index: _trials(*unit) for index, unit in enumerate(units)}, {}, noises.get("fine-tunings"))
    for row, baseline in known.items():
        mine, theirs = sides[row], sides[baseline]
        if len(mine.units) == len(theirs.units) == 1:
            made[row] = _two_checkpoints(baseline, mine, theirs, trials, noises.get("fine-tunings"))
        else:
            prior = noises.get("pre-trainings")
            made[row] = _decided(baseline, mine, theirs, estimates[row], families, interest, prior)
    return dict(sorted(made.items()))


def _families(estimates: Mapping[int, Estimate | None], baseline_of: Mapping[int, int]) -> Families:
    """Group the comparisons of a column by what they are with: what each has in common with the others of its group."""
    families: dict[int, list[float]] = {}
    for row, estimate in estimates.items():
        if estimate is not None:
            families.setdefault(baseline_of[row], []).append(estimate.share)
    return tuple(sorted(tuple(sorted(family)) for family in families.values()))


def _decided(
    baseline: int,
    mine: Side,
    theirs: Side,
    estimate: Estimate | None,
    families: Families,
    interest: float | None,
    prior: Noise | None,
) -> Difference:
    """Decide by the interval: equivalent where all of it is too small to be of interest, different where it leaves out zero."""
    counts = count(mine.units), count(theirs.units)
    if estimate is None:
        mean = average(mine.units) - average(theirs.units)
        return Difference(baseline, "undecided", mean, None, *counts, interest=interest)
    half = critical(families, estimate.freedom) * estimate.error
    answer: Answer = "different" if abs(estimate.mean) > half else "undecided"
    if interest is not None and abs(estimate.mean) + half < interest:
        answer = "equivalent"
    return Difference(
        baseline, answer, estimate.mean, half, *counts, estimate.paired, estimate.freedom, interest=interest, prior=prior
    )


def _two_checkpoints(baseline: int, mine: Side, theirs: Side, trials: Errors, prior: Noise | None) -> Difference:
    """Compare one pre-training with one: over fine-tunings, whose spread is pooled over the rows of a role."""
    estimate = trials.estimate(_trials(mine.role, mine.units[0]), _trials(theirs.role, theirs.units[0]))
    freedom = half = None
    if estimate is not None:
        freedom, half = estimate.freedom, float(stdtrit(estimate.freedom, TWO_SIDED)) * estimate.error
    mean = average(mine.units) - average(theirs.units)
    paired = len(seeds(mine.units) & seeds(theirs.units))
    counts = count(mine.units), count(theirs.units)
    return Difference(baseline, "two checkpoints", mean, half, *counts, paired, freedom, prior=prior)


def _trials(role: Role, unit: Unit) -> Side:
    """Take the fine-tunings of one pre-training for what is repeated."""
    return Side(role, [Unit(None, {seed: value}, value) for seed, value in unit.values.items()])


def _without_control(mine: Side, nearest: Side, control: Control) -> Difference:
    """Say from which row the difference would be, if it were a control."""
    assert control.nearest is not None
    mean = average(mine.units) - average(nearest.units)
    counts = count(mine.units), count(nearest.units)
    return Difference(control.nearest, "no control", mean, None, *counts, differing=control.differing)


def priors(column: Column) -> dict[str, Noise]:
    """Return the published spread of a column's metric, by what it is over; empty where there is none."""
    found = benchmark(column.protocol)
    noise = found.noise.get(column.name) if found else None
    return {noise.over: noise} if noise else {}
