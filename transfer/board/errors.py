"""Estimate how much the pre-trainings of a column differ by chance, pooled over its rows, and the error of a difference.

Rows have one of three roles, each with a variance of its own, pooled over the rows that have it: untrained backbones, controls
(no augmentation), and all others. A control stands in every comparison of its rows, so that its variance, where it is not that
of the others, must not be theirs: with three times their variance and eight rows, a variance pooled over all would mark 11 % of
columns in which nothing differs (`tests/benchmarks/decisions.py`).

A row of one pre-training has no spread of its own, and borrows none: nothing says that it differs by chance as little as the
rows that were repeated (`docs/decisions.md` has what borrowing would do).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from transfer.board.cells import Spread, Unit, average, squares
from transfer.board.controls import CONTROL
from transfer.board.leaderboard import Row
from transfer.tasks import Noise

Role = Literal["untrained", "control", "other"]
ROUNDING = 1e-9
"""Fraction of a mean below which a standard deviation is rounding, and says nothing of chance."""


class Side(NamedTuple):
    """One side of a difference."""

    role: Role
    units: Sequence[Unit]


class Estimate(NamedTuple):
    """A difference and how far it may be off."""

    mean: float
    """Mean over all pre-trainings of one side, minus that of the other."""
    error: float
    """Standard error."""
    freedom: float
    """Degrees of freedom of the standard error, where all variances are equal."""
    share: float
    """Fraction of the variance that is the second side's."""
    paired: int
    """Pre-training seeds that both sides have."""


@dataclass(frozen=True)
class Errors:
    """The spreads of one column."""

    roles: Mapping[Role, Spread]
    """Role → spread of a row's units around their mean. A role without a repeated row is not in it."""
    prior: float
    """Degrees of freedom of a published spread that is counted in each of them; 0 without one."""
    paired: Spread | None
    """Spread of the difference of two units with one seed around its mean over seeds; None where no seed pairs twice."""

    def repeated(self, mine: Side, theirs: Side) -> Estimate | None:
        """Estimate the difference of two rows that both were repeated; None for all others, and as in `estimate`."""
        return self.estimate(mine, theirs) if min(len(mine.units), len(theirs.units)) > 1 else None

    def estimate(self, mine: Side, theirs: Side) -> Estimate | None:
        """Estimate the difference of two rows; None where nothing says how far it may be off.

        With n and m units, and c seeds in common, its variance is c/(nm) times that of a paired difference, plus what is
        left of 1/n and 1/m times the rows' own: the paired variance of the t test for pairs where all seeds pair, that of
        the test for two samples where none does, and without bias between them.

        NOTE: Degrees of freedom are Satterthwaite's, for equal variances. With estimated variances, that are of few
        pre-trainings, they are so small by chance that power is lost and the level isn't (`tests/benchmarks/decisions.py`).
        """
        n, m = len(mine.units), len(theirs.units)
        common = len(seeds(mine.units) & seeds(theirs.units)) if "untrained" not in (mine.role, theirs.role) else 0
        together = common / (n * m) if self.paired else 0.0
        parts: list[tuple[float, Spread | None, int]] = [(together, self.paired, 2)] if together else []
        parts += self._own([(mine.role, 1 / n - together), (theirs.role, 1 / m - together)])
        variance = sum(weight * spread.sd**2 for weight, spread, _ in parts if spread)
        mean = average(mine.units) - average(theirs.units)
        size = max(abs(average(mine.units)), abs(average(theirs.units)))
        if any(spread is None for _, spread, _ in parts) or variance**0.5 <= ROUNDING * size:
            return None
        of = [(weight * equal, spread.freedom) for weight, spread, equal in parts if spread]
        each = [weight / freedom for weight, freedom in of]
        common_prior = self.prior * (sum(each) ** 2 - sum(one**2 for one in each))  # counted in several spreads, it is one
        freedom = sum(weight for weight, _ in of) ** 2 / (sum(weight**2 / freedom for weight, freedom in of) + common_prior)
        return Estimate(mean, variance**0.5, freedom, n / (n + m), common)

    def _own(self, weights: Sequence[tuple[Role, float]]) -> list[tuple[float, Spread | None, int]]:
        """Give each weight the spread of its role, None where it has none; equal ones together."""
        parts: dict[Spread | None, float] = {}
        for role, weight in weights:
            if weight > ROUNDING:
                spread = self.roles.get(role)
                parts[spread] = parts.get(spread, 0.0) + weight
        return [(weight, spread, 1) for spread, weight in parts.items()]


def errors(rows: Mapping[int, Side], baseline_of: Mapping[int, int], prior: Noise | None) -> Errors:
    """Pool the spreads of one column.

    Args:
        rows: Row → its role and units.
        baseline_of: Row → the row it is compared with.
        prior: Published spread over pre-trainings, or None.
    """
    sums: dict[Role, tuple[float, float]] = {}
    for side in rows.values():
        freedom, total = sums.get(side.role, (0.0, 0.0))
        sums[side.role] = (freedom + len(side.units) - 1, total + squares([unit.mean for unit in side.units]))
    before = (prior.n - 1, (prior.n - 1) * prior.sd**2) if prior else (0, 0.0)
    roles = {role: _spread(freedom + before[0], total + before[1]) for role, (freedom, total) in sums.items()}
    pairs = _pairs(rows, baseline_of)
    return Errors({role: spread for role, spread in roles.items() if spread}, before[0], _paired(pairs, before))


def _pairs(rows: Mapping[int, Side], baseline_of: Mapping[int, int]) -> dict[int, list[list[float]]]:
    """Collect differences of units with one seed: control → for each row that is compared with it, its differences."""
    found: dict[int, list[list[float]]] = {}
    for row, baseline in baseline_of.items():
        if row in rows and baseline in rows and rows[baseline].role == "control":
            theirs = {unit.seed: unit.mean for unit in rows[baseline].units if unit.seed is not None}
            found.setdefault(baseline, []).append(
                [unit.mean - theirs[unit.seed] for unit in rows[row].units if unit.seed in theirs]
            )
    return found


def _paired(families: Mapping[int, list[list[float]]], before: tuple[float, float]) -> Spread | None:
    """Pool the variance of paired differences, of twice the variance of a unit.

    The k differences to one control have its units in common, and correlate by a half: their variances by a quarter, so that
    they are worth 1 / (1 + (k − 1) / 4) of their degrees of freedom.
    """
    counted = worth = total = 0.0
    for family in families.values():
        repeated = [differences for differences in family if len(differences) > 1]
        freedom = sum(len(differences) - 1 for differences in repeated)
        counted += freedom
        worth += freedom * (1 + (len(repeated) - 1) / 4)
        total += sum(map(squares, repeated))
    if counted == 0:
        return None
    spread = _spread(counted + before[0], total + 2 * before[1])
    return spread and Spread(spread.sd, (counted + before[0]) ** 2 / (worth + before[0]))


def _spread(freedom: float, squares: float) -> Spread | None:
    return Spread((squares / freedom) ** 0.5, freedom) if freedom > 0 else None


def role(row: Row) -> Role:
    """Tell which role a row has."""
    if row.baseline:
        return "untrained"
    return "control" if row.key.aug == CONTROL else "other"


def seeds(units: Sequence[Unit]) -> set[int]:
    """Return the known seeds of some pre-trainings."""
    return {unit.seed for unit in units if unit.seed is not None}
