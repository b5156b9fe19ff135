"""Judge a claim by its evidence: supported, contradicted or undecided, at a known error rate.

A claim is a conjunction: it holds only if every part of it does. So it is supported only where every part has evidence and
every line of it holds at the level by itself; that is the intersection-union test (Berger 1982), whose level needs no
correction for the number of lines. It is contradicted where any line is, and there the level holds for all lines together
(Holm 1979). Each direction has half of the 5 %.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from scipy.special import stdtr

from transfer.board.cells import Place
from transfer.board.errors import Estimate

Verdict = Literal["supported", "contradicted", "undecided"]

LEVEL = 0.025
"""Probability of a wrong decision in one direction."""


@dataclass(frozen=True)
class Expected:
    """Where a claim says a difference lies: between two bounds, either of which may be infinite."""

    words: str
    low: float = -math.inf
    high: float = math.inf

    def holds(self, found: Estimate) -> float:
        """Return the p-value for lying between the bounds: above the lower and below the upper one, each tested."""
        return max(above(found, self.low), below(found, self.high))

    def fails(self, found: Estimate) -> float:
        """Return the p-value for lying outside: of both tails, at the nearer bound, where it is largest."""
        if math.isinf(self.low) or math.isinf(self.high):
            return min(below(found, self.low), above(found, self.high))
        centre, reach = (self.low + self.high) / 2, (self.high - self.low) / 2
        away = found._replace(mean=abs(found.mean - centre))
        return min(above(away, reach) + above(away, -reach), 1.0)


def above(found: Estimate, bound: float) -> float:
    """Return the p-value of the one-sided t test that a difference is above a bound."""
    return float(stdtr(found.freedom, (bound - found.mean) / found.error))


def below(found: Estimate, bound: float) -> float:
    """Return the p-value of the one-sided t test that it is below a bound."""
    return float(stdtr(found.freedom, (found.mean - bound) / found.error))


ABOVE = Expected("above 0", low=0.0)
BELOW = Expected("below 0", high=0.0)


class Basis(NamedTuple):
    """What a line is judged by."""

    found: Estimate
    expected: Expected
    pretrainings: int
    """Of the row that has fewer."""


@dataclass(frozen=True)
class Evidence:
    """One line: what was found of one part of a claim under one column."""

    what: str
    """What minus what."""
    within: str
    """What the compared rows share and other lines' don't; empty where all lines share it."""
    column: int
    """Index of the column."""
    expected: str
    """What the claim says of it."""
    value: float | None
    """The difference, in the metric's unit; None where nothing can be compared, so that the line says nothing of the claim."""
    interval: tuple[float, float] | None
    """95 %, of this line by itself; None where either row has one pre-training."""
    units: str
    """Over how many pre-trainings."""
    holds: float = 1.0
    """p-value for its being as claimed."""
    fails: float = 1.0
    """p-value for its being otherwise."""
    verdict: Verdict = "undecided"
    """At the level of all the claim's lines together."""
    squared: bool = False
    """Whether it is a difference of variances, in the metric's unit squared."""
    detail: tuple[str, ...] = ()
    """What else there is to say."""
    basis: Basis | None = field(default=None, repr=False)
    """What it is judged by; None where that is no difference of rows, or nothing says how large its error is."""


@dataclass(frozen=True)
class Claim:
    """A claim and the evidence on it."""

    text: str
    source: str
    evidence: tuple[Evidence, ...]
    missing: tuple[str, ...] = ()
    """The parts without evidence, and what would be evidence."""
    note: str = ""
    """What a reader of the verdict must know."""
    two_sided: bool = False
    """Whether the opposite is as good a claim, so that lines that disagree leave both undecided."""
    places: frozenset[Place] = field(default=frozenset(), repr=False)
    """The rows and columns that it is about, with a number or without."""

    @property
    def verdict(self) -> Verdict:
        """Call it supported where each part is, contradicted where any is."""
        verdicts = {one.verdict for one in self.evidence if one.value is not None}
        if self.two_sided and {"supported", "contradicted"} <= verdicts:
            return "undecided"
        if "contradicted" in verdicts:
            return "contradicted"
        return "supported" if verdicts == {"supported"} and not self.missing else "undecided"


def judged(lines: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Give each line its verdict: as claimed where all are at the level, or where it is by Holm's; otherwise by Holm's."""
    if all(line.holds <= LEVEL for line in lines):
        return tuple(dataclasses.replace(line, verdict="supported") for line in lines)
    holds, fails = holm([line.holds for line in lines]), holm([line.fails for line in lines])
    verdicts: list[Verdict] = [
        "supported" if yes <= LEVEL else "contradicted" if no <= LEVEL else "undecided"
        for yes, no in zip(holds, fails, strict=True)
    ]
    return tuple(dataclasses.replace(line, verdict=verdict) for line, verdict in zip(lines, verdicts, strict=True))


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of any wrong one is at most the level, whatever their dependence (Holm 1979)."""
    adjusted, largest = [0.0] * len(ps), 0.0
    for place, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, ps[index] * (len(ps) - place)))
        adjusted[index] = largest
    return adjusted
