"""Hold what every rendering is given: the leaderboard and everything that is computed from it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bench.report.gather import Problem
from transfer.board import best, claims, comparison, factors, prediction, probe_matrix, published_numbers
from transfer.board.claims.judge import Claim
from transfer.board.comparison import Difference
from transfer.board.entries import Entry
from transfer.board.factors import Explained
from transfer.board.leaderboard import Leaderboard, leaderboard
from transfer.board.planned import Planned, Standing, State
from transfer.board.prediction import Prediction
from transfer.board.probe_matrix import Matrix, Sweep
from transfer.board.published_numbers import Number, PublishedRow


@dataclass(frozen=True)
class Group:
    """The cells of one block and task of a study."""

    block: str
    task: str
    counts: Counter[State]


@dataclass(frozen=True)
class Trouble:
    """Cells of a study that failed or are impossible, of one reason."""

    state: State
    message: str
    cells: tuple[str, ...]
    """Names of their run folders."""


@dataclass(frozen=True)
class Study:
    """What a study plans, and what became of it."""

    name: str
    planned: Planned
    total: Counter[State]
    """Its cells by state, each once."""
    groups: tuple[Group, ...]
    """By block and task; a cell that several blocks name is in each."""
    troubles: tuple[Trouble, ...] = ()
    strangers: int = 0
    """Records in its folders that are of none of its cells."""


@dataclass(frozen=True)
class Content:
    """A leaderboard with its findings, each computed when first asked for.

    Of a study the leaderboard also has the rows and columns that nothing ran of yet; findings are of what ran.
    """

    board: Leaderboard
    problems: tuple[Problem, ...] = ()
    """What was left out."""
    numbers: Sequence[Number] = field(default=(), repr=False)
    """Published numbers, whether or not a column of these runs equals their protocol."""
    interests: Mapping[str, float] = field(default_factory=dict)
    """Metric → smallest difference of interest, where it isn't the declared one."""
    study: Study | None = None
    """The study that planned it; None: all records of some folders."""

    @property
    def measured(self) -> Leaderboard:
        """Return the leaderboard of what ran alone, which findings are of; its indices are those of `board`."""
        return self.board if self.study is None else self.study.planned.measured

    @classmethod
    def of(
        cls,
        entries: Iterable[Entry],
        problems: Iterable[Problem] = (),
        numbers: Sequence[Number] = (),
        interests: Mapping[str, float] | None = None,
        study: Callable[[Leaderboard], Study] | None = None,
    ) -> "Content":
        """Make the content of some records; of two that disagree the older becomes a problem.

        Args:
            entries: The records.
            problems: What was left out.
            numbers: Published numbers.
            interests: Metric → smallest difference of interest, where it isn't the declared one.
            study: Lays the study that planned the records over their leaderboard.
        """
        board = leaderboard(entries)
        whole = (*problems, *map(Problem.conflict, board.conflicts))
        if study is None:
            return cls(board, whole, numbers, interests or {})
        laid = study(board)
        return cls(laid.planned.board, whole, numbers, interests or {}, laid)

    @cached_property
    def differences(self) -> dict[tuple[int, int], Difference]:
        """Compare every cell with its baseline's: (row, column) → the difference."""
        return comparison.differences(self.measured, self.interests)

    @cached_property
    def best(self) -> frozenset[tuple[int, int]]:
        """Find the cells that can't be told from the best of their column."""
        return best.best(self.measured)

    @cached_property
    def published(self) -> tuple[PublishedRow, ...]:
        """Set the published rows beside the measured ones."""
        return published_numbers.beside(self.measured, self.numbers)

    @cached_property
    def apart(self) -> tuple[Number, ...]:
        """Return the published numbers of protocols that no measured column equals."""
        return published_numbers.apart(self.measured, self.numbers)

    @cached_property
    def predictions(self) -> tuple[Prediction, ...]:
        """Correlate measures of the representation with metrics of the tasks."""
        return prediction.predictions(self.measured)

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        """Test what the sources claim."""
        return claims.claims(self.measured, self.explained, self.interests)

    @cached_property
    def standing(self) -> list[Standing]:
        """Say of each claim on how many of the units that the study plans for it it stands; empty without a study."""
        if self.study is None:
            return []
        planned = self.study.planned
        return planned.stand(claims.claims(planned.board, (), self.interests, planned.seeds))

    @cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Arrange pre-trainings under several probing augmentations."""
        return probe_matrix.matrices(self.measured)

    @cached_property
    def sweeps(self) -> tuple[Sweep, ...]:
        """Arrange pre-trainings under several strengths of one augmentation."""
        return probe_matrix.sweeps(self.measured)

    @cached_property
    def explained(self) -> tuple[Explained, ...]:
        """Compute the variance that each factor explains among runs of equal supervision."""
        return factors.explained(self.measured)
