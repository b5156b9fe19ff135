"""Hold what every rendering is given: the leaderboard and everything that is computed from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bench.report.gather import Problem
from transfer.board import best, claims, comparison, factors, prediction, probe_matrix, published_numbers
from transfer.board.claims.judge import Claim
from transfer.board.comparison import Difference
from transfer.board.entries import Entry
from transfer.board.factors import Explained
from transfer.board.leaderboard import Leaderboard, leaderboard
from transfer.board.prediction import Prediction
from transfer.board.probe_matrix import Matrix, Sweep
from transfer.board.published_numbers import Number, PublishedRow


@dataclass(frozen=True)
class Content:
    """A leaderboard with its findings, each computed when first asked for."""

    board: Leaderboard
    problems: tuple[Problem, ...] = ()
    """What was left out."""
    numbers: Sequence[Number] = field(default=(), repr=False)
    """Published numbers, whether or not a column of these runs equals their protocol."""
    interests: Mapping[str, float] = field(default_factory=dict)
    """Metric → smallest difference of interest, where it isn't the declared one."""

    @classmethod
    def of(
        cls,
        entries: Iterable[Entry],
        problems: Iterable[Problem] = (),
        numbers: Sequence[Number] = (),
        interests: Mapping[str, float] | None = None,
    ) -> "Content":
        """Make the content of some records; of two that disagree the older becomes a problem."""
        board = leaderboard(entries)
        return cls(board, (*problems, *map(Problem.conflict, board.conflicts)), numbers, interests or {})

    @cached_property
    def differences(self) -> dict[tuple[int, int], Difference]:
        """Compare every cell with its baseline's: (row, column) → the difference."""
        return comparison.differences(self.board, self.interests)

    @cached_property
    def best(self) -> frozenset[tuple[int, int]]:
        """Find the cells that can't be told from the best of their column."""
        return best.best(self.board)

    @cached_property
    def published(self) -> tuple[PublishedRow, ...]:
        """Set the published rows beside the measured ones."""
        return published_numbers.beside(self.board, self.numbers)

    @cached_property
    def apart(self) -> tuple[Number, ...]:
        """Return the published numbers of protocols that no measured column equals."""
        return published_numbers.apart(self.board, self.numbers)

    @cached_property
    def predictions(self) -> tuple[Prediction, ...]:
        """Correlate measures of the representation with metrics of the tasks."""
        return prediction.predictions(self.board)

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        """Test what the sources claim."""
        return claims.claims(self.board, self.explained, self.interests)

    @cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Arrange pre-trainings under several probing augmentations."""
        return probe_matrix.matrices(self.board)

    @cached_property
    def sweeps(self) -> tuple[Sweep, ...]:
        """Arrange pre-trainings under several strengths of one augmentation."""
        return probe_matrix.sweeps(self.board)

    @cached_property
    def explained(self) -> tuple[Explained, ...]:
        """Compute the variance that each factor explains among runs of equal supervision."""
        return factors.explained(self.board)
