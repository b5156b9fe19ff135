"""The claims of arXiv:2310.18850, on runs made to support, contradict or leave them undecided; the tests behind them."""

import dataclasses
import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from transfer.board.claims import claims, deciding
from transfer.board.claims.judge import ABOVE, BELOW, Basis, Claim, Evidence, Expected, holm, judged
from transfer.board.errors import Estimate
from transfer.board.factors import explained
from transfer.board.leaderboard import leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries = _shared["made"], _shared["entries"]
MASKING, LABELS, BEST, MARGINAL = range(4)


def _measured(linv, ldiv, top1=None, seed=0, **provenance):
    metrics = {"Linv": linv, "Ldiv": ldiv}
    records = [made("representation", metrics, kind="measure", seed=seed, **provenance)]
    return records + ([made("linear", {"top1": top1}, seed=seed, **provenance)] if top1 is not None else [])


def _claims(records):
    board = leaderboard(entries(records))
    return claims(board, explained(board))


def _masking(linv, ldiv, seeds=3):
    wobble = [0.0, 0.002, -0.001, 0.001]
    records = []
    for seed in range(seeds):
        records += _measured(0.8 + wobble[seed], 0.6, seed=seed)
        records += _measured(0.8 + linv + 2 * wobble[seed], 0.6 + ldiv + wobble[seed], seed=seed, aug="cutout")
    return _claims(records)[MASKING]


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
    assert (claim.verdict, [one.units for one in claim.evidence]) == (verdict, ["3 pairs of pre-trainings"] * 2)
    assert "partly one quantity" in claim.note


def test_one_seed_decides_nothing_and_no_runs_say_what_is_needed():
    assert _masking(-0.05, -0.1, seeds=1).verdict == "undecided"
    one = _masking(-0.05, -0.1, seeds=1).evidence[0]
    assert (one.value, one.interval, one.units) == (pytest.approx(-0.05), None, "one pre-training each")
    none = _claims([made()])
    assert [(claim.verdict, claim.evidence) for claim in none] == [("undecided", ())] * 7
    assert "cutout" in none[MASKING].missing[0]


def test_runs_of_one_pre_training_are_one_unit_however_many_they_are():
    records = []
    for run in range(5):
        for aug, linv in (("none", 0.8), ("cutout", 0.7)):
            records.append(
                made("representation", {"Linv": linv + run / 1e4, "Ldiv": linv}, kind="measure", run_seed=run, aug=aug)
            )
    claim = _claims(records)[MASKING]
    assert [one.units for one in claim.evidence] == ["one pre-training each"] * 2
    assert claim.verdict == "undecided"


def test_each_masking_and_each_regime_is_a_line_of_its_own_and_no_average_of_them_is_taken():
    records = []
    for seed, (supervision, fraction) in itertools.product(range(3), (("self", 0.0), ("full", 1.0))):
        regime = {"supervision": supervision, "label_fraction": fraction, "seed": seed}
        off = 0.001 * (-1) ** seed
        records += _measured(0.8, 0.6, **regime)
        sign = 1 if supervision == "self" else -1
        records += _measured(0.8 - sign * 0.1 + off, 0.5, aug="cutout", **regime)
        records += _measured(0.8 - sign * 0.2, 0.5 + off, aug="random-erasing", **regime)
    claim = _claims(records)[MASKING]
    linv = [(one.what, one.within, one.value) for one in claim.evidence][:4]
    assert [value for *_, value in linv] == [pytest.approx(v, abs=2e-3) for v in (-0.1, -0.2, 0.1, 0.2)]
    assert {(what, within) for what, within, _ in linv} == {
        (f"{aug} − none", within)
        for aug in ("cutout", "random-erasing")
        for within in ("self, 0 % labels", "full, 100 % labels")
    }
    assert claim.verdict == "contradicted"


def test_runs_that_differ_in_more_than_the_augmentation_are_not_compared():
    records = _measured(0.8, 0.6, epochs=10) + _measured(0.5, 0.3, aug="cutout", epochs=20)
    records += _measured(0.8, 0.6, seed=1, settings={"recipe.base_lr": 0.3}) + _measured(0.5, 0.3, seed=1, aug="cutout")
    assert _claims(records)[MASKING].evidence == ()


def test_runs_of_other_seeds_are_two_samples():
    records = []
    for seed in range(3):
        records += _measured(0.8 + seed / 1000, 0.6, seed=seed) + _measured(
            0.5 + seed / 1000, 0.3 + seed / 1000, seed=seed + 3, aug="cutout"
        )
    claim = _claims(records)[MASKING]
    assert (claim.verdict, claim.evidence[0].units) == ("supported", "3 and 3 pre-trainings")


def test_earlier_backbones_of_a_run_are_no_evidence_beside_its_last():
    records = []
    for seed, epochs in itertools.product(range(3), (10, 20)):
        records += _measured(0.8 + seed / 1000, 0.6, seed=seed, epochs=epochs)
        records += _measured(0.7 + epochs / 1000, 0.5 + seed / 1000, seed=seed, epochs=epochs, aug="cutout")
    evidence = _claims(records)[MASKING].evidence
    assert [one.value for one in evidence] == [pytest.approx(0.72 - 0.801), pytest.approx(-0.099)]


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.0, "supported"), (0.01, "supported"), (0.1, "contradicted"), (0.02, "undecided")]
)
def test_labels_change_nothing_only_where_the_whole_interval_is_within_the_margin(shift, verdict):
    records = []
    for seed, wobble in enumerate([0.0, 0.002, -0.002]):
        records += _measured(0.8, 0.6, seed=seed, supervision="self", label_fraction=0.0)
        records += _measured(0.8 + shift + wobble, 0.6 + wobble, seed=seed)
        records += _measured(0.8 + shift - wobble / 2, 0.6 + wobble, seed=seed, supervision="semi", label_fraction=0.5)
    claim = _claims(records)[LABELS]
    assert [one.verdict for one in claim.evidence] == [verdict] * 2 + ["supported"] * 2
    assert claim.verdict == verdict


def test_the_smallest_difference_of_interest_is_the_margin_and_can_be_chosen():
    records = []
    for seed, wobble in enumerate([0.0, 0.002, -0.002]):
        records += _measured(0.8, 0.6, seed=seed, supervision="self", label_fraction=0.0)
        records += _measured(0.81 + wobble / 2, 0.6 + wobble, seed=seed)
    board = leaderboard(entries(records))
    verdicts = [claims(board, (), {"Linv": margin})[LABELS].evidence[0].verdict for margin in (0.02, 0.0005)]
    assert verdicts == ["supported", "contradicted"]


def test_label_modes_that_cancel_are_no_absence_of_change():
    records = []
    for seed in range(3):
        off = 0.001 * (-1) ** seed
        records += _measured(0.8, 0.6, seed=seed, supervision="self", label_fraction=0.0)
        records += _measured(0.84 + off, 0.6, seed=seed)
        records += _measured(0.76 - off, 0.6, seed=seed, settings={"method.label_mode": "drop-negatives"})
    claim = _claims(records)[LABELS]
    assert {one.what: one.verdict for one in claim.evidence[:2]} == {
        "full − self": "contradicted",
        "full (drop-negatives) − self": "contradicted",
    }
    assert claim.verdict == "contradicted"


def _mixups(top1, others=("cutout", "cutmix", "random-erasing"), linv=0.95):
    records = []
    for seed in range(3):
        records += _measured(0.9, 0.8, 60.0 + seed, seed=seed)
        for aug, (own, views, score) in {
            "cutout": (0.7, 0.6, 65.0),
            "cutmix": (0.8, 0.5, 62.0),
            "random-erasing": (0.6, 0.5, 61.0),
        }.items():
            if aug in others:
                records += _measured(own, views, score + seed, seed=seed, aug=aug)
        records += _measured(linv + seed / 1000, 0.7 + seed / 1000, top1 + 1.1 * seed, seed=seed, aug="mixup")
    return _claims(records)


@pytest.mark.parametrize(("top1", "verdict"), [(70.0, "supported"), (61.0, "contradicted"), (64.9, "undecided")])
def test_the_best_is_above_every_rival(top1, verdict):
    claim = _mixups(top1)[BEST]
    top1s = {one.what: one.value for one in claim.evidence[4:]}
    assert top1s["MixUp − random-erasing"] == pytest.approx(top1 + 0.1 - 61.0)
    assert len(claim.evidence) == 8
    assert claim.verdict == verdict


def test_a_rival_that_was_not_run_leaves_the_best_undecided():
    claim = _mixups(70.0, others=("cutout", "cutmix"))[BEST]
    assert {one.verdict for one in claim.evidence} == {"supported"}
    assert claim.verdict == "undecided"
    (missing,) = claim.missing
    assert missing.startswith("no evidence: Linv, MixUp − random-erasing; top1, MixUp − random-erasing; needs")


@pytest.mark.parametrize(
    ("linv", "best", "marginal"),
    [(0.95, "supported", "contradicted"), (0.89, "contradicted", "supported"), (0.8, "contradicted", "contradicted")],
)
def test_the_summary_and_the_abstract_conflict_and_are_two_claims(linv, best, marginal):
    found = _mixups(70.0, linv=linv)
    assert (found[BEST].verdict, found[MARGINAL].verdict) == (best, marginal)
    assert all("conflict" in found[claim].note for claim in (BEST, MARGINAL))


def test_what_no_record_can_decide_is_listed_with_what_is_missing():
    calibration, averaged = _claims([made()])[-2:]
    assert [claim.verdict for claim in (calibration, averaged)] == ["undecided"] * 2
    assert "ECE" in calibration.missing[0]
    assert "several augmented views" in averaged.missing[0]


def test_two_equal_differences_are_no_certainty():
    records = []
    for seed in range(2):
        records += _measured(0.8 + seed / 100, 0.6, seed=seed) + _measured(0.7 + seed / 100, 0.5, seed=seed, aug="cutout")
    assert [one.verdict for one in _claims(records)[MASKING].evidence] == ["undecided"] * 2


def test_a_line_of_two_rows_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = 0.7 + 0.01 * rng.normal(size=(2, 6))
    records = []
    for seed in range(6):
        records += _measured(b[seed], 0.6, seed=seed) + _measured(a[seed], 0.5, seed=seed, aug="cutout")
    line = _claims(records)[MASKING].evidence[0]
    expected = stats.ttest_rel(a, b, alternative="less")
    assert (line.holds, line.fails) == (pytest.approx(expected.pvalue), pytest.approx(1 - expected.pvalue))
    assert line.interval == pytest.approx(stats.ttest_rel(a, b).confidence_interval())


@pytest.mark.parametrize("mean", [0.0, 0.9, -0.9, 3.0, -3.0])
def test_a_difference_within_bounds_is_tested_against_both(mean):
    found = Estimate(mean, 0.4, 7, 0.5, 8)
    within = Expected("", low=-1.0, high=1.0)
    low, high = stats.t.sf((mean + 1) / 0.4, 7), stats.t.sf((1 - mean) / 0.4, 7)
    assert within.holds(found) == pytest.approx(max(low, high))
    tails = stats.t.sf((abs(mean) - 1) / 0.4, 7) + stats.t.sf((abs(mean) + 1) / 0.4, 7)
    assert within.fails(found) == pytest.approx(min(tails, 1))
    assert ABOVE.holds(found) == pytest.approx(1 - BELOW.holds(found))


def test_holms_adjustment_is_the_step_down_of_bonferronis():
    assert holm([0.01, 0.04, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([]) == []


def _undecided(mean, expected, error=0.8, pretrainings=3):
    found = Estimate(mean, error, 2 * (pretrainings - 1), 0.5, 0)
    line = Evidence("a − b", "", 0, "", mean, (-9, 9), "", expected.holds(found), expected.fails(found))
    return Claim("text", "source", judged([dataclasses.replace(line, basis=Basis(found, expected, pretrainings))]))


@pytest.mark.parametrize(
    ("mean", "expected"), [(1.0, ABOVE), (-1.0, ABOVE), (1.0, BELOW), (0.0, Expected("within ±1", -1.0, 1.0))]
)
def test_as_many_pre_trainings_as_are_said_to_decide_a_claim_do_so_four_times_in_five(mean, expected):
    """Of two rows with the variance that a pilot of three found, drawn anew; two-sided within bounds needs both tails."""
    claim = _undecided(mean, expected)
    number = deciding.pretrainings(claim)
    spread, rng, draws, decided = 0.8 * (3 / 2) ** 0.5, np.random.default_rng(0), 2000, 0
    for _ in range(draws):
        rows = rng.normal([mean, 0.0], spread, (number, 2))
        error = (rows.var(0, ddof=1).sum() / number) ** 0.5
        found = Estimate(float(np.diff(rows.mean(0)[::-1])[0]), error, 2 * (number - 1), 0.5, 0)
        decided += min(expected.holds(found), expected.fails(found)) <= 0.025
    assert 0.72 < decided / draws < 0.92, number


def test_no_number_decides_what_is_decided_or_has_no_evidence_and_a_difference_of_nothing_takes_too_many():
    assert deciding.pretrainings(_undecided(0.0, ABOVE)) == 0
    assert deciding.pretrainings(_undecided(99.0, ABOVE)) is None
    assert deciding.pretrainings(dataclasses.replace(_undecided(1.0, ABOVE), missing=("no evidence",))) is None
    assert deciding.pretrainings(_masking(-0.05, -0.1, seeds=1)) is None
    closer, farther = (deciding.pretrainings(_undecided(mean, ABOVE)) for mean in (0.5, 1.0))
    assert closer > farther > 3
    assert deciding.pretrainings(_undecided(1.0, ABOVE, pretrainings=30, error=0.5)) > 30
