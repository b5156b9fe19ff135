"""Units of pre-training and controls, against cases worked out by hand."""

import runpy
from pathlib import Path

import pytest

from transfer.board.cells import Unit, between, within
from transfer.board.controls import Control, controls
from transfer.board.leaderboard import leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries, RANDOM = _shared["made"], _shared["entries"], _shared["RANDOM"]


def _board(*records):
    return leaderboard(entries(records))


def _foreign(sha256, **more):
    return made(sha256=sha256 * 9, seed=None, aug="unknown", epochs=None, **more)


def _named(board):
    """Augmentation of each row → its control's index and the fields that differ."""
    return {board.rows[row].key.aug: (found.row, found.differing) for row, found in controls(board).items()}


def test_numbers_are_averaged_over_run_seeds_and_a_unit_is_one_pre_training():
    records = [made(seed=seed, run_seed=run, metrics={"top1": 10.0 * seed + run}) for seed in (1, 0) for run in (0, 1, 5)]
    (found,) = _board(*records).units.values()
    assert found == (Unit(0, {0: 0.0, 1: 1.0, 5: 5.0}, 2.0), Unit(1, {0: 10.0, 1: 11.0, 5: 15.0}, 12.0))


def test_a_number_that_could_not_be_computed_is_in_no_unit():
    board = _board(made(metrics={"top1": None}), made(run_seed=1, metrics={"top1": 3.0}), made(seed=1, metrics={"top1": None}))
    (found,) = board.units.values()
    assert found == (Unit(0, {1: 3.0}, 3.0),)


def test_files_of_unknown_seed_are_single_pre_trainings_each_in_its_row():
    board = _board(*(_foreign(sha, run_seed=run, metrics={"top1": run}) for sha in ("one", "two") for run in (1, 3)))
    assert board.units == {(row, 0): (Unit(None, {1: 1.0, 3: 3.0}, 2.0),) for row in (0, 1)}


def test_two_files_of_one_seed_are_one_unit():
    (found,) = _board(made(sha256="a", metrics={"top1": 1.0}), made(sha256="b", metrics={"top1": 2.0})).units.values()
    assert found == (Unit(0, {0: 1.5}, 1.5),)


def test_untrained_backbones_are_one_row_with_several_seeds():
    (found,) = _board(*(made(**RANDOM | {"seed": seed}) for seed in range(3))).units.values()
    assert [unit.seed for unit in found] == [0, 1, 2]


def test_the_spread_between_pre_trainings_is_of_their_means_and_that_within_is_pooled_over_them():
    found = (Unit(0, {0: 1.0, 1: 3.0}, 2.0), Unit(1, {0: 4.0, 1: 4.0, 2: 7.0}, 5.0))
    assert between(found) == (pytest.approx(4.5**0.5), 1)  # ((2 − 3.5)² + (5 − 3.5)²) / 1
    assert within(found) == (pytest.approx((8 / 3) ** 0.5), 3)  # (1 + 1 + 1 + 1 + 4) / (1 + 2)
    assert between(found[:1]) is None
    assert within((Unit(0, {0: 1.0}, 1.0), Unit(1, {0: 2.0}, 2.0))) is None


def test_a_control_shares_every_setting_but_the_augmentations_own():
    board = _board(made(), made(aug="cutmix", augmentation={"aug_views": "both"}), made(**RANDOM))
    assert controls(board) == {2: Control(1)}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"method": "byol"}, ("method",)),
        ({"supervision": "self", "label_fraction": 0.0}, ("supervision", "label_fraction")),
        ({"method_version": 2}, ("method_version",)),
        ({"data": "imagenet", "epochs": 200}, ("data", "epochs")),
        ({"settings": {"recipe.base_lr": 0.06, "recipe.batch": 512}}, ("recipe.base_lr", "recipe.batch")),
    ],
)
def test_without_a_control_the_fields_that_differ_are_named(change, names):
    assert _named(_board(made(), made(aug="cutmix", **change))) == {"cutmix": (None, names)}


def test_of_two_rows_without_augmentation_the_one_with_the_same_settings_is_the_control():
    both = [made(settings={"q": 1}), made(settings={"q": 2})]
    assert _named(_board(*both, made(aug="cutmix", settings={"q": 2}))) == {"cutmix": (1, ())}
    assert _named(_board(*both, made(aug="cutmix", settings={"q": 3}))) == {"cutmix": (None, ("q",))}


def test_the_published_settings_are_the_control_of_several_that_differ_in_the_augmentations_own():
    both = [made(augmentation={"aug_views": "both"}), made(), made(aug="cutmix")]
    assert _named(_board(*both)) == {"cutmix": (1, ())}
    assert _named(_board(made(seed=None, sha256="a"), made(seed=None, sha256="b"), made(aug="cutmix"))) == {
        "cutmix": (None, ("file",))
    }


def test_without_any_row_of_no_augmentation_nothing_is_near():
    assert controls(_board(made(aug="cutmix"), made(**RANDOM))) == {1: Control(None)}
