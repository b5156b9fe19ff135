"""Test what the sources claim on the runs at hand: supported, contradicted or undecided. One module for each source."""

from collections.abc import Mapping, Sequence

from transfer.board.claims import algorithms, deep_dive, exploring
from transfer.board.claims.blocks import Numbers
from transfer.board.claims.judge import Claim
from transfer.board.factors import Explained
from transfer.board.leaderboard import Leaderboard


def claims(
    board: Leaderboard, explained: Sequence[Explained], interests: Mapping[str, float] | None = None
) -> tuple[Claim, ...]:
    """Test every claim.

    Args:
        board: The leaderboard.
        explained: The variance of its columns by factor.
        interests: Metric → smallest difference of interest, where it isn't the declared one.
    """
    return (*exploring.claims(Numbers.of(board, interests)), algorithms.claim(explained), *deep_dive.claims())
