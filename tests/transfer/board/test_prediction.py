"""Rank correlations within strata against scipy, permutations, and what counts as a prediction."""

import itertools
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from transfer.board.leaderboard import leaderboard
from transfer.board.prediction import predictions
from transfer.board.strata import kendall, permutations, ranks, spearman

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries, RANDOM = _shared["made"], _shared["entries"], _shared["RANDOM"]


def _drawn(seed, n, ties):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    return (np.round(x), np.round(y)) if ties else (x, y)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 6, 40])
def test_in_one_stratum_both_correlations_are_scipys_with_and_without_ties(n, ties):
    x, y = _drawn(n, n, ties)
    one = np.zeros(n, dtype=int)
    assert spearman(ranks(x, one), ranks(y, one)) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert kendall(x, y, one) == pytest.approx(stats.kendalltau(x, y).statistic)


def test_what_tells_strata_apart_correlates_nothing():
    x, y = _drawn(0, 12, False)
    strata = np.repeat([0, 1, 2], 4)
    for far in (0.0, 100.0):
        a, b = ranks(x + far * strata, strata), ranks(y + far * strata, strata)
        assert spearman(a, b) == pytest.approx(spearman(ranks(x, strata), ranks(y, strata)))
        assert kendall(x + far * strata, y, strata) == pytest.approx(kendall(x, y, strata))
    mean = np.mean([stats.spearmanr(x[strata == s], y[strata == s]).statistic for s in range(3)])
    assert spearman(ranks(x, strata), ranks(y, strata)) == pytest.approx(mean)


def test_a_permutation_stays_within_strata_and_moves_a_treatment_alike_in_all():
    strata = np.array([0, 1, 0, 1, 0, 1])
    treatments = ["a", "a", "b", "b", "c", "c"]
    drawn = permutations(strata, treatments, 200, np.random.default_rng(0))
    assert (np.sort(drawn, axis=1) == np.arange(6)).all()
    assert (strata[drawn] == strata).all()
    names = np.array(treatments)[drawn]
    assert (names[:, ::2] == names[:, 1::2]).all()
    assert len({tuple(one) for one in drawn}) == math.factorial(3)


def _board(points, task="linear", **more):
    records = [made(**RANDOM, metrics={"top1": 1.0}), made("representation", {"Linv": 0.99}, kind="measure", **RANDOM)]
    for place, (linv, top1) in enumerate(points):
        records += _point(linv, top1, task, aug=f"a{place:02d}", **more)
    return leaderboard(entries(records))


def _point(linv, top1, task="linear", **more):
    return [made(task, {"top1": top1}, **more), made("representation", {"Linv": linv}, kind="measure", **more)]


def test_a_point_is_a_trained_row_with_both_numbers():
    board = _board([(0.1 * place, 10.0 * place) for place in range(8)])
    (found,) = predictions(board)
    assert len(found.rows) == found.points == 8
    assert not any(board.rows[row].baseline for row in found.rows)
    assert (board.columns[found.measure].name, board.columns[found.metric].name) == ("Linv", "top1")
    assert (found.spearman, found.kendall) == (pytest.approx(1), pytest.approx(1))
    assert found.verdict == "predicts"


def test_below_eight_points_nothing_is_said_however_clear_the_order():
    (found,) = predictions(_board([(0.1 * place, place) for place in range(7)]))
    assert (found.verdict, found.p) == ("too few points", None)
    apart = leaderboard(entries([one for place in range(9) for one in _point(place / 10, place, arch=f"resnet{place}")]))
    (found,) = predictions(apart)
    assert (len(found.rows), found.points, found.spearman, found.verdict) == (9, 0, None, "too few points")


def test_no_order_is_undecided_and_a_constant_side_has_no_correlation():
    assert predictions(_board([(0.1 * place, place % 2) for place in range(8)]))[0].verdict == "undecided"
    (found,) = predictions(_board([(0.5, float(place)) for place in range(8)]))
    assert (found.spearman, found.kendall, found.verdict) == (None, None, "undecided")


def test_the_p_value_of_a_single_pair_is_that_of_a_permutation_test():
    x, y = _drawn(3, 9, False)
    (found,) = predictions(_board(list(zip(0.1 * x, 10 + y, strict=True))))

    def strength(a):
        return abs(stats.spearmanr(a, y).statistic)

    how = {"permutation_type": "pairings", "alternative": "greater", "n_resamples": 4000}
    expected = stats.permutation_test((x,), strength, **how, rng=np.random.default_rng(0))
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)


def test_copies_of_a_measure_cost_nothing_and_many_others_do():
    rng = np.random.default_rng(1)
    x = rng.permutation(12)
    y = x + rng.normal(size=12) * 4

    def p(measures):
        records = []
        for place in range(12):
            records.append(made("linear", {"top1": 40.0 + y[place]}, aug=f"a{place:02d}"))
            records.append(
                made("representation", {n: of[place] for n, of in measures.items()}, kind="measure", aug=f"a{place:02d}")
            )
        board = leaderboard(entries(records))
        return next(one.p for one in predictions(board) if board.columns[one.measure].name == "Linv")

    alone = p({"Linv": x / 12})
    assert p({"Linv": x / 12, "Ldiv": x / 13}) == pytest.approx(alone)
    assert p({"Linv": x / 12} | {f"other{k}": rng.random(12) for k in range(8)}) > 2 * alone


def test_kept_backbones_of_one_run_are_one_point():
    records = [one for epochs in range(1, 21) for one in _point(epochs / 20, 2.0 * epochs, epochs=epochs)]
    board = leaderboard(entries(records))
    (found,) = predictions(board)
    assert [board.rows[row].key.epochs for row in found.rows] == [20]
    other = leaderboard(entries([*records, *_point(0.1, 1.0, epochs=30, seed=7)]))
    assert len(predictions(other)[0].rows) == 2


def test_files_of_unknown_seed_that_are_alike_are_one_point():
    records = [one for file in range(5) for one in _point(file / 5, 10.0 * file, seed=None, sha256=f"{file}" * 12)]
    assert len(predictions(leaderboard(entries(records)))[0].rows) == 1


def test_a_few_augmentations_in_many_strata_are_few_things_that_are_related():
    records = []
    for (place, aug), arch, supervision in itertools.product(
        enumerate("abc"), ("resnet18", "resnet50"), ("self", "semi", "full")
    ):
        records += _point(place / 10, 10.0 * place, aug=aug, arch=arch, supervision=supervision)
    (found,) = predictions(leaderboard(entries(records)))
    assert (found.points, len(set(found.strata)), found.spearman) == (18, 6, pytest.approx(1))
    assert found.p > 0.2
    assert found.verdict == "undecided"


def test_methods_with_several_points_are_strata_of_their_own():
    records = []
    for method, place in itertools.product(("m", "n"), range(4)):
        far = 0.5 * (method == "n")
        records += _point(far + place / 100, 50 + 50 * far + (place * 7 % 4) / 10, method=method, aug=f"a{place}")
    (found,) = predictions(leaderboard(entries(records)))
    assert {stratum.method for stratum in found.strata} == {"m", "n"}
    assert found.verdict == "undecided"


def test_each_protocol_has_one_metric_and_measures_that_restate_another_have_none():
    metrics = {"AP50": 40.0, "AP": 20.0, "AP75": 21.0}
    records = [made("voc0712", metrics, engine="torchvision"), made("linear", {"top5": 9.0, "top1": 5.0})]
    records.append(made("representation", {"Linv": 0.5, "Ldiv": 0.4, "diversity": 0.6}, kind="measure"))
    board = leaderboard(entries(records))
    pairs = {(board.columns[one.measure].name, board.columns[one.metric].name) for one in predictions(board)}
    assert pairs == {(measure, metric) for measure in ("Linv", "Ldiv") for metric in ("AP50", "top1")}


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
