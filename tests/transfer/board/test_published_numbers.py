"""Published numbers: the file, which column equals which benchmark, and the difference to a measured row."""

import csv
import runpy
from pathlib import Path

import pytest

from pretrain.core.errors import RecordError
from transfer import tasks
from transfer.board.leaderboard import leaderboard
from transfer.board.published_numbers import apart, benchmark, beside, read

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "results" / "published"
_shared = runpy.run_path(str(ROOT / "tests" / "sample_records.py"))
made, entries = _shared["made"], _shared["entries"]
VOC = {"engine": "torchvision", "of_name": "voc", "of_val": 4952, "of_classes": 20}
MOCO = {"arch": "resnet50", "data": "imagenet", "epochs": 200, "supervision": "self", "label_fraction": 0.0}


def _board(*records):
    return leaderboard(entries(records))


def test_every_published_number_has_a_source_and_is_a_finite_number():
    numbers = read(FOLDER)
    assert len(numbers) == 864
    assert all(number.source for number in numbers)
    assert all(0 <= number.value <= 100 for number in numbers)


def test_no_published_number_is_there_twice_and_every_field_is_one_that_can_be():
    numbers = read(FOLDER)
    assert len({(number.pretraining, number.task, number.metric, number.source) for number in numbers}) == len(numbers)
    for method, _, supervision, fraction, arch, data, epochs in (number.pretraining for number in numbers):
        assert all((method, arch, data or supervision == "none"))
        assert supervision in ("self", "semi", "supervised", "none")
        assert not fraction or {"self": 0.0, "none": 0.0, "supervised": 1.0}.get(supervision, float(fraction)) == float(
            fraction
        )
        assert not epochs or float(epochs) >= 0


@pytest.mark.parametrize(("less", "more"), [("top1", "top5"), ("AP", "AP50"), ("AP75", "AP50"), ("AP_seg", "AP50_seg")])
def test_a_stricter_metric_is_never_printed_above_a_laxer_one(less, more):
    """Of one pre-training under one protocol of one source; this is how a swapped column shows."""
    found = {(number.pretraining, number.task, number.source, number.metric): number.value for number in read(FOLDER)}
    pairs = [(value, found[*key, more]) for (*key, metric), value in found.items() if metric == less and (*key, more) in found]
    assert pairs or less == "top1"
    assert all(low <= high for low, high in pairs)


def test_the_rows_of_other_methods_are_of_protocols_that_no_task_equals():
    """Their probes and detectors have learning rates of their own, which the names under `task` say."""
    declared = {one.name for task in tasks.TASKS for one in tasks.get(task).published}
    with (FOLDER / "methods.csv").open(encoding="utf-8", newline="") as file:
        named = {line["task"] for line in csv.DictReader(file)}
    assert {"imagenet-linear-simsiam", "voc0712-c4-lr-search", "imagenet-knn20", "cifar10-knn200"} <= named
    assert not named & declared


def test_every_published_number_is_beside_a_measured_column_or_apart_and_never_both():
    board, numbers = _board(made("voc0712", {"AP": 56.9}, **VOC, **MOCO)), read(FOLDER)
    shown = {(row.pretraining, row.source, cell.value) for row in beside(board, numbers) for cell in row.cells.values()}
    left = apart(board, numbers)
    assert {number.task for number in numbers} - {number.task for number in left} == set()  # AP50 and AP75 are not measured
    assert len(shown) == len(numbers) - len(left) > 20
    assert not [number for number in left if number.task == "voc0712-c4" and number.metric == "AP"]
    assert apart(_board(made()), numbers) == tuple(numbers)


def test_every_benchmark_that_a_task_equals_is_in_the_files():
    names = {number.task for number in read(FOLDER)}
    declared = {one.name: task for task in tasks.TASKS for one in tasks.get(task).published}
    assert declared.keys() <= names
    assert declared["voc0712-c4"] == "voc0712"
    assert not {"coco-c4", "coco-fpn"} & declared.keys()
    assert tasks.get("knn").published == ()


def test_a_changed_protocol_or_other_data_equals_no_benchmark():
    same = _board(made("voc0712", {"AP": 50.0}, **VOC)).protocols[0]
    assert benchmark(same).name == "voc0712-c4"
    for change in ({"changed": {"iters": 9}}, {"of_val": 60}, {"of_classes": 3}, {"version": 2}, {"protocol": "mine"}):
        assert benchmark(_board(made("voc0712", {"AP": 50.0}, **VOC | change)).protocols[0]) is None
    assert benchmark(_board(made("counting", {"accuracy": 1.0})).protocols[0]) is None


def test_a_part_of_the_classes_equals_no_benchmark_however_many_they_are():
    imagenet = {"version": tasks.get("linear").version, "of_val": 50_000, "of_classes": 1000}
    assert benchmark(_board(made("linear", **imagenet)).protocols[0]).name == "imagenet-linear"
    for change in ({"of_val": 5000, "of_classes": 100, "of_chosen_from": 1000}, {"of_chosen_from": 11_221}):
        assert benchmark(_board(made("linear", **imagenet | change)).protocols[0]) is None


def test_no_published_row_stands_beside_other_protocols():
    assert beside(_board(made(), made("voc0712", {"AP": 1.0})), read(FOLDER)) == ()


def test_the_difference_is_to_the_same_pre_training_where_that_was_measured():
    records = [made("voc0712", {"AP": 56.9}, **VOC, **MOCO), made("voc0712", {"AP": 60.0}, **VOC, **MOCO, aug="mixup")]
    board = _board(*records)
    rows = beside(board, read(FOLDER))
    cells = [(row, cell.value, cell.measured) for row in rows for cell in row.cells.values()]
    same = [(row, value, found) for row, value, found in cells if found and found.same]
    assert same
    for row, value, found in same:
        assert row.pretraining[0] == "MoCo v2"
        assert (row.pretraining[4], row.pretraining[6]) == ("ResNet-50", "200")
        mixed = "mixup" in row.pretraining[1]
        assert board.rows[found.row].key.aug == ("mixup" if mixed else "none")
        assert found.difference == pytest.approx((60.0 if mixed else 56.9) - value)


def test_another_pre_training_is_compared_with_the_best_measured_row_of_its_architecture_alone():
    board = _board(made("voc0712", {"AP": 50.0}, **VOC), made("voc0712", {"AP": 52.0}, **VOC, aug="mixup"))
    rows = beside(board, read(FOLDER))
    assert len(rows) > 5
    cells = [(row.pretraining[4], cell) for row in rows for cell in row.cells.values()]
    ours = [cell for arch, cell in cells if arch == "ResNet-18"]
    assert ours
    assert {(board.rows[cell.measured.row].key.aug, cell.measured.same) for cell in ours} == {("mixup", False)}
    assert all(cell.measured.difference == pytest.approx(52.0 - cell.value) for cell in ours)
    assert all(cell.measured is None for arch, cell in cells if arch != "ResNet-18")


@pytest.mark.parametrize(
    "more", [{"settings": {"recipe.base_lr": 0.3}}, {"augmentation": {"aug_views": "both"}}, {"method": "mocov2+"}]
)
def test_a_row_that_changed_any_setting_or_has_a_plus_more_in_its_name_is_no_published_one_without(more):
    board = _board(made("voc0712", {"AP": 56.9}, **VOC, **MOCO | more))
    same = [row for row in beside(board, read(FOLDER)) for cell in row.cells.values() if cell.measured and cell.measured.same]
    assert {row.pretraining[0] for row in same} <= {"MoCo v2+"}
    assert "method" in more or not same


def test_an_untrained_backbone_is_the_published_random_initialisation():
    untrained = {
        "method": "random",
        "supervision": "none",
        "label_fraction": 0.0,
        "data": "none",
        "epochs": 0,
        "arch": "resnet50",
    }
    board = _board(made("voc0712", {"AP": 31.0}, **VOC, **untrained), made("voc0712", {"AP": 56.9}, **VOC, **MOCO))
    compared = {
        row.pretraining[0]: board.rows[cell.measured.row].key.method
        for row in beside(board, read(FOLDER))
        for cell in row.cells.values()
        if cell.measured and cell.measured.same
    }
    assert compared == {"Random init": "random", "MoCo v2": "mocov2"}


HEAD = "method,aug,supervision,label_fraction,arch,pretrain_dataset,epochs,task,metric,value,source\n"


@pytest.mark.parametrize("line", ["a,,self,,r,d,,t,AP,nan,paper", "a,,self,,r,d,,t,AP,x,paper", "a,,self,,r,d,,t,AP,1.0,"])
def test_a_line_without_a_number_or_a_source_is_named(tmp_path, line):
    (tmp_path / "p.csv").write_text(HEAD + line + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"line 2 of .*p\.csv"):
        read(tmp_path)


def test_a_file_without_a_column_is_named(tmp_path):
    (tmp_path / "p.csv").write_text("method,value\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"p\.csv is no table of published numbers"):
        read(tmp_path)


def test_what_a_task_expects_is_printed_in_the_files_under_the_benchmark_it_equals():
    printed = {
        (number.task, number.metric, number.value) + number.pretraining[:1] + number.pretraining[-1:] for number in read(FOLDER)
    }
    seen = set()
    for name in tasks.TASKS:
        task = tasks.get(name)
        for row in task.expected:
            (benchmark_name,) = (one.name for one in task.published if one.schedule == row.schedule)
            method, _, epochs = row.checkpoint.partition(", ")
            for metric, value in row.metrics.items():
                assert (benchmark_name, metric, value, method, epochs.removesuffix(" epochs")) in printed
            assert row.spread.keys() <= row.metrics.keys() <= set(task.metrics)
            seen.add(name)
    assert {"linear", "voc07", "voc0712", "coco-c4", "coco-fpn", "cityscapes", "cityscapes-deeplabv3"} <= seen


def test_expectations_are_those_of_the_schedule_and_say_the_published_spread():
    assert (
        tasks.get("voc0712")
        .expectations()[-1]
        .startswith("MoCo v2, 800 epochs: AP50 82.5 ± 0.2, AP 57.4 ± 0.2, AP75 64.0 ± 0.4 (")
    )
    once, twice = (tasks.get("coco-c4", schedule).expectations() for schedule in ("1x", "2x"))
    assert once[0].startswith("Supervised: AP_box 38.2, ")
    assert not set(once) & set(twice)


def test_a_record_of_an_unknown_schedule_equals_no_benchmark():
    coco = {"engine": "torchvision", "of_val": 5000, "of_classes": 80}
    found = [
        benchmark(_board(made("coco-c4", {"AP_box": 1.0}, protocol=name, **coco)).protocols[0])
        for name in ("coco-c4@1x", "coco-c4", "coco-c4@9x")
    ]
    assert [one and one.name for one in found] == ["coco-c4-1x", "coco-c4-2x", None]
