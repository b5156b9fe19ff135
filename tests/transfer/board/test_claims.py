"""The claims of the papers, on runs made to support, contradict or leave them undecided; variance against an ANOVA."""

import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from transfer.board.claims import claims
from transfer.board.factors import explained, overall, variance
from transfer.board.leaderboard import RowKey, leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries = _shared["made"], _shared["entries"]


def _measured(linv, ldiv, top1=None, seed=0, **provenance):
    metrics = {"Linv": linv, "Ldiv": ldiv}
    records = [made("representation", metrics, kind="measure", seed=seed, **provenance)]
    return records + ([made("linear", {"top1": top1}, seed=seed, **provenance)] if top1 is not None else [])


def _claims(records):
    return claims(leaderboard(entries(records)))


def _masking(linv, ldiv, seeds=3):
    wobble = [0.0, 0.002, -0.001, 0.001]
    records = []
    for seed in range(seeds):
        records += _measured(0.8 + wobble[seed], 0.6, seed=seed)
        records += _measured(0.8 + linv + 2 * wobble[seed], 0.6 + ldiv + wobble[seed], seed=seed, aug="cutout")
    return _claims(records)[0]


@pytest.mark.parametrize(
    ("linv", "ldiv", "verdict"),
    [
        (-0.05, -0.1, "supported"),
        (0.05, -0.1, "contradicted"),
        (-0.05, 0.1, "contradicted"),
        (-0.05, 0.0, "undecided"),
        (0.0, 0.0, "undecided"),
    ],
)
def test_masking_is_judged_by_both_measures(linv, ldiv, verdict):
    claim = _masking(linv, ldiv)
    assert (claim.verdict, [one.units for one in claim.evidence]) == (verdict, [3, 3])


def test_one_seed_decides_nothing_and_no_runs_say_what_is_needed():
    assert _masking(-0.05, -0.1, seeds=1).verdict == "undecided"
    assert _masking(-0.05, -0.1, seeds=1).evidence[0].mean == pytest.approx(-0.05)
    none = _claims([made()])
    assert [(claim.verdict, claim.evidence) for claim in none] == [("undecided", ())] * 3
    assert "cutout" in none[0].needs


def test_both_maskings_of_one_control_are_one_unit_and_regimes_are_units_of_their_own():
    records = []
    for supervision, fraction in (("self", 0.0), ("full", 1.0)):
        regime = {"supervision": supervision, "label_fraction": fraction}
        records += _measured(0.8, 0.6, **regime)
        records += _measured(0.7, 0.5, aug="cutout", **regime) + _measured(0.6, 0.5, aug="random-erasing", **regime)
    (evidence, _) = _claims(records)[0].evidence
    assert (evidence.units, evidence.mean) == (2, pytest.approx(-0.15))


def test_runs_that_differ_in_more_than_the_augmentation_are_not_compared():
    records = _measured(0.8, 0.6, epochs=10) + _measured(0.5, 0.3, aug="cutout", epochs=20)
    records += _measured(0.8, 0.6, seed=1) + _measured(0.5, 0.3, seed=2, aug="cutout")
    assert _claims(records)[0].evidence == ()


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.0, "supported"), (0.01, "supported"), (0.1, "contradicted"), (0.02, "undecided")]
)
def test_labels_change_nothing_only_where_the_whole_interval_is_within_the_margin(shift, verdict):
    records = []
    for seed, wobble in enumerate([0.0, 0.002, -0.002]):
        records += _measured(0.8, 0.6, seed=seed, supervision="self", label_fraction=0.0)
        records += _measured(0.8 + shift + wobble, 0.6, seed=seed)
        records += _measured(0.8 + shift - wobble / 2, 0.6, seed=seed, supervision="semi", label_fraction=0.5)
    claim = _claims(records)[1]
    assert claim.evidence[0].verdict == verdict
    assert claim.evidence[1].verdict == "supported"
    assert claim.verdict == verdict


@pytest.mark.parametrize(("top1", "verdict"), [(70.0, "supported"), (61.0, "contradicted"), (64.9, "undecided")])
def test_mixups_place_needs_the_most_invariance_more_diversity_and_the_highest_top1(top1, verdict):
    records = []
    for seed in range(3):
        records += _measured(0.9, 0.8, 60.0 + seed, seed=seed)
        records += _measured(0.7, 0.6, 65.0 + seed, seed=seed, aug="cutout") + _measured(
            0.8, 0.5, 62.0, seed=seed, aug="cutmix"
        )
        records += _measured(0.85 + seed / 1000, 0.7 + seed / 1000, top1 + 1.1 * seed, seed=seed, aug="mixup")
    claim = _claims(records)[2]
    assert [one.mean for one in claim.evidence] == [pytest.approx(0.051), pytest.approx(-0.099), pytest.approx(top1 - 64.9)]
    assert claim.verdict == verdict


def _key(aug, method, arch="resnet18"):
    return RowKey(method, aug, "self", 0.0, arch, "imagenet", 200, None, "{}", "{}", None)


def test_the_fractions_of_a_balanced_design_are_those_of_a_two_way_anova():
    rng = np.random.default_rng(0)
    cells = [(aug, method) for aug in "abc" for method in "mn" for _ in range(4)]
    y = np.array([{"a": 0, "b": 2, "c": 5}[aug] + {"m": 0, "n": 1}[method] for aug, method in cells]) + rng.normal(size=24)
    found = variance(0, [_key(*cell) for cell in cells], y.tolist())
    total = ((y - y.mean()) ** 2).sum()
    for place, name in ((0, "aug"), (1, "method")):
        levels = sorted({cell[place] for cell in cells})
        means = [y[[cell[place] == level for cell in cells]].mean() for level in levels]
        between = 24 / len(levels) * sum((mean - y.mean()) ** 2 for mean in means)
        assert found.contributions[name].fraction == pytest.approx(between / total)
    assert sum(one.fraction for one in found.contributions.values()) + found.residual == pytest.approx(1)
    freedom = 24 - 4  # one mean, two effects of aug, one of method
    ratio = found.contributions["method"].fraction / (found.residual / freedom)
    assert found.contributions["method"].p == pytest.approx(stats.f.sf(ratio, 1, freedom))


def test_factors_that_were_only_varied_together_are_inseparable():
    found = variance(0, [_key("a", "m"), _key("a", "m"), _key("b", "n"), _key("b", "n")], [1.0, 1.1, 5.0, 5.2])
    assert [(one.fraction, one.p) for one in found.contributions.values()] == [(pytest.approx(0, abs=1e-9), None)] * 2
    assert found.verdict == "undecided"


@pytest.mark.parametrize(
    ("aug", "method", "verdict"), [(4.0, 0.5, "supported"), (0.5, 4.0, "contradicted"), (0.0, 0.0, "undecided")]
)
def test_augmentation_against_algorithm(aug, method, verdict):
    draw = np.random.default_rng(0)
    records = [
        made(
            metrics={"top1": 50 + aug * (a == "mixup") + method * (m == "byol") + draw.normal(scale=0.3)},
            seed=seed,
            aug=a,
            method=m,
        )
        for seed, a, m in itertools.product(range(3), ("none", "mixup"), ("mocov2", "byol"))
    ]
    found = explained(leaderboard(entries(records)))
    assert [(one.runs, one.verdict) for one in found] == [(12, verdict)]
    assert overall(found) == verdict


def test_columns_that_disagree_decide_nothing():
    draw = np.random.default_rng(1)
    records = [
        made(
            task,
            {metric: 50 + big * (a == "mixup") + (4 - big) * (m == "byol") + draw.normal(scale=0.3)},
            seed=s,
            aug=a,
            method=m,
        )
        for s, a, m in itertools.product(range(3), ("none", "mixup"), ("mocov2", "byol"))
        for task, metric, big in (("linear", "top1", 4), ("knn", "knn", 0))
    ]
    found = explained(leaderboard(entries(records)))
    assert sorted(one.verdict for one in found) == ["contradicted", "supported"]
    assert overall(found) == "undecided"


def test_equal_numbers_one_row_or_no_repetition_have_no_variance_to_explain():
    assert variance(0, [_key("a", "m"), _key("b", "m")], [1.0, 2.0]) is None
    assert variance(0, [_key("a", "m"), _key("b", "m")], [1.0, 1.0]) is None
    assert variance(0, [_key("a", "m"), _key("a", "m")], [1.0, 2.0]) is None
