"""Whether a run's projections have collapsed: what its log says of their spread."""

from collections.abc import Mapping

from pretrain.core.journal import Journal

FLOOR = 0.05
"""Spread of normalised projections below which images are hardly told apart; 1 where they point in all directions alike."""
PATIENCE = 100
"""Logged steps in succession below the floor that make a collapse."""
SPREAD = "spread"
"""What methods log it as."""


class CollapseWatch:
    """Follows the spread of a run that goes on whatever it is, and says once that it has collapsed.

    Its state is that of the log, so a resumed run continues to count where the steps that are kept end.
    """

    def __init__(self, journal: Journal, stage: str) -> None:
        """Read what is logged of the steps done already."""
        self.journal, self._low, self._collapsed = journal, 0, 0
        for row in journal.logged(stage):
            self._count(row["step"], row)

    @property
    def note(self) -> str:
        """What a record says of the run; empty where it never collapsed."""
        if not self._collapsed:
            return ""
        return (
            f"the projections collapsed: their spread was below {FLOOR:g} for {PATIENCE} logged steps "
            f"by step {self._collapsed:,} (1: all directions alike, 0: one point)"
        )

    def see(self, step: int, values: Mapping[str, float | None]) -> None:
        """Take what is logged of a step."""
        before = self._collapsed
        self._count(step, values)
        if self._collapsed != before:
            self.journal.say(f"{self.note}; the run goes on")

    def _count(self, step: int, values: Mapping[str, float | None]) -> None:
        spread = values.get(SPREAD)
        self._low = self._low + 1 if spread is not None and spread < FLOOR else 0
        if self._low == PATIENCE and not self._collapsed:
            self._collapsed = step
