"""Split the variance of numbers over factors that were varied together: fractions, tests, and components for each level.

N numbers in C cells (equal in every factor), factors with L levels each, B draws. The model is additive: one effect for every
level of every factor, by least squares. Everything of a factor is what it adds to a model of all the others (type II).

NOTE: statsmodels' `anova_lm(typ=2)` gives the same sums of squares, but no test of what can't be told apart, and no
components; it is no dependency. scipy has no analysis of variance of several factors.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

Array = NDArray[np.float64]

EXACT = 1e-12
"""Fraction of the total sum of squares below which a remainder is rounding."""
DRAWS = 1999
"""Of resampled numbers."""
INDEPENDENT = 1e-9
"""Singular value, of a design of zeros and ones, below which a column depends on the others."""


@dataclass(frozen=True)
class Factor:
    """The part of the design that is one factor's alone."""

    levels: int
    space: Array = field(repr=False)
    """(N, lost) orthonormal: what the factor's effects can explain and no other factor's."""
    scale: float
    """The factor's sum of squares is this times the variance over its levels, on average, besides the error's."""

    @property
    def lost(self) -> int:
        """Return the degrees of freedom that the factor takes."""
        return int(self.space.shape[1])

    @property
    def separable(self) -> bool:
        """Whether all its effects can be told from those of the other factors."""
        return self.lost == self.levels - 1

    def gain(self, y: Array) -> Array:
        """Return the sum of squares of (..., N) numbers that the factor alone explains."""
        return np.asarray(((y @ self.space) ** 2).sum(-1))

    def component(self, y: Array, error: Array | float) -> Array:
        """Return the variance over levels: mean square less error, on the scale of one level's effect.

        This is Henderson's third method; in a balanced design it is (MS − MSE) / numbers of a level. It may be negative.
        """
        return np.asarray((self.gain(y) - self.lost * error) / self.scale)


@dataclass(frozen=True)
class Design:
    """Which levels N numbers have."""

    factors: Mapping[str, Factor]
    """Those that vary."""
    everything: Array = field(repr=False)
    """(N, rank) orthonormal: what all factors and the mean explain together."""
    cells: Array = field(repr=False)
    """(N, C) ones where a number is of a cell."""

    @classmethod
    def of(cls, levels: Mapping[str, Sequence[Hashable]]) -> "Design":
        """Make the design of N numbers from each factor's levels."""
        varied = {name: _indicators(of) for name, of in levels.items() if len(set(of)) > 1}
        n = len(next(iter(levels.values())))
        mean = np.ones((n, 1))
        factors = {}
        for name, own in varied.items():
            rest = _basis(np.concatenate([mean, *(others for other, others in varied.items() if other != name)], axis=1))
            beyond = own - rest @ (rest.T @ own)
            factors[name] = Factor(own.shape[1], _basis(beyond), float((beyond**2).sum()))
        cells = _indicators(list(zip(*levels.values(), strict=True)))
        return cls(factors, _basis(np.concatenate([mean, *varied.values()], axis=1)), cells)

    @property
    def freedom(self) -> int:
        """Return the degrees of freedom that the additive model leaves."""
        return int(self.everything.shape[0] - self.everything.shape[1])

    @property
    def repetitions(self) -> int:
        """Return the degrees of freedom within cells."""
        return int(self.cells.shape[0] - self.cells.shape[1])

    def residual(self, y: Array) -> float:
        """Return the sum of squares that the additive model leaves of N numbers."""
        return float(((y - self.everything @ (self.everything.T @ y)) ** 2).sum())

    def means(self, y: Array) -> Array:
        """Return the mean of its cell for each of (..., N) numbers."""
        return np.asarray((y @ self.cells / self.cells.sum(axis=0)) @ self.cells.T)

    def error(self, y: Array) -> Array:
        """Return the mean square within cells of (..., N) numbers: that of repetitions, and of nothing that isn't additive."""
        return np.asarray(((y - self.means(y)) ** 2).sum(-1) / self.repetitions)

    def p(self, name: str, y: Array) -> float | None:
        """Return the p-value of the F test of leaving a factor out; None where it can't be told from the others."""
        factor, rest, total = self.factors[name], self.residual(y), float(((y - y.mean()) ** 2).sum())
        if not factor.separable:
            return None
        gain = float(factor.gain(y))
        if rest < EXACT * total:
            return 0.0 if gain > EXACT * total else 1.0
        return float(fdtrc(factor.lost, self.freedom, gain / factor.lost / (rest / self.freedom)))

    def resampled(self, y: Array, draws: int, rng: np.random.Generator) -> Array:
        """Draw (B, N) numbers: the means of their cells, and deviations from such means, drawn with replacement.

        A deviation from a mean of n numbers is too small by √(1 − 1/n), and is stretched by as much. Cells with one number
        have deviations drawn from the others'.
        """
        within = y - self.means(y)
        counts = self.cells @ self.cells.sum(axis=0)
        repeated = counts > 1
        deviations = within[repeated] / np.sqrt(1 - 1 / counts[repeated])
        return np.asarray(self.means(y) + rng.choice(deviations, size=(draws, len(y))))


class Gap(NamedTuple):
    """One factor's component minus another's."""

    value: float
    """In the metric's unit squared."""
    interval: tuple[float, float]
    """95 %, over resampled numbers."""
    above: float
    """p-value of its being above zero."""
    below: float
    """p-value of its being below zero."""


def gap(made: Design, y: Array, one: str, other: str) -> Gap:
    """Compare the components of two factors that can be told from all others.

    The interval is the basic bootstrap's (Davison and Hinkley 1997, eq. 5.6) over numbers drawn within their cells: it holds
    for the levels at hand. A p-value is the larger one of the bootstrap's and of an F test that asks whether levels of equal
    variance would differ as much by chance: the ratio of a component to the other factor's mean square, both for one level,
    so that noise is in the latter alone.
    """
    a, b, error, means = made.factors[one], made.factors[other], made.error(y), made.means(y)
    components = float(a.component(y, error)), float(b.component(y, error))
    value = components[0] - components[1]
    drawn = made.resampled(y, DRAWS, np.random.default_rng(0))
    spread = made.error(drawn)
    shifts = a.component(drawn, spread) - b.component(drawn, spread)
    shifts -= float(a.component(means, 0.0) - b.component(means, 0.0))
    low, high = np.quantile(shifts, [0.025, 0.975])
    above, below = ((1 + int((shifts * sign >= value * sign).sum())) / (DRAWS + 1) for sign in (1, -1))
    more = _ratio(components[0], float(b.component(y, 0.0)), a.lost, b.lost)
    less = _ratio(components[1], float(a.component(y, 0.0)), b.lost, a.lost)
    return Gap(value, (value - float(high), value - float(low)), max(above, more), max(below, less))


def _ratio(component: float, square: float, mine: int, theirs: int) -> float:
    """Return the p-value of a component against another factor's mean square, by F with their degrees of freedom."""
    if component <= 0:
        return 1.0
    return float(fdtrc(mine, theirs, component / square)) if square > 0 else 0.0


def _indicators(levels: Sequence[Hashable]) -> Array:
    """Return (N, L) ones where a number is of a level."""
    place = {level: index for index, level in enumerate(dict.fromkeys(levels))}
    return np.eye(len(place))[[place[level] for level in levels]]


def _basis(columns: Array) -> Array:
    """Return an orthonormal basis of the space that columns span."""
    left, size, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, size > INDEPENDENT * max(1.0, float(size.max(initial=0.0)))])
