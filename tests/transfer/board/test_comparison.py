"""Differences to the baseline row, against scipy's tests and cases worked out by hand."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from transfer.board.baselines import baselines
from transfer.board.best import best
from transfer.board.cells import Count
from transfer.board.comparison import differences
from transfer.board.leaderboard import leaderboard
from transfer.board.simultaneous import critical

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries, RANDOM = _shared["made"], _shared["entries"], _shared["RANDOM"]
VOC = {"engine": "torchvision", "of_name": "voc", "of_val": 4952, "of_classes": 20}
NOISE = np.random.default_rng(0).normal(size=(8, 8, 8))
"""Row, pre-training, trial."""


def _board(*records):
    return leaderboard(entries(records))


def _rows(*units, **more):
    """Records of rows by their units: {pre-training seed: number or numbers}; the first is the control."""
    records = []
    for row, of in enumerate(units):
        for seed, numbers in of.items():
            for run, number in enumerate(np.atleast_1d(numbers).tolist()):
                aug = f"a{row}" if row else "none"
                records.append(made(aug=aug, seed=seed, run_seed=run, metrics={"top1": number}, **more))
    return records


def _noisy(row, seeds, shift=0.0, trials=1):
    return {seed: (50 + shift + NOISE[row, at, :trials]) for at, seed in enumerate(seeds)}


def _one(*records, row=None, **options):
    found = differences(_board(*records), **options)
    return found[max(found) if row is None else (row, 0)]


def _named(board):
    """Augmentation (or `random`) of each row → that of its baseline."""
    names = ["random" if row.baseline else row.key.aug for row in board.rows]
    of = baselines(board)
    return {name: names[of[row].row] if row in of and of[row].row is not None else None for row, name in enumerate(names)}


def test_a_row_is_compared_with_the_same_pre_training_without_the_augmentation_and_that_one_with_the_untrained():
    board = _board(made(**RANDOM), made(), made(aug="cutmix"), made(aug="mixup", arch="resnet50"))
    assert _named(board) == {"random": None, "none": "random", "cutmix": "none", "mixup": None}


def test_a_file_that_does_not_say_its_augmentation_is_compared_with_the_untrained_backbone():
    board = _board(made(**RANDOM), made(aug="unknown", seed=None, epochs=None))
    assert _named(board) == {"random": None, "unknown": "random"}


def test_an_untrained_backbone_of_another_stem_is_no_baseline_and_that_is_named():
    found = _one(made(**RANDOM), made(settings={"stem": "small"}))
    assert (found.answer, found.differing, found.half) == ("no control", ("stem",), None)
    assert _named(_board(made(**RANDOM, settings={"stem": "small"}), made(settings={"stem": "small"})))["none"] == "random"


@pytest.mark.parametrize("change", [{"method": "byol"}, {"supervision": "self"}, {"data": "imagenet"}, {"epochs": 200}])
def test_a_control_that_differs_in_more_than_the_augmentation_is_none_and_the_field_is_named(change):
    found = differences(_board(made(**change), made(aug="cutmix"))).values()
    assert [(one.answer, one.differing) for one in found] == [("no control", tuple(change))]


def test_of_two_controls_the_one_with_the_same_settings_is_taken_and_none_where_neither_has_them():
    both = [made(settings={"q": 1}), made(settings={"q": 2})]
    assert differences(_board(*both, made(aug="cutmix", settings={"q": 2})))[2, 0].baseline == 1
    assert differences(_board(*both, made(aug="cutmix", settings={"q": 3})))[2, 0].differing == ("q",)


@pytest.mark.parametrize("shifts", [(1.0, 2.0, 4.0), (0.5, -0.5, 0.2, 0.1), (3.0, 3.1)])
def test_two_rows_whose_seeds_pair_are_compared_as_in_scipys_paired_test(shifts):
    theirs = {seed: 50.0 + 3 * seed for seed in range(len(shifts))}
    mine = {seed: 50.0 + 3 * seed + shift for seed, shift in enumerate(shifts)}
    found = _one(*_rows(theirs, mine))
    test = stats.ttest_rel(list(mine.values()), list(theirs.values()))
    assert found.interval == tuple(pytest.approx(end) for end in test.confidence_interval(0.95))
    assert (found.answer == "different") == (test.pvalue < 0.05)
    assert found.paired == len(shifts)


def test_two_rows_whose_seeds_do_not_pair_are_compared_as_in_scipys_test_of_two_samples_and_nothing_is_thrown_away():
    theirs, mine = _noisy(0, range(5)), _noisy(1, range(5, 10), 9.5)
    found = _one(*_rows(theirs, mine))
    test = stats.ttest_ind(*([number.item() for number in row.values()] for row in (mine, theirs)))
    assert found.interval == tuple(pytest.approx(end) for end in test.confidence_interval(0.95))
    assert (found.mean, found.paired, found.answer) == (pytest.approx(9.5, abs=2), 0, "different")


def test_where_some_seeds_pair_all_pre_trainings_count():
    theirs, mine = {0: 50.0, 1: 51.5, 3: 49.0}, {0: 52.0, 1: 53.0, 2: 51.9}
    found = _one(*_rows(theirs, mine))
    assert (found.mean, found.paired) == (pytest.approx(156.9 / 3 - 150.5 / 3), 2)
    assert (found.mine, found.theirs) == (Count(3, 1, 1), Count(3, 1, 1))
    # 2/9 of the variance of a paired difference, (2 − 1.75)² + (1.5 − 1.75)², and 1/9 of both of the rows' own
    own = np.var([*theirs.values()], ddof=1) + np.var([*mine.values()], ddof=1)
    error = (2 / 9 * 0.125 + 1 / 9 * own) ** 0.5
    parts = [(2 / 9 * 2, 1), (1 / 9, 2), (1 / 9, 2)]
    freedom = sum(weight for weight, _ in parts) ** 2 / sum(weight**2 / of for weight, of in parts)
    assert (found.half, found.freedom) == (pytest.approx(stats.t.ppf(0.975, freedom) * error), pytest.approx(freedom))


def test_trials_are_averaged_and_are_no_repetitions_of_the_pre_training():
    theirs, mine = _noisy(0, range(3), trials=5), _noisy(1, range(3), 2.0, trials=5)
    found, means = _one(*_rows(theirs, mine)), _one(*_rows(*({s: v.mean() for s, v in row.items()} for row in (theirs, mine))))
    assert found.interval == tuple(pytest.approx(end) for end in means.interval)
    assert (found.mine, means.mine) == (Count(3, 5, 5), Count(3, 1, 1))


def test_one_pre_training_each_says_nothing_of_the_augmentation_however_many_trials_there_are():
    theirs, mine = _noisy(0, [0], trials=5), _noisy(1, [0], 40.0, trials=5)
    found = _one(*_rows(theirs, mine))
    assert (found.answer, found.mine) == ("two checkpoints", Count(1, 5, 5))
    low, high = stats.ttest_ind(mine[0], theirs[0]).confidence_interval(0.95)
    assert found.interval == (pytest.approx(low), pytest.approx(high))
    assert _one(made(metrics={"top1": 40.0}), made(aug="a", metrics={"top1": 60.0})).half is None


def _answers(board):
    return {row: (found.answer, found.half is None) for (row, _), found in differences(board).items()}


@pytest.mark.parametrize("controls", [2, 3])
def test_a_row_of_one_pre_training_borrows_no_spread_however_far_it_is(controls):
    board = _board(*_rows(_noisy(0, range(controls)), {0: 90.0}, {0: 10.0}))
    assert _answers(board) == {1: ("undecided", True), 2: ("undecided", True)}
    assert best(board) == frozenset()  # nobody knows whether 90.0 is the best
    repeated = _noisy(1, range(2), 40.0)
    board = _board(*_rows(_noisy(0, range(controls)), repeated, {0: 80.0}))
    assert _answers(board)[2] == ("undecided", True)
    assert _answers(_board(*_rows(repeated)[:1], *_rows({0: 50.0}, repeated)[1:])) == {1: ("undecided", True)}


def test_a_row_of_one_pre_training_changes_no_other_comparison_of_its_column():
    rows = [_noisy(row, range(3), 4.0 * row) for row in range(3)]
    alone, beside = (differences(_board(*_rows(*rows, *more))) for more in ([], [{0: 90.0}]))
    assert {place: beside[place] for place in alone} == alone
    assert set(beside) - set(alone) == {(3, 0)}


def test_a_row_of_one_pre_training_is_not_told_from_a_repeated_best():
    rows = [_noisy(0, range(5)), _noisy(1, range(5), 20.0), {0: 49.0}]
    assert best(_board(*_rows(*rows))) == {(1, 0), (2, 0)}


def test_rows_that_share_a_control_keep_the_level_together_with_a_variance_pooled_over_them():
    rows = [_noisy(row, range(100 * row, 100 * row + 4)) for row in range(4)]
    board = _board(*_rows(*rows))
    found = [differences(board)[row, 0] for row in (1, 2, 3)]
    spread = [np.var(np.concatenate([*row.values()]), ddof=1) for row in rows]
    error = ((spread[0] + np.mean(spread[1:])) / 4) ** 0.5
    freedom = 4 / (1 / 3 + 1 / 9)  # the control's own three, and nine of three rows
    assert [one.freedom for one in found] == [pytest.approx(freedom)] * 3
    assert [one.half for one in found] == [pytest.approx(critical(((0.5,) * 3,), freedom) * error)] * 3


def test_paired_differences_to_one_control_pool_and_count_for_less_than_independent_ones():
    rows = [_noisy(row, range(4)) for row in range(4)]
    found = _one(*_rows(*rows))
    paired = [np.var([rows[row][seed] - rows[0][seed] for seed in range(4)], ddof=1) for row in (1, 2, 3)]
    freedom = 9 / (1 + 2 / 4)
    assert found.freedom == pytest.approx(freedom)
    assert found.half == pytest.approx(critical(((0.5,) * 3,), freedom) * (np.mean(paired) / 4) ** 0.5)


def test_a_column_is_decided_on_its_own_whatever_else_is_on_the_board():
    rows = [{seed: NOISE[row, seed, :5] for seed in range(3)} for row in range(3)]

    def board(trials):
        return _board(
            *(
                made(metrics={f"m{at}": 50 + values[at] for at in trials}, aug=f"a{row}" if row else "none", seed=seed)
                for row, of in enumerate(rows)
                for seed, values in of.items()
            )
        )

    whole = differences(board(range(5)))
    for at in range(5):
        assert {row: one for (row, column), one in whole.items() if column == at} == {
            row: one for (row, _), one in differences(board([at])).items()
        }


@pytest.mark.parametrize(
    ("shift", "spread", "answer"),
    [(0.0, 0.01, "equivalent"), (0.3, 0.01, "equivalent"), (0.7, 0.01, "different"), (0.0, 1.0, "undecided")],
)
def test_equivalent_is_only_what_is_known_to_differ_by_less_than_is_of_interest(shift, spread, answer):
    rows = [{seed: 50 + row * shift + spread * NOISE[row, seed, 0] for seed in range(5)} for row in range(2)]
    assert _one(*_rows(*rows)).answer == answer


def test_the_smallest_difference_of_interest_is_the_metrics_and_can_be_chosen():
    rows = _rows(*({seed: 50 + 0.3 * row + 0.01 * NOISE[row, seed, 0] for seed in range(5)} for row in range(2)))
    assert [(one.answer, one.interest) for one in (_one(*rows), _one(*rows, interests={"top1": 0.1}))] == [
        ("equivalent", 0.5),
        ("different", 0.1),
    ]


def test_numbers_without_any_spread_say_nothing_of_chance():
    found = _one(*_rows({0: 50.0, 1: 60.0}, {0: 50.1, 1: 60.1}))
    assert (found.answer, found.half) == ("undecided", None)


def test_a_published_spread_over_fine_tunings_is_counted_in_where_two_checkpoints_are_compared():
    board = _board(made("voc0712", {"AP": 54.0}, **VOC), made("voc0712", {"AP": 55.0}, aug="mixup", **VOC))
    (found,) = differences(board).values()
    assert (found.answer, found.freedom, found.prior.over) == ("two checkpoints", 4, "fine-tunings")
    assert found.half == pytest.approx(stats.t.ppf(0.975, 4) * 0.2 * 2**0.5)
    trials = {"none": (0.0, 0.1, 0.5), "mixup": (0.0, 0.3, 0.4)}
    records = [
        made("voc0712", {"AP": 54.0 + value}, aug=aug, run_seed=run, **VOC)
        for aug, values in trials.items()
        for run, value in enumerate(values)
    ]
    (found,) = differences(_board(*records)).values()
    # beside the trials' own, at every number of them; a control has a variance of its own
    parts = [(2 * np.var(values, ddof=1) + 4 * 0.2**2) / 6 / 3 for values in trials.values()]
    freedom = 2**2 / (1 / 6 + 1 / 6 + 2 * 4 / 6**2)  # of equal variances, whose estimates have the prior's 4 in common
    assert found.freedom == pytest.approx(freedom)
    assert found.half == pytest.approx(stats.t.ppf(0.975, freedom) * sum(parts) ** 0.5)


def test_a_published_spread_over_pre_trainings_is_counted_in_with_its_degrees_of_freedom():
    of = {"version": 2, "of_val": 50_000, "of_classes": 1000}
    found = _one(*_rows(_noisy(0, range(3)), _noisy(1, range(10, 13)), **of))
    spread = [np.var(np.concatenate([*_noisy(row, range(3)).values()]), ddof=1) for row in (0, 1)]
    pooled = [(2 * one + 4 * 0.2**2) / 6 for one in spread]
    freedom = 2**2 / (1 / 6 + 1 / 6 + 2 * 4 / 6**2)  # the prior's 4 count in both spreads, and are not independent
    assert (found.prior.n, found.freedom) == (5, pytest.approx(freedom))
    assert found.half == pytest.approx(stats.t.ppf(0.975, freedom) * (sum(pooled) / 3) ** 0.5)


def test_a_published_spread_over_fine_tunings_decides_nothing_of_the_augmentation():
    rows = [made("voc0712", {"AP": 54.0 + row + seed}, aug=aug, seed=seed, **VOC) for row, aug in ((0, "none"), (9, "mixup"))
            for seed in range(2)]  # fmt: skip
    assert [one.prior for one in differences(_board(*rows)).values()] == [None]


@pytest.mark.parametrize("change", [{"of_val": 60}, {"of_classes": 3}, {"changed": {"iters": 60}}, {"version": 99}])
def test_a_published_spread_holds_for_the_published_protocol_on_its_own_data_only(change):
    more = VOC | change
    board = _board(made("voc0712", {"AP": 1.0}, **more), made("voc0712", {"AP": 9.0}, aug="mixup", **more))
    assert [(found.prior, found.half) for found in differences(board).values()] == [(None, None)]


@pytest.mark.parametrize("task", ["voc07", "coco-c4", "coco-fpn"])
def test_no_spread_is_taken_for_published_where_no_source_gives_one(task):
    from transfer import tasks

    assert [dict(one.noise) for one in tasks.get(task).published if one.noise] == []


def test_bold_are_all_rows_that_can_not_be_told_from_the_best():
    rows = [_noisy(row, range(5), shift) for row, shift in enumerate((0.0, 0.3, 20.0, 20.2, 0.5))]
    board = _board(*_rows(*rows))
    assert best(board) == {(2, 0), (3, 0)}
    assert best(_board(*_rows(*(_noisy(row, range(5)) for row in range(4))))) == {(row, 0) for row in range(4)}


def test_nothing_is_bold_where_nothing_is_repeated_or_nothing_is_best():
    assert best(_board(made(metrics={"top1": 1.0}), made(aug="a", metrics={"top1": 90.0}))) == frozenset()
    rows = [
        made("representation", {"Linv": 0.5 + 0.01 * NOISE[row, seed, 0]}, kind="measure", aug=aug, seed=seed)
        for row, aug in enumerate(("none", "a"))
        for seed in range(3)
    ]
    assert best(_board(*rows)) == frozenset()


def test_numbers_that_could_not_be_computed_have_no_difference():
    assert differences(_board(made(metrics={"top1": None}), made(aug="mixup"))) == {}
