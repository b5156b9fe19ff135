"""Rank correlations against scipy, their intervals against the formulas, and what counts as a prediction."""

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from transfer.board.leaderboard import leaderboard
from transfer.board.prediction import kendall, predictions, spearman

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries, RANDOM = _shared["made"], _shared["entries"], _shared["RANDOM"]


def _drawn(seed, n, ties):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    return (np.round(x), np.round(y)) if ties else (x, y)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 6, 40])
def test_both_correlations_are_scipys_with_and_without_ties(n, ties):
    x, y = _drawn(n, n, ties)
    assert spearman(x, y).value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert kendall(x, y).value == pytest.approx(stats.kendalltau(x, y).statistic)


def test_the_intervals_are_those_of_fishers_z():
    x, y = _drawn(1, 30, False)
    rho, tau = spearman(x, y), kendall(x, y)
    half = 1.959964 * math.sqrt((1 + rho.value**2 / 2) / 27)
    assert (rho.low, rho.high) == tuple(pytest.approx(math.tanh(math.atanh(rho.value) + s * half), abs=1e-6) for s in (-1, 1))
    half = 1.959964 * math.sqrt(0.437 / 26)
    assert (tau.low, tau.high) == tuple(pytest.approx(math.tanh(math.atanh(tau.value) + s * half), abs=1e-6) for s in (-1, 1))


def test_the_intervals_hold_the_true_correlation_about_as_often_as_they_say():
    truth = 6 / math.pi * math.asin(0.6 / 2)  # Spearman's of a bivariate normal with correlation 0.6
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        x = rng.normal(size=20)
        found = spearman(x, 0.6 * x + 0.8 * rng.normal(size=20))
        held += found.low <= truth <= found.high
    assert 0.91 < held / 300 < 0.99


def test_a_perfect_order_of_few_points_is_no_certainty():
    line = np.arange(6.0)
    for found in (spearman(line, line), kendall(line, -line)):
        assert abs(found.value) == pytest.approx(1)
        assert min(abs(found.low), abs(found.high)) < 0.9
        assert found.certain
    assert not kendall(np.arange(5.0), np.arange(5.0)).certain


def test_too_few_points_have_no_interval():
    assert (spearman(np.arange(3.0), np.arange(3.0)).low, kendall(np.arange(4.0), np.arange(4.0)).low) == (None, None)


def _board(points, task="linear"):
    records = [made(**RANDOM, metrics={"top1": 1.0}), made("representation", {"Linv": 0.99}, kind="measure", **RANDOM)]
    for place, (linv, top1) in enumerate(points):
        records += [
            made(task, {"top1": top1}, aug=f"a{place:02d}"),
            made("representation", {"Linv": linv}, kind="measure", aug=f"a{place:02d}"),
        ]
    return leaderboard(entries(records))


def test_a_point_is_a_trained_row_with_both_numbers():
    board = _board([(0.1 * place, 10.0 * place) for place in range(8)])
    (found,) = predictions(board)
    assert len(found.rows) == 8
    assert not any(board.rows[row].baseline for row in found.rows)
    assert (board.columns[found.measure].name, board.columns[found.metric].name) == ("Linv", "top1")
    assert (found.spearman.value, found.kendall.value) == (pytest.approx(1), pytest.approx(1))
    assert found.verdict == "predicts"


def test_below_six_points_it_is_a_warning_however_clear_the_order():
    assert [one.verdict for one in predictions(_board([(0.1 * place, place) for place in range(5)]))] == ["too few points"]


def test_no_order_is_undecided_and_a_constant_side_has_no_correlation():
    assert predictions(_board([(0.1 * place, place % 2) for place in range(8)]))[0].verdict == "undecided"
    (found,) = predictions(_board([(0.5, float(place)) for place in range(8)]))
    assert (found.spearman, found.kendall, found.verdict) == (None, None, "undecided")


def test_a_probed_representation_is_neither_a_measure_nor_a_transfer():
    records = [made("representation", {"Linv": 0.5}, kind="measure"), made("linear", {"top1": 5.0})]
    records.append(made("representation", {"Linv": 0.4}, kind="measure", protocol="representation@cutmix"))
    board = leaderboard(entries(records))
    assert [(board.columns[one.measure].probe, board.columns[one.metric].name) for one in predictions(board)] == [("", "top1")]
    assert predictions(leaderboard(entries([records[0], records[2]]))) == ()


def test_seeds_are_one_point():
    records = [
        made(task, metrics, kind=kind, seed=seed)
        for seed in range(3)
        for task, metrics, kind in (("linear", {"top1": 5.0 + seed}, "transfer"), ("representation", {"Linv": 0.5}, "measure"))
    ]
    assert [len(one.rows) for one in predictions(leaderboard(entries(records)))] == [1]
