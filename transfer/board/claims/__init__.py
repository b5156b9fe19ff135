"""Test what the sources claim on the runs at hand: supported, contradicted or undecided. One module for each source."""

from collections.abc import Mapping, Sequence

from transfer.board.claims import algorithms, deep_dive, exploring
from transfer.board.claims.blocks import Numbers
from transfer.board.claims.judge import Claim
from transfer.board.factors import Explained, places
from transfer.board.last_epochs import Seeds
from transfer.board.leaderboard import Leaderboard


def claims(
    board: Leaderboard,
    explained: Sequence[Explained],
    interests: Mapping[str, float] | None = None,
    planned: Seeds | None = None,
) -> tuple[Claim, ...]:
    """Test every claim.

    Args:
        board: The leaderboard.
        explained: The variance of its columns by factor.
        interests: Metric → smallest difference of interest, where it isn't the declared one.
        planned: Rows that count as if they had been run, for what the claims are about.
    """
    numbers = Numbers.of(board, interests, planned)
    return (*exploring.claims(numbers), algorithms.claim(explained, places(board, planned)), *deep_dive.claims())
