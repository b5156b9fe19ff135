"""Find the rows that can't be told from the best of a column."""

from collections.abc import Mapping

from transfer.board.baselines import baselines
from transfer.board.cells import average
from transfer.board.comparison import columns, priors
from transfer.board.errors import Errors, Side, errors
from transfer.board.leaderboard import Leaderboard
from transfer.board.simultaneous import critical


def best(board: Leaderboard) -> frozenset[tuple[int, int]]:
    """List the cells that can't be told from the best of their column: (row, column). Where the row of the best mean has one
    pre-training, or no other row has two, none is.

    The row that is truly the best is left out of it in about 5 % of columns (Hsu 1981; `docs/decisions.md` has what was
    simulated): each row is compared with the one of the best mean, one-sided, at the level of a comparison with all others.
    """
    of = baselines(board)
    made: set[tuple[int, int]] = set()
    for column, sides in columns(board).items():
        sign = board.columns[column].metric.sign
        if sign and len(sides) > 1:
            known = {row: one.row for row, one in of.items() if one.row is not None}
            spreads = errors(sides, known, priors(board.columns[column]).get("pre-trainings"))
            made |= {(row, column) for row in _not_worse(sides, spreads, sign)}
    return frozenset(made)


def _not_worse(sides: Mapping[int, Side], spreads: Errors, sign: int) -> list[int]:
    """List the rows that can't be told from the one of the best mean; none where no row can be compared with it."""
    top = max(sides, key=lambda row: sign * average(sides[row].units))
    estimates = {row: spreads.repeated(sides[top], side) for row, side in sides.items() if row != top}
    if not any(estimates.values()):
        return []
    family = tuple(sorted(estimate.share for estimate in estimates.values() if estimate))
    worse = [
        row
        for row, estimate in estimates.items()
        if estimate and sign * estimate.mean > critical((family,), estimate.freedom, 1) * estimate.error
    ]
    return [row for row in sides if row not in worse]
