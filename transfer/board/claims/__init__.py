"""Test what the sources claim on the runs at hand: supported, contradicted or undecided. One module for each source."""

from collections.abc import Sequence

from transfer.board.claims import algorithms, deep_dive, exploring
from transfer.board.claims.blocks import Numbers
from transfer.board.claims.judge import Claim
from transfer.board.factors import Explained
from transfer.board.leaderboard import Leaderboard


def claims(board: Leaderboard, explained: Sequence[Explained]) -> tuple[Claim, ...]:
    """Test every claim; `explained` is the variance of the columns by factor."""
    return (*exploring.claims(Numbers.of(board)), algorithms.claim(explained), *deep_dive.claims())
