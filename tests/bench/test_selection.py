"""`--classes` and `--label-map` of the commands that measure: the classes a backbone was trained on, of the same folder."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pretrain.images import classes
from transfer import record
from transfer.board.columns import columns

Bench = Callable[..., int]
CLASSES = ("ant", "bee", "cat", "dog")
SMALL = ("--set=size=16", "--set=batch=4", "--set=num_workers=0")
COMMANDS = {
    "knn": ["transfer", "--task=knn", "--ckpt=random:resnet18", "--set=neighbours=3", *SMALL],
    "linear": ["transfer", "--task=linear", "--ckpt=random:resnet18", "--set=epochs=1", *SMALL],
    "linear-cached": ["transfer", "--task=linear-cached", "--ckpt=random:resnet18", "--set=epochs=1", *SMALL],
    "measure": ["measure", "--ckpt=random:resnet18", "--budget=small", *SMALL],
}
PRETRAIN = ["pretrain", "--arch=resnet18", "--epochs=1", "--set=queue=8", "--set=feature_dim=8", *SMALL]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path], typed: Bench) -> Bench:
    """A `bench` command in a folder with images of four classes; its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    lay_images(tmp_path / "images", CLASSES, train=5, val=2)
    Path("two.txt").write_text("cat\nant\n")
    Path("map.yaml").write_text("ant: insect\nbee: insect\ncat: mammal\ndog: mammal\n")
    return lambda *words: typed(*words, "--data", "images")


def result(folder: str) -> record.RunRecord:
    return record.read(Path(folder) / "result.json")


def listed(folder: str) -> list[str]:
    return (Path(folder) / "classes.txt").read_text().splitlines()


@pytest.mark.parametrize("name", ["knn", "linear", "measure"])
def test_every_measuring_command_takes_a_list_of_classes_and_says_which(name: str, bench: Bench) -> None:
    assert bench(*COMMANDS[name], "--classes", "two.txt", "--out", "two") == 0
    done = result("two")
    assert (done.data.classes, done.data.train, done.data.val, done.data.chosen_from) == (2, 10, 4, 4)
    assert "classes" not in done.changed  # it is other data, not another protocol
    assert "classes chosen: the list two.txt (the run's classes.txt names them)" in done.notes
    assert listed("two") == ["ant", "cat"]
    assert yaml.safe_load(Path("two/config.yaml").read_text())["classes"]["path"] == "two.txt"


def test_a_pre_trainings_own_list_gives_the_data_it_was_trained_on(bench: Bench) -> None:
    assert bench(*PRETRAIN, "--classes", "0.5", "--seed", "1", "--out", "pre") == 0
    assert listed("pre") != classes.draw_classes(CLASSES, 0.5, 0)
    for name in ("knn", "measure"):
        command = [word.replace("random:resnet18", "pre/backbone.pth") for word in COMMANDS[name]]
        assert bench(*command, "--classes", "pre/classes.txt", "--out", name) == 0
        assert result(name).data == result("pre").data
        assert listed(name) == listed("pre")


def test_a_share_is_that_of_a_pre_training_with_seed_0_whatever_the_own_seed(bench: Bench) -> None:
    assert bench(*COMMANDS["knn"], "--classes", "0.5", "--seed", "1", "--trials", "2", "--out", "knn") == 0
    assert listed("knn/s1") == listed("knn/s2") == classes.draw_classes(CLASSES, 0.5, 0)
    assert result("knn/s1").data == result("knn/s2").data
    assert any("a share of 0.5, drawn with seed 0" in note for note in result("knn/s2").notes)


def test_a_part_of_the_classes_has_a_column_of_its_own(bench: Bench) -> None:
    assert bench(*COMMANDS["knn"], "--out", "all") == 0
    assert bench(*COMMANDS["knn"], "--out", "part", "--classes", "two.txt") == 0
    assert not Path("all/classes.txt").exists()
    assert result("all").data.name == result("part").data.name
    assert [column.protocol.heading for column in columns([result("all"), result("part")])] == ["knn #1*", "knn #2*"]


def test_a_folder_is_gone_on_with_for_the_same_classes_alone(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*COMMANDS["knn"], "--classes", "two.txt", "--out", "knn") == 0
    Path("two.txt").rename("same.txt")
    capsys.readouterr()
    assert bench(*COMMANDS["knn"], "--classes", "same.txt", "--out", "knn") == 0
    assert capsys.readouterr().out.startswith("already done")
    for words in (["--classes", "0.5"], ["--classes", "same.txt", "--label-map", "map.yaml"], []):
        assert bench(*COMMANDS["knn"], *words, "--out", "knn") == 2
        assert "knn is of another run" in (shown := capsys.readouterr().err)
        assert "classes:" in shown or "label_map:" in shown


def test_a_label_map_makes_other_classes_of_all_folders(bench: Bench) -> None:
    assert bench(*COMMANDS["linear-cached"], "--label-map", "map.yaml", "--out", "map") == 0
    done = result("map")
    assert (done.data.classes, done.data.train, done.data.chosen_from) == (2, 20, None)
    assert "labels of the map map.yaml" in done.notes
    assert listed("map") == list(CLASSES)


def test_a_check_reads_the_classes_that_a_run_would(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("data", "check", "--task", "linear", "--classes", "two.txt") == 0
    shown = capsys.readouterr().out
    assert "2 classes, images:" in shown
    assert re.search(r"^images +10 +4$", shown, re.MULTILINE)
    Path("two.txt").write_text("ant\neel\n")
    assert bench("data", "check", "--task", "measure", "--classes", "two.txt") == 2
    assert re.search(r"wrong 1: 1 of the 2 classes asked for are not in \S+: eel", capsys.readouterr().out)


CHECK = ["data", "check", "--task=coco-c4"]
VOC, CITYSCAPES = ["transfer", "--task=voc07", "--ckpt=gone.pth"], ["transfer", "--task=cityscapes", "--ckpt=gone.pth"]
ABLE = "pretrain, linear, linear-cached, knn and measure, which read class folders"
WRONG = {
    "detection": ([*VOC, "--classes", "0.5"], f"voc07 has no --classes\n  allowed: {ABLE}\n  do:      leave --classes away"),
    "segmentation": ([*CITYSCAPES, "--label-map", "map.yaml"], "cityscapes has no --label-map\n"),
    "a check of detection": ([*CHECK, "--classes", "0.5", "--label-map", "map.yaml"], "no --classes and --label-map\n"),
    "a class that is not there": (
        [*COMMANDS["knn"], "--classes", "imagenet100"],
        "100 of the 100 classes asked for are not in",
    ),
    "an unknown list": ([*COMMANDS["measure"], "--classes", "imagenet101"], "unknown class list 'imagenet101'"),
    "a list that is not there": ([*COMMANDS["linear"], "--classes", "gone.txt"], "can't read gone.txt"),
    "a share above 1": ([*COMMANDS["measure"], "--classes", "1.5"], "bad value for 'classes' in the options"),
    "a map with a class missing": ([*COMMANDS["measure"], "--label-map", "ants.csv"], "3 of the 4 classes have no label"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gives_one_message_before_any_work(name: str, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    Path("ants.csv").write_text("ant,a\n")
    before = sorted(Path().rglob("*"))
    words, message = WRONG[name]
    assert bench(*words) == 2
    shown = capsys.readouterr().err
    assert message in shown, shown
    assert len(shown.splitlines()) <= 4
    assert sorted(Path().rglob("*")) == before
