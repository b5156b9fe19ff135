"""Test the claim of arXiv:2403.05726, Augmentations vs Algorithms: augmentation matters more than algorithm.

It is judged by variance components: by how much a metric differs from one augmentation to another, and from one method to
another, whatever the number of levels that were tried. Two things make their difference uncertain, and either can leave it
undecided: other pre-trainings would give other numbers, and other augmentations and methods could have been tried.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import fdtrc

from transfer.board.claims.judge import ABOVE, Claim, Evidence, judged
from transfer.board.factors import Contribution, Explained, design

TEXT = "Augmentation matters more than algorithm."
SOURCE = "arXiv:2403.05726"
LEVELS = 3
"""Levels that either factor needs: of two, the variance has one degree of freedom."""
REPETITIONS = 6
"""Pre-trainings beyond the first of their kind that it takes, so that there is something to draw from."""
DRAWS = 1999
"""Of resampled pre-trainings."""
WHAT = "variance over augmentations − over methods"
NEEDS = (
    f"needs {LEVELS} augmentations and {LEVELS} methods or more, crossed, under equal supervision and the same pipeline, with "
    "several pre-trainings each"
)
NOTE = (
    "Judged among methods of equal supervision, by the variance over levels with the error taken off. The interval is over "
    "resampled pre-trainings; a verdict holds also for other augmentations and methods like those tried (F test of one "
    "variance over levels against the other). What several factors share belongs to none."
)


def claim(found: Sequence[Explained]) -> Claim:
    """Judge the columns and supervisions together; where some say one thing and some the other, it is undecided."""
    lines = judged([_evidence(one) for one in found])
    return Claim(TEXT, SOURCE, lines, () if lines else (f"no evidence: {WHAT}; {NEEDS}",), NOTE, two_sided=True)


def _evidence(one: Explained) -> Evidence:
    """Compare the two factors under one column."""
    fraction = f" {100 * one.label_fraction:g} %" if one.supervision == "semi" and one.label_fraction is not None else ""
    count = f"{len(one.values)} pre-trainings"
    within, details = f"{one.supervision}{fraction}", tuple(_details(one))
    obstacle = _obstacle(one)
    if obstacle:
        return Evidence(WHAT, within, one.column, ABOVE.words, None, None, count, squared=True, detail=(obstacle, *details))
    value, interval, holds, fails = compare(one)
    return Evidence(WHAT, within, one.column, ABOVE.words, value, interval, count, holds, fails, squared=True, detail=details)


def compare(one: Explained) -> tuple[float, tuple[float, float], float, float]:
    """Return the difference of the components, its 95 % interval, and the p-values of its being above and below zero.

    The interval is the basic bootstrap's (Davison and Hinkley 1997, eq. 5.6) over units drawn within their rows. A p-value is
    the larger one of the bootstrap's and of the F test that asks whether levels of equal variance would differ as much: the
    ratio of the larger component to the other factor's mean square, both for one level, so that noise is in the latter alone.
    """
    y, made = np.asarray(one.values), design(one.keys)
    aug, method = made.factors["aug"], made.factors["method"]
    error = made.error(y)
    components = float(aug.component(y, error)), float(method.component(y, error))
    value, means = components[0] - components[1], made.means(y)
    truth = float(aug.component(means, 0.0) - method.component(means, 0.0))
    drawn = made.resampled(y, DRAWS, np.random.default_rng(0))
    spread = made.error(drawn)
    shifts = aug.component(drawn, spread) - method.component(drawn, spread) - truth
    low, high = np.quantile(shifts, [0.025, 0.975])
    squares = float(aug.component(y, 0.0)), float(method.component(y, 0.0))
    above = _ratio(components[0], squares[1], aug.lost, method.lost)
    below = _ratio(components[1], squares[0], method.lost, aug.lost)
    holds, fails = ((1 + int((shifts * sign >= value * sign).sum())) / (DRAWS + 1) for sign in (1, -1))
    return value, (value - float(high), value - float(low)), max(holds, above), max(fails, below)


def _ratio(component: float, square: float, mine: int, theirs: int) -> float:
    """Return the p-value of a component against the other's mean square, by F with the degrees of freedom of the levels."""
    if component <= 0:
        return 1.0
    return float(fdtrc(mine, theirs, component / square)) if square > 0 else 0.0


def _obstacle(one: Explained) -> str:
    """Say why the two factors can't be compared; empty where they can."""
    found = {name: one.contributions.get(name) for name in ("aug", "method")}
    few = [f"{name} has {of.levels if of else 1}" for name, of in found.items() if of is None or of.levels < LEVELS]
    if few:
        return f"{' and '.join(few)} of the {LEVELS} levels it takes"
    alike = [name for name, of in found.items() if of is not None and of.p is None]
    if alike:
        return f"{' and '.join(alike)} can't be told from the other factors"
    repeated = len(one.values) - len(set(one.keys))
    return "" if repeated >= REPETITIONS else f"{repeated} repetitions of pre-trainings of the {REPETITIONS} it takes"


def _details(one: Explained) -> list[str]:
    """Say what each factor explains, what can't be attributed, and what is left."""
    said = [_factor(name, of) for name, of in one.contributions.items()]
    if one.shared > 0.005:
        said.append(f"shared, can't be attributed {100 * one.shared:.0f} %")
    return [*said, f"not explained {100 * one.residual:.0f} %"]


def _factor(name: str, of: Contribution) -> str:
    p = "can't be told apart" if of.p is None else f"p = {of.p:.2g}"
    spread = "" if of.component is None else f", ± {max(of.component, 0.0) ** 0.5:.2g} over {of.levels} levels"
    return f"{name} {100 * of.fraction:.0f} % ({p}{spread})"
