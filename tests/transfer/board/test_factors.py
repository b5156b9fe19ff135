"""Variance by factor against an analysis of variance, and what it says of augmentation and method."""

import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from transfer.board.claims.algorithms import claim
from transfer.board.factors import design, explained, variance
from transfer.board.leaderboard import RowKey, leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries = _shared["made"], _shared["entries"]
PIPELINE = {"recipe.pipeline": "one"}


def _key(aug, method, arch="resnet18", changed="{}"):
    return RowKey(method, aug, "self", 0.0, arch, "imagenet", 200, None, None, "{}", changed, None)


def _board(aug, method, *, seeds=3, augs=3, methods=3, task="linear", settings=PIPELINE, noise=0.3, runs=1):
    """Augmentations and methods with effects in steps of `aug` and `method`."""
    draw = np.random.default_rng(0)
    return [
        made(
            task,
            {"knn" if task == "knn" else "top1": 50 + aug * a + method * m + draw.normal(scale=noise)},
            seed=seed,
            run_seed=run,
            aug=f"a{a}",
            method=f"m{m}",
            settings=settings,
        )
        for seed, a, m, run in itertools.product(range(seeds), range(augs), range(methods), range(runs))
    ]


def _explained(records):
    return explained(leaderboard(entries(records)))


def test_the_fractions_of_a_balanced_design_are_those_of_a_two_way_anova():
    rng = np.random.default_rng(0)
    cells = [(aug, method) for aug in "abc" for method in "mn" for _ in range(4)]
    y = np.array([{"a": 0, "b": 2, "c": 5}[aug] + {"m": 0, "n": 1}[method] for aug, method in cells]) + rng.normal(size=24)
    found = variance(0, [_key(*cell, changed='{"recipe.pipeline": "one"}') for cell in cells], y.tolist())
    total = ((y - y.mean()) ** 2).sum()
    for place, name in ((0, "aug"), (1, "method")):
        levels = sorted({cell[place] for cell in cells})
        means = [y[[cell[place] == level for cell in cells]].mean() for level in levels]
        between = 24 / len(levels) * sum((mean - y.mean()) ** 2 for mean in means)
        assert found.contributions[name].fraction == pytest.approx(between / total)
        within = sum(y[[cell == other for other in cells]].var() * 4 for cell in set(cells)) / 18
        mean_square = between / (len(levels) - 1)
        assert found.contributions[name].component == pytest.approx((mean_square - within) / (24 / len(levels)))
    assert sum(one.fraction for one in found.contributions.values()) + found.residual == pytest.approx(1)
    freedom = 24 - 4  # one mean, two effects of aug, one of method
    ratio = found.contributions["method"].fraction / (found.residual / freedom)
    assert found.contributions["method"].p == pytest.approx(stats.f.sf(ratio, 1, freedom))
    assert found.shared == pytest.approx(0, abs=1e-9)


def test_factors_that_were_only_varied_together_are_inseparable_and_what_they_share_is_said():
    keys = [_key("a", "m"), _key("a", "m"), _key("b", "n"), _key("b", "n")]
    found = variance(0, keys, [1.0, 1.1, 5.0, 5.2])
    assert {name: (one.p, one.component) for name, one in found.contributions.items() if name in ("aug", "method")} == {
        "aug": (None, None),
        "method": (None, None),
    }
    assert found.shared == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("aug", "method", "verdict"),
    [(4.0, 0.1, "supported"), (0.1, 4.0, "contradicted"), (0.0, 0.0, "undecided"), (2.0, 2.0, "undecided")],
)
def test_augmentation_against_algorithm(aug, method, verdict):
    found = _explained(_board(aug, method))
    assert [one.units for one in found] == [27]
    assert claim(found).verdict == verdict


def test_the_number_of_levels_that_were_tried_decides_nothing():
    for augs, methods in ((6, 3), (3, 6)):
        line = claim(_explained(_board(1.0, 1.0, augs=augs, methods=methods))).evidence[0]
        assert line.verdict == "undecided"


def test_columns_that_disagree_decide_nothing():
    records = _board(4.0, 0.1) + _board(0.1, 4.0, task="knn")
    found = claim(_explained(records))
    assert sorted(one.verdict for one in found.evidence) == ["contradicted", "supported"]
    assert found.verdict == "undecided"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"augs": 2}, "aug has 2 of the 3 levels it takes"),
        ({"methods": 1}, "method has 1 of the 3 levels it takes"),
        ({"settings": {}}, "method can't be told from the other factors"),
        ({"seeds": 1}, "0 repetitions of pre-trainings of the 6 it takes"),
        ({"seeds": 1, "runs": 3}, "0 repetitions of pre-trainings of the 6 it takes"),
    ],
)
def test_what_stands_in_the_way_of_a_verdict_is_said(more, why):
    (line,) = claim(_explained(_board(4.0, 0.1, **more))).evidence
    assert (line.verdict, line.value, line.detail[0]) == ("undecided", None, why)


def test_a_method_that_needs_labels_is_not_compared_with_one_that_does_not():
    records = _board(4.0, 0.1) + [
        made(metrics={"top1": 80.0 + seed}, aug=f"a{a}", method="supervised", supervision="self", label_fraction=0.0, seed=seed)
        for seed, a in itertools.product(range(3), range(3))
    ]
    found = _explained(records)
    assert claim(found).verdict == "supported"  # by the methods of equal supervision; the one of the other says nothing
    assert {(one.supervision, one.units) for one in found} == {("full", 27), ("self", 9)}


def test_the_settings_and_the_pipeline_are_factors():
    lr = [
        made(
            metrics={"top1": 50.0 + 9 * (rate > 0.1) + a + seed / 10}, seed=seed, aug=f"a{a}", settings={"recipe.base_lr": rate}
        )
        for seed, a, rate in itertools.product(range(3), range(3), (0.03, 0.3))
    ]
    (found,) = _explained(lr)
    assert found.contributions["settings"].fraction > 0.9
    v1 = [
        made(metrics={"top1": 50.0 + 9 * (method == "mocov1") + seed}, seed=seed, method=method, aug=aug)
        for seed, method, aug in itertools.product(range(3), ("mocov1", "mocov2"), ("none", "mixup"))
    ]
    (found,) = _explained(v1)
    assert {name: one.p for name, one in found.contributions.items() if name != "aug"} == {"method": None, "pipeline": None}
    assert found.shared > 0.5


def test_the_interval_holds_the_difference_of_the_components_of_these_levels_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    keys = [
        _key(f"a{a}", f"m{m}", changed='{"recipe.pipeline": "one"}')
        for a, m, _ in itertools.product(range(4), range(3), range(3))
    ]
    truth = np.array([a - 0.4 * m for a, m, _ in itertools.product(range(4), range(3), range(3))])
    made_design = design(keys)
    components = [float(made_design.factors[name].component(truth, 0.0)) for name in ("aug", "method")]
    for _ in range(100):
        low, high = variance(0, keys, (truth + rng.normal(size=36)).tolist()).gap.interval
        held += low <= components[0] - components[1] <= high
    assert held >= 88


def test_equal_numbers_one_row_or_no_repetition_have_no_variance_to_explain():
    assert variance(0, [_key("a", "m"), _key("b", "m")], [1.0, 2.0]) is None
    assert variance(0, [_key("a", "m"), _key("b", "m")], [1.0, 1.0]) is None
    assert variance(0, [_key("a", "m"), _key("a", "m")], [1.0, 2.0]) is None
