"""The simulated error rates of the report's decisions, in short: `tests/benchmarks/decisions.py` has them at length."""

import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
_shared = runpy.run_path(str(BENCHMARKS / "decisions.py"))
Setting, simulate = _shared["Setting"], _shared["simulate"]
_shared = runpy.run_path(str(BENCHMARKS / "decisions_unfinished.py"))
Unfinished, under_way = _shared["Unfinished"], _shared["simulate"]
MOST = 8.0
"""Percent of 400 columns: six, and two standard errors of a count at five."""


@pytest.mark.parametrize("variances", ["equal", "3:1 control", "3:1 rows"])
@pytest.mark.parametrize("paired", [False, True])
def test_columns_in_which_nothing_differs_are_seldom_marked_and_an_effect_is_found_at_least_as_often_as_by_bonferroni(
    variances, paired
):
    found = simulate(Setting(3, 3, 1.0, variances, paired, 4), columns=400, powers=150, seed=1)
    assert found["ours 0"] <= MOST
    assert found["≈ wrong"] <= MOST
    assert all(found[f"ours {effect}"] >= found[f"t/k {effect}"] for effect in (1, 2, 3))


@pytest.mark.parametrize("trials", [1, 5])
def test_one_pre_training_each_never_marks_a_difference(trials):
    assert simulate(Setting(1, trials, 2.0, "equal", True, 4), columns=100, powers=0, seed=1)["ours 0"] == 0


@pytest.mark.parametrize("paired", [False, True])
def test_two_rows_are_decided_as_by_the_t_test(paired):
    found = simulate(Setting(5, 1, 1.0, "equal", paired, 2), columns=150, powers=150, seed=1)
    assert [found[f"ours {effect}"] for effect in range(4)] == [found[f"t {effect}"] for effect in range(4)]


@pytest.mark.parametrize("variances", ["equal", "3:1 control"])
def test_intervals_of_two_checkpoints_hold_whatever_the_variance_of_the_control(variances):
    found = simulate(Setting(1, 5, 0.0, variances, False, 8), columns=400, powers=0, seed=1)
    assert 2 <= found["◇ wrong"] <= MOST


def test_the_best_row_is_seldom_missing_among_the_bold_ones():
    found = simulate(Setting(3, 3, 1.0, "equal", True, 4), columns=400, powers=0, seed=1)
    assert found["best missing"] <= MOST
    assert found["bold"] >= 90


@pytest.mark.parametrize("control", [2, 3])
@pytest.mark.parametrize("spread", ["equal", "3× once", "½× once", "3:1 rows", "3:1 untrained", "3:1 control"])
def test_a_study_under_way_marks_seldom_where_nothing_differs(control, spread):
    found = under_way(Unfinished(control, 8, control - 2, spread), columns=400, seed=1)
    assert found["▲▼"] <= MOST
    assert found["best missing"] <= MOST
    assert found["decided"] > 0
