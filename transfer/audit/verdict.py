"""What an audit found, in words and numbers."""

import math
from dataclasses import dataclass
from typing import Any

from transfer.audit.alternatives import Alternative

FARTHEST = 0.15
"""Typical distance of the norms, in nats, above which the statistics are of no network that is built here; see
`docs/checkpoints.md`."""


@dataclass(frozen=True)
class Verdict:
    """What the norms' statistics say of how a checkpoint is read."""

    skipped: str = ""
    """Why nothing could be compared; empty: it was."""
    images: int = 0
    """Images that were looked at."""
    first: float = 0.0
    """Distance at the first norm, in nats."""
    typical: float = 0.0
    """Distance of the norms after it, their geometric mean; 0: not looked at, for the input fits badly already."""
    declared: str = ""
    """How that which fits badly is read, in words."""
    better: tuple[Alternative, float] | None = None
    """What fits clearly better, and its distance."""

    def numbers(self) -> dict[str, float]:
        """Return the distances for a record's proof."""
        found = {"statistics_first_norm": self.first, "statistics_norms": self.typical}
        return {name: round(value, 6) for name, value in found.items() if value and math.isfinite(value)}

    def plain(self) -> dict[str, Any]:
        """Return what came of it for files of settings."""
        return {"images": self.images, **self.numbers(), "warning": self.warning(), "skipped": self.skipped or None}

    def warning(self) -> str | None:
        """Say what fits badly, what it may mean and what to do; None where nothing does."""
        looked = f"({self.images} training images)"
        if self.better is not None:
            other, nearer = self.better
            do = (
                f"if it was trained so, say {other.how}"
                if other.how
                else "no network here computes that: take another checkpoint"
            )
            return (
                f"the running statistics of its norms fit {other.title} better than {self.declared}, as it is read: "
                f"{nearer:.2g} nats away, not {self.typical or self.first:.2g} {looked}. Read wrongly, a network has other "
                f"features, which costs points in silence: {do}"
            )
        if self.typical > FARTHEST:
            return (
                f"the running statistics of its norms are far from what {self.declared} gives on any images: "
                f"{self.typical:.2g} nats away, where {FARTHEST:g} is far {looked}. Weights and statistics may be of two "
                "networks, or it has an activation or padding that is not built here: see where the checkpoint comes from"
            )
        return None

    def line(self) -> str:
        """Say what came of it, in a line."""
        if self.skipped:
            return f"running statistics not compared with the images: {self.skipped}"
        return self.warning() or (
            f"running statistics: {self.images} training images fit them as it is read, {self.first:.2g} nats away at the "
            f"first norm, {self.typical:.2g} after it"
        )
