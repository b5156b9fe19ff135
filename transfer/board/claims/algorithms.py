"""Test the claim of arXiv:2403.05726, Augmentations vs Algorithms: augmentation matters more than algorithm.

It is judged by variance components: by how much a metric differs from one augmentation to another, and from one method to
another, whatever the number of levels that were tried. Two things make their difference uncertain, and either can leave it
undecided: other pre-trainings would give other numbers, and other augmentations and methods could have been tried.
"""

from collections.abc import Sequence

from transfer.board.cells import Place
from transfer.board.claims.judge import ABOVE, Claim, Evidence, judged
from transfer.board.factors import REPETITIONS, Contribution, Explained

TEXT = "Augmentation matters more than algorithm."
SOURCE = "arXiv:2403.05726"
LEVELS = 3
"""Levels that either factor needs: of two, the variance has one degree of freedom."""
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


def claim(found: Sequence[Explained], places: frozenset[Place] = frozenset()) -> Claim:
    """Judge the columns and supervisions together; where some say one thing and some the other, it is undecided."""
    lines = [_evidence(one) for one in found]
    compared = judged([line for line in lines if line.value is not None])
    missing = () if compared else (f"no evidence: {WHAT}; {NEEDS}",)
    return Claim(TEXT, SOURCE, (*compared, *(line for line in lines if line.value is None)), missing, NOTE, True, places)


def _evidence(one: Explained) -> Evidence:
    """Compare the two factors under one column."""
    fraction = f" {100 * one.label_fraction:g} %" if one.supervision == "semi" and one.label_fraction is not None else ""
    count = f"{one.units} pre-trainings"
    within, details = f"{one.supervision}{fraction}", tuple(_details(one))
    obstacle, gap = _obstacle(one), one.gap
    if obstacle or gap is None:
        return Evidence(WHAT, within, one.column, ABOVE.words, None, None, count, squared=True, detail=(obstacle, *details))
    of = (WHAT, within, one.column, ABOVE.words, gap.value, gap.interval, count, gap.above, gap.below)
    return Evidence(*of, squared=True, detail=details)


def _obstacle(one: Explained) -> str:
    """Say why the two factors can't be compared; empty where they can."""
    found = {name: one.contributions.get(name) for name in ("aug", "method")}
    few = [f"{name} has {of.levels if of else 1}" for name, of in found.items() if of is None or of.levels < LEVELS]
    if few:
        return f"{' and '.join(few)} of the {LEVELS} levels it takes"
    alike = [name for name, of in found.items() if of is not None and of.p is None]
    if alike:
        return f"{' and '.join(alike)} can't be told from the other factors"
    enough = one.repetitions >= REPETITIONS
    return "" if enough else f"{one.repetitions} repetitions of pre-trainings of the {REPETITIONS} it takes"


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
