"""Rows, columns and pooled cells, against cases computed by hand and plain loops."""

import random
import runpy
import statistics
from pathlib import Path

import pytest

from transfer.board.cells import Count
from transfer.board.entries import newest
from transfer.board.leaderboard import leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, entries, sample = _shared["made"], _shared["entries"], _shared["sample"]


def _board(*records):
    return leaderboard(entries(records))


def _only(board):
    """The one cell of a board."""
    (cell,) = board.cells.values()
    return cell


def test_one_run_is_its_own_mean_without_a_spread():
    cell = _only(_board(made(metrics={"top1": 41.0})))
    assert (cell.mean, cell.std, cell.count, cell.entries) == (41.0, None, Count(1, 1, 1), (0,))


def test_repetitions_pool_to_the_mean_and_the_sample_standard_deviation():
    cell = _only(_board(*(made(metrics={"top1": value}, seed=seed) for seed, value in enumerate([2.0, 4.0, 9.0]))))
    assert cell.count == Count(3, 1, 1)
    assert cell.mean == pytest.approx(5.0)
    assert cell.std == pytest.approx(13**0.5)  # ((2−5)² + (4−5)² + (9−5)²) / (3 − 1) = 13
    assert cell.entries == (0, 1, 2)


def test_trials_are_averaged_and_the_spread_is_over_pre_trainings():
    records = [made(seed=seed, run_seed=run, metrics={"top1": 10.0 * seed + run}) for seed in (0, 1) for run in (0, 1)]
    cell = _only(_board(*records))
    assert (cell.count, cell.mean) == (Count(2, 2, 2), 5.5)
    assert cell.std == pytest.approx(statistics.stdev([0.5, 10.5]))


def test_a_pre_training_with_more_trials_weighs_as_much_as_another():
    records = [
        made(seed=seed, run_seed=run, metrics={"top1": 10.0 * seed}) for seed, runs in ((0, 1), (1, 4)) for run in range(runs)
    ]
    cell = _only(_board(*records))
    assert (cell.count, cell.mean) == (Count(2, 1, 4), 5.0)


def test_of_one_pre_training_the_spread_is_over_its_trials():
    cell = _only(_board(*(made(run_seed=run, metrics={"top1": value}) for run, value in enumerate([2.0, 4.0, 9.0]))))
    assert (cell.count, cell.std) == (Count(1, 3, 3), pytest.approx(13**0.5))


def test_null_is_absent_and_does_not_pool_as_zero():
    board = _board(made(metrics={"top1": None, "top5": None}), made(metrics={"top1": 8.0, "top5": None}, seed=1))
    by_name = {board.columns[column].name: cell for (_, column), cell in board.cells.items()}
    assert (by_name["top1"].mean, by_name["top1"].count) == (8.0, Count(1, 1, 1))
    assert (by_name["top5"].mean, by_name["top5"].std, by_name["top5"].count) == (None, None, Count(0, 0, 0))


@pytest.mark.parametrize(
    "change",
    [
        {"changed": {"iters": 60}},
        {"version": 2},
        {"engine": "detectron2"},
        {"protocol": "other"},
        {"of_name": "coco"},
        {"of_fingerprint": "f1"},
    ],
)
def test_runs_that_were_measured_differently_never_share_a_column(change):
    board = _board(made(), made(**change, aug="cutmix"))
    assert len(board.columns) == 2
    assert {row for row, _ in board.cells} == {0, 1}
    assert len({column for _, column in board.cells}) == 2
    assert len({column.protocol.heading for column in board.columns}) == 2
    assert len({column.protocol.id for column in board.columns}) == 2


def test_two_ways_of_changing_a_protocol_never_share_a_column():
    board = _board(made(changed={"iters": 60}), made(changed={"iters": 90}, aug="cutmix"))
    assert [column.protocol.heading for column in board.columns] == ["linear iters 60*", "linear iters 90*"]
    assert len({column for _, column in board.cells}) == 2


def test_the_star_is_on_what_is_not_the_published_protocol_only():
    board = _board(made(), made("knn", {"knn": 1.0}, changed={"k": 3}))
    assert [protocol.heading for protocol in board.protocols] == ["linear", "knn*"]
    assert board.protocols[1].changed == {"k": 3}


def test_the_order_of_changes_and_of_records_moves_nothing():
    records = sample()
    boards = [leaderboard(entries(records))]
    for seed in range(3):
        shuffled = entries(records)
        random.Random(seed).shuffle(shuffled)
        boards.append(leaderboard(shuffled))
    assert all(board.rows == boards[0].rows and board.columns == boards[0].columns for board in boards)
    assert all(board.cells == boards[0].cells for board in boards)
    assert len(_board(made(changed={"a": 1, "b": 2}), made(changed={"b": 2, "a": 1}, seed=1)).columns) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"method": "byol"},
        {"aug": "mixup"},
        {"supervision": "semi"},
        {"label_fraction": 0.1},
        {"arch": "resnet50"},
        {"data": "imagenet"},
        {"epochs": 200},
    ],
)
def test_every_visible_field_of_a_pre_training_makes_its_own_row(change):
    board = _board(made(), made(**change))
    assert len(board.rows) == 2
    assert [row.variant for row in board.rows] == ["", ""]


def test_rows_alike_but_for_hidden_settings_are_kept_apart_and_say_so():
    board = _board(made(settings={"recipe.batch": 64}), made(), made(settings={"recipe.batch": 64}, aug="mixup"))
    assert [row.variant for row in board.rows] == ["recipe.batch 64", "recipe.batch as published", ""]


def test_backbones_of_two_versions_of_a_method_are_no_repetitions_of_each_other():
    board = _board(made(method_version=1), made(seed=1, method_version=2), made(seed=2))
    assert [row.variant for row in board.rows] == ["method version 1", "method version 2", "method version unknown"]


def test_checkpoints_of_unknown_seed_are_no_repetitions_of_each_other():
    board = _board(made(sha256="one" * 9, **_unknown()), made(sha256="two" * 9, **_unknown()))
    assert [row.variant for row in board.rows] == ["file oneoneoneone", "file twotwotwotwo"]


def _unknown():
    return dict.fromkeys(("aug", "supervision"), "unknown") | dict.fromkeys(("label_fraction", "epochs", "seed"))


def test_the_untrained_backbone_is_the_first_row_and_plain_augmentation_comes_before_others():
    board = leaderboard(entries(sample()))
    assert [(row.key.method, row.key.aug) for row in board.rows] == [
        ("random", "none"),
        ("mocov2", "none"),
        ("mocov2", "cutmix"),
    ]
    assert [row.baseline for row in board.rows] == [True, False, False]


def test_columns_stand_in_the_order_of_the_tasks_with_their_metrics_in_the_fields_own_order():
    board = leaderboard(entries(sample()))
    tasks = [protocol.key.task for protocol in board.protocols]
    assert tasks == ["linear", "knn", "voc0712", "coco-c4", "coco-c4", "cityscapes", "representation"]
    assert [column.name for column in board.columns if column.protocol.key.task == "voc0712"] == ["AP", "AP50", "AP75"]
    assert [column.name for column in board.columns[-2:]] == ["Linv", "Ldiv"]


def test_two_schedules_of_a_task_are_two_protocols_under_their_full_names():
    board = _board(*(made("coco-c4", {"AP_box": 1.0}, protocol=f"coco-c4@{length}", seed=0) for length in ("1x", "2x")))
    assert [protocol.heading for protocol in board.protocols] == ["coco-c4@1x", "coco-c4@2x"]
    starred = _board(made("coco-c4", {"AP_box": 1.0}, protocol="coco-c4@1x", changed={"iters": 3}))
    assert [protocol.heading for protocol in starred.protocols] == ["coco-c4@1x*"]


def test_a_pre_training_without_transfers_is_a_row_with_its_cost_and_no_cells():
    runs = [made("pretrain", {"loss": 1.0}, kind="pretrain", wall_seconds=w, sha256=f"c{w}") for w in (60.0, 80.0)]
    board = _board(*runs)
    assert (len(board.rows), board.columns, board.cells) == (1, (), {})
    assert (board.rows[0].cost.wall_hours * 3600, board.rows[0].cost.runs, board.rows[0].entries) == (
        pytest.approx(70),
        2,
        (0, 1),
    )


def test_a_row_without_a_record_of_its_pre_training_has_no_cost():
    assert _board(made()).rows[0].cost is None


def test_of_two_records_of_one_identity_the_newer_is_kept_and_a_disagreement_is_named():
    old = made(metrics={"top1": 1.0, "top5": 2.0}, finished="2030-01-01T00:00:00+00:00")
    new = made(metrics={"top1": 1.5, "top5": 2.0}, finished="2030-01-02T00:00:00+00:00")
    kept, (conflict,) = newest(entries([new, old]))
    assert [entry.record for entry in kept] == [new]
    assert (conflict.kept.record, conflict.dropped.record, conflict.metrics) == (new, old, ("top1",))
    assert _only(leaderboard(entries([made(metrics={"top1": 7.0}), made(metrics={"top1": 7.0})]))).count == Count(1, 1, 1)


@pytest.mark.parametrize(("first", "second"), [({"AP": None}, {"AP": 1.0}), ({"AP": 1.0}, {"AP": 1.0, "AP50": 2.0})])
def test_a_null_or_a_missing_metric_disagrees_with_a_number(first, second):
    _, conflicts = newest(entries([made(metrics=first), made(metrics=second)]))
    assert len(conflicts) == 1


def test_the_same_measurement_made_twice_with_the_same_result_is_no_conflict():
    kept, conflicts = newest(entries([made(), made(finished="2031-01-01T00:00:00+00:00")]))
    assert (len(kept), conflicts) == (1, ())


@pytest.mark.parametrize("change", [{"data": "shapes", "of_name": "coco"}, {"data": "imagenet", "of_name": "shapes"}])
def test_generated_data_on_either_side_is_known(change):
    assert _board(made(**change)).generated
    assert not _board(made(data="imagenet", of_name="coco")).generated


def test_ten_thousand_records_pool_to_the_same_numbers_as_plain_loops():
    draw = random.Random(0)
    values = {(row, seed, task): draw.uniform(0, 100) for row in range(500) for seed in range(5) for task in range(4)}
    records = [
        made("linear", {"top1": value}, aug=f"a{row:03d}", seed=seed, changed={"epochs": task + 1})
        for (row, seed, task), value in values.items()
    ]
    board = leaderboard(entries(records))
    assert (len(board.entries), len(board.rows), len(board.columns), len(board.cells)) == (10_000, 500, 4, 2_000)
    for row, task in [(0, 0), (123, 2), (499, 3)]:
        expected = [values[row, seed, task] for seed in range(5)]
        cell = board.cells[row, task]
        assert (cell.mean, cell.count) == (pytest.approx(statistics.mean(expected)), Count(5, 1, 1))
        assert cell.std == pytest.approx(statistics.stdev(expected))


def test_one_file_that_is_read_in_two_ways_is_two_rows_and_the_usual_way_is_as_it_was():
    usual = made()
    plain = usual.checkpoint.model_dump()
    other, assumed = (
        made(checkpoint=plain | changed) for changed in ({"recipe": {"order": "BGR"}}, {"assumed": ("order", "mean")})
    )
    rows = _board(usual, other).rows
    assert sorted(row.variant for row in rows) == ["read.order BGR", "read.order as published"]
    assert usual.identity == assumed.identity != other.identity
    assert len(_board(usual, assumed).rows) == 1


@pytest.mark.parametrize(
    ("changes", "headings"),
    [
        ([{}, {"changed": {"lr": 3}}], ["linear", "linear*"]),
        ([{"of_name": "coco"}, {"of_name": "pets"}], ["linear coco", "linear pets"]),
        ([{"changed": {"lr": 1, "size": 9}}, {"changed": {"lr": 1}}], ["linear size 9*", "linear size –*"]),
        ([{"changed": {"a": [1] * 30}}, {"changed": {"a": [2] * 30}}], ["linear #1*", "linear #2*"]),
        ([{"of_fingerprint": "f1"}, {"of_fingerprint": "f2"}], ["linear #1", "linear #2"]),
    ],
)
def test_a_heading_says_in_what_a_column_differs_from_others_of_its_name(changes, headings):
    board = _board(*(made(**change, aug=aug) for change, aug in zip(changes, ("none", "cutmix"), strict=True)))
    assert sorted(column.protocol.heading for column in board.columns) == sorted(headings)
