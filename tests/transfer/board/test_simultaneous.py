"""Critical values of several differences together, against scipy and printed tables."""

import numpy as np
import pytest
from scipy import stats

from transfer.board.simultaneous import critical


@pytest.mark.parametrize("freedom", [1, 2, 5.5, 40])
def test_one_comparison_has_students_critical_value(freedom):
    assert critical(((0.5,),), freedom) == pytest.approx(stats.t.ppf(0.975, freedom))
    assert critical(((0.5,),), freedom, 1) == pytest.approx(stats.t.ppf(0.95, freedom))


@pytest.mark.parametrize(
    ("rows", "freedom", "sides", "printed"), [(3, 10, 2, 2.76), (2, 5, 2, 3.03), (3, 10, 1, 2.34), (9, 20, 1, 2.60)]
)
def test_the_critical_values_are_those_of_dunnetts_tables(rows, freedom, sides, printed):
    assert critical(((0.5,) * rows,), freedom, sides) == pytest.approx(printed, abs=0.006)


def test_at_the_critical_value_scipys_dunnett_gives_five_percent():
    samples = np.random.default_rng(0).normal(size=(4, 6))
    samples -= samples.mean(1, keepdims=True)  # so that every difference is what is added
    spread = np.sqrt(samples.var(1, ddof=1).mean() * 2 / 6)
    samples[0] += critical(((0.5,) * 3,), 20) * spread
    p = stats.dunnett(*samples[:3], control=samples[3], rng=np.random.default_rng(0)).pvalue
    assert p[0] == pytest.approx(0.05, abs=2e-3)


@pytest.mark.parametrize("freedom", [2.0, 8.0])
def test_several_controls_and_unequal_numbers_hold_the_level_in_draws(freedom):
    families = ((0.5, 0.5, 0.2), (0.7, 0.7))
    rng, draws = np.random.default_rng(0), 200_000
    scale = np.sqrt(rng.chisquare(freedom, draws) / freedom)
    inside = np.ones(draws, dtype=bool)
    for family in families:
        common = rng.normal(size=draws)
        for share in family:
            inside &= (
                abs(share**0.5 * common + (1 - share) ** 0.5 * rng.normal(size=draws)) <= critical(families, freedom) * scale
            )
    assert inside.mean() == pytest.approx(0.95, abs=0.002)
