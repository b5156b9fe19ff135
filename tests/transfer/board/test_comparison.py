"""Differences to the baseline row, against scipy and cases worked out by hand."""

import runpy
from pathlib import Path

import pytest
from scipy import stats

from transfer.board.comparison import baselines, difference, differences, interval
from transfer.board.leaderboard import leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries, RANDOM = _shared["made"], _shared["entries"], _shared["RANDOM"]
VOC = {"engine": "torchvision", "of_name": "voc", "of_val": 4952, "of_classes": 20}


def _board(*records):
    return leaderboard(entries(records))


def _named(board):
    """Augmentation (or `random`) of each row → that of its baseline."""
    names = ["random" if row.baseline else row.key.aug for row in board.rows]
    return {name: None if at is None else names[at] for name, at in zip(names, baselines(board.rows), strict=True)}


def test_a_row_is_compared_with_the_same_pre_training_without_the_augmentation_and_that_one_with_the_untrained():
    board = _board(made(**RANDOM), made(), made(aug="cutmix"), made(aug="mixup", arch="resnet50"))
    assert _named(board) == {"random": None, "none": "random", "cutmix": "none", "mixup": None}


@pytest.mark.parametrize("change", [{"method": "byol"}, {"supervision": "self"}, {"data": "imagenet"}, {"epochs": 200}])
def test_a_control_that_differs_in_more_than_the_augmentation_is_none(change):
    assert _named(_board(made(**change), made(aug="cutmix")))["cutmix"] is None


def test_of_two_controls_the_one_with_the_same_settings_is_taken_and_none_where_neither_has_them():
    both = [made(settings={"q": 1}), made(settings={"q": 2})]
    assert differences(_board(*both, made(aug="cutmix", settings={"q": 2})))[2, 0].baseline == 1
    assert differences(_board(*both, made(aug="cutmix", settings={"q": 3}))) == {}


@pytest.mark.parametrize("shifts", [(1.0, 2.0, 4.0), (0.5, -0.5, 0.2, 0.1), (3.0, 3.1)])
def test_seeds_pair_as_in_scipys_paired_test(shifts):
    mine = {seed: 50.0 + 3 * seed + shift for seed, shift in enumerate(shifts)}
    theirs = {seed: 50.0 + 3 * seed for seed in range(len(shifts))}
    found = difference(0, mine, theirs, None)
    test = stats.ttest_rel(list(mine.values()), list(theirs.values()))
    low, high = test.confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == (pytest.approx(low), pytest.approx(high))
    assert (found.verdict == "significant") == (test.pvalue < 0.05)
    assert found.pairs == len(shifts)


def test_only_common_seeds_pair():
    found = difference(0, {0: 1.0, 1: 2.0, 2: 90.0}, {0: 0.0, 1: 0.5, 3: 70.0}, None)
    assert (found.pairs, found.mean) == (2, 1.25)


def test_one_seed_without_published_noise_is_unknown():
    found = difference(0, {0: 60.0}, {0: 40.0}, None)
    assert (found.mean, found.half, found.verdict) == (20.0, None, "unknown")


@pytest.mark.parametrize(("gap", "verdict"), [(0.55, "within noise"), (0.56, "significant"), (-0.56, "significant")])
def test_with_one_seed_the_published_noise_decides(gap, verdict):
    found = difference(0, {0: 80.0 + gap}, {0: 80.0}, 0.2)  # 1.96 · 0.2 · √(1/1 + 1/1) = 0.5544
    assert (found.half, found.verdict) == (pytest.approx(0.5544, abs=1e-4), verdict)
    assert found.prior == 0.2


def test_the_prior_is_that_of_the_benchmark_and_metric():
    metrics = {"AP50": 80.0, "AP": 54.0, "AP75": 60.0}
    board = _board(made("voc0712", metrics, **VOC), made("voc0712", metrics, aug="mixup", **VOC))
    priors = {board.columns[column].name: found.prior for (_, column), found in differences(board).items()}
    assert priors == {"AP50": 0.2, "AP": 0.2, "AP75": 0.4}
    coco = {"engine": "torchvision", "of_name": "coco", "of_val": 5000, "of_classes": 80}
    board = _board(made("coco-c4", {"AP_seg": 30.0}, **coco), made("coco-c4", {"AP_seg": 31.0}, aug="mixup", **coco))
    assert [(found.prior, found.verdict) for found in differences(board).values()] == [(0.3, "significant")]


@pytest.mark.parametrize("change", [{"of_val": 60}, {"of_classes": 3}, {"changed": {"iters": 60}}, {"version": 99}])
def test_the_prior_holds_for_the_published_protocol_on_its_own_data_only(change):
    more = VOC | change
    board = _board(made("voc0712", {"AP": 1.0}, **more), made("voc0712", {"AP": 9.0}, aug="mixup", **more))
    assert [found.verdict for found in differences(board).values()] == ["unknown"]


def test_seeds_of_the_pre_training_and_of_the_run_pair_together():
    records = [
        made(seed=seed, run_seed=run, aug=aug, metrics={"top1": 10.0 * seed + run + shift})
        for seed in (0, 1)
        for run in (0, 1)
        for aug, shift in (("none", 0.0), ("mixup", 2.0 + seed / 10))
    ]
    (found,) = differences(_board(*records)).values()
    assert (found.pairs, found.mean, found.verdict) == (4, pytest.approx(2.05), "significant")


def test_an_interval_is_students_and_there_is_none_for_one_value():
    values = [1.0, 2.0, 4.0, 4.5]
    low, high = stats.t.interval(0.95, 3, loc=2.875, scale=stats.sem(values))
    assert interval(values) == (2.875, pytest.approx((high - low) / 2))
    assert interval([3.0]) == (3.0, None)


def test_numbers_that_could_not_be_computed_have_no_difference():
    assert differences(_board(made(metrics={"top1": None}), made(aug="mixup"))) == {}
