"""Images that can't be decoded: what `bench data check` says of them, and what a run does that is told to skip them."""

import importlib.util
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import cli
from transfer import record

TRANSFER = Path(__file__).parents[1] / "transfer"
TINY = runpy.run_path(str(TRANSFER / "tiny_scenes.py"))
lay_coco = runpy.run_path(str(TRANSFER / "conftest.py"))["lay_coco"]  # a fixture
DETECTION = ["iters=2", "batch=2", "warmup=1", "steps=[]", "min_sizes=[64]", "test_size=64", "rois=8", "roi_resolution=4"]
DETECTION += ["precise_bn=0", "pre_nms_train=50", "post_nms_train=10", "pre_nms_test=50", "post_nms_test=5", "num_workers=0"]
SEGMENTATION = ["iters=2", "batch=2", "crop=64", "num_workers=0"]
PROBE = ["size=32", "batch=8", "num_workers=0"]
Bench = Callable[..., int]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """Runs a command in a folder of its own; its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


def cut(path: Path, last: int = 20) -> Path:
    """Cut the last bytes of a file off, as a download does that breaks off."""
    path.write_bytes(path.read_bytes()[:-last])
    return path


def photograph(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 40, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """An image folder of two classes, JPEGs of noise."""
    for split, count in (("train", 5), ("val", 3)):
        for number in range(2 * count):
            photograph(
                tmp_path / "images" / split / ("ant", "bee")[number % 2] / f"{number}.jpg", seed=number + 100 * len(split)
            )
    return tmp_path / "images"


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_a_truncated_image_is_named_by_the_check_and_headers_promise_no_more_than_they_do(
    suffix: str, folders: Path, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = cut(photograph(folders / f"train/ant/bad.{suffix}", seed=1), last=100)
    assert bench("data", "check", "--task", "pretrain", "--data", "images") == 2
    assert f"can't decode the image ant/{bad.name}" in capsys.readouterr().out
    assert bench("data", "check", "--task", "pretrain", "--data", "images", "--no-images") == 0
    assert "a run can read this" not in capsys.readouterr().out
    if suffix in ("jpg", "png"):  # of the others not even the header is whole
        assert bench("data", "check", "--task", "pretrain", "--data", "images", "--headers") == 0
        assert "a run can read this" not in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_without_a_known_range_are_named_by_the_check(
    mode: str, folders: Path, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new(mode, (40, 48), 7).save(folders / "val/bee/odd.tif")
    assert bench("data", "check", "--task", "linear", "--data", "images") == 2
    assert "odd.tif" in capsys.readouterr().out


def test_options_of_the_check_that_contradict_each_other_are_refused(bench: Bench, folders: Path) -> None:
    for words in (("--headers", "--duplicates"), ("--no-images", "--headers"), ("--no-images", "--duplicates")):
        assert bench("data", "check", "--task", "knn", "--data", "images", *words) == 2


def test_copies_are_counted_within_and_across_splits_by_their_pixels(
    folders: Path, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("data", "check", "--task", "knn", "--data", "images", "--duplicates")
    assert bench(*words) == 0
    assert "none of 16 pictures is there more than once" in capsys.readouterr().out
    shutil.copy(folders / "train/ant/0.jpg", folders / "val/ant/again.jpg")
    Image.open(folders / "train/bee/1.jpg").save(folders / "val/bee/lossless.png")
    shutil.copy(folders / "train/ant/0.jpg", folders / "train/ant/z.jpg")
    cut(folders / "val/ant/0.jpg", last=300)
    assert bench(*words) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "IN BOTH SPLITS: 2 of 7 images of val are images of train, too (1 of them equal files)" in shown
    assert "ant/again.jpg = ant/0.jpg, bee/lossless.png = bee/1.jpg" in shown
    assert "1 of 11 images of train are copies of others of train (all of them equal files): ant/z.jpg = ant/0.jpg" in shown
    assert "copies of others of val" not in shown


def noted(out: str = "out") -> tuple[list[str], list[str]]:
    """Return the record's notes on skipped images, and the list of them."""
    found = record.read(Path(out) / "result.json")
    assert found.changed["on_bad_image"] == "skip"
    return [note for note in found.notes if "skipped.txt" in note], (Path(out) / "skipped.txt").read_text().splitlines()


def transfer(bench: Bench, task: str, data: Path, fields: list[str], *more: str) -> int:
    words = [word for field in fields for word in ("--set", field)]
    start = (
        "transfer",
        "--task",
        task,
        "--data",
        str(data),
        "--ckpt",
        "random:resnet18",
        "--device",
        "cpu",
        "--budget",
        "small",
    )
    return bench(*start, "--out", "out", *words, *more)


@pytest.mark.parametrize("engine", ["torchvision", "detectron2"])
def test_detection_leaves_out_what_it_can_not_decode(
    engine: str, lay_coco, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    root = lay_coco(train=6, val=2)
    bad = cut(root / "train2017/000002.png", last=2000)
    assert transfer(bench, "coco-c4", root, DETECTION, "--engine", engine, "--on-bad-image", "skip") == 0
    notes, listed = noted()
    assert notes == [f"1 of 6 training images can't be decoded and were left out (skipped.txt): {bad}"]
    assert listed == [str(bad)]
    cut(root / "val2017/001001.png", last=2000)
    shutil.rmtree("out")
    assert transfer(bench, "coco-c4", root, DETECTION, "--engine", engine, "--on-bad-image", "skip") == 2
    shown = capsys.readouterr().err
    assert "001001.png" in shown
    assert shown.count("estimated time") == 1  # the first run's: this one ended before its start


def test_segmentation_leaves_out_what_it_can_not_decode(tmp_path: Path, bench: Bench) -> None:
    pytest.importorskip("mmseg")
    root = TINY["lay"](tmp_path / "scenes", train=4, val=2)
    bad = cut(sorted((root / "leftImg8bit/train").rglob("*.png"))[1], last=2000)
    empty = sorted((root / "leftImg8bit/train").rglob("*.png"))[2]
    empty.write_bytes(b"")
    assert transfer(bench, "cityscapes", root, SEGMENTATION) == 2
    shutil.rmtree("out", ignore_errors=True)
    assert transfer(bench, "cityscapes", root, SEGMENTATION, "--on-bad-image", "skip") == 0
    notes, listed = noted()
    assert len(notes) == 1
    assert sorted(listed) == [str(bad), str(empty)]


@pytest.mark.parametrize(
    ("task", "fields"), [("linear", ["epochs=1"]), ("linear-cached", ["epochs=1", "save_every=1"]), ("knn", ["neighbours=2"])]
)
def test_probes_leave_out_what_they_can_not_decode(task: str, fields: list[str], folders: Path, bench: Bench) -> None:
    cut(folders / "train/ant/4.jpg")
    assert transfer(bench, task, folders, [*PROBE, *fields]) == 2
    shutil.rmtree("out", ignore_errors=True)
    assert transfer(bench, task, folders, [*PROBE, *fields], "--on-bad-image", "skip") == 0
    notes, listed = noted()
    assert notes == ["1 of 10 training images can't be decoded and were left out (skipped.txt): ant/4.jpg"]
    assert listed == ["ant/4.jpg"]
    cut(folders / "val/ant/0.jpg")
    shutil.rmtree("out")
    assert transfer(bench, task, folders, [*PROBE, *fields], "--on-bad-image", "skip") == 2


def test_a_measure_replaces_what_it_can_not_decode(folders: Path, bench: Bench) -> None:
    cut(folders / "val/ant/0.jpg")
    words = ["measure", "--data", "images", "--ckpt", "random:resnet18", "--device", "cpu", "--budget", "small", "--out", "out"]
    words += ["--set", "size=32", "--set", "batch=2", "--set", "views=2"]
    assert bench(*words) == 2
    shutil.rmtree("out", ignore_errors=True)
    assert bench(*words, "--on-bad-image", "skip") == 0
    notes, listed = noted()
    assert notes == ["1 of 6 images can't be read and were replaced by the next in order (skipped.txt): ant/0.jpg"]
    assert listed == ["ant/0.jpg"]


def test_a_pre_training_that_is_monitored_skips_training_images_alone(folders: Path, bench: Bench) -> None:
    cut(folders / "train/ant/4.jpg")
    words = ["pretrain", "--data", "images", "--budget", "small", "--arch", "resnet18", "--epochs", "2", "--device", "cpu"]
    words += ["--monitor-every", "1", "--on-bad-image", "skip", "--out", "out", "--set", "size=16", "--set", "batch=4"]
    words += ["--set", "queue=8", "--set", "num_workers=0"]
    assert bench(*words) == 0
    notes, listed = noted()
    assert (len(notes), listed) == (1, ["ant/4.jpg"])
    cut(folders / "val/ant/0.jpg")
    shutil.rmtree("out")
    assert bench(*words) == 2
    assert not Path("out/last.pth").exists()


def pretraining(*more: str) -> list[str]:
    words = ["pretrain", "--data", "images", "--budget", "small", "--arch", "resnet18", "--epochs", "2", "--device", "cpu"]
    for field in ("size=16", "batch=4", "queue=8", "num_workers=0", "checkpoint_seconds=0"):
        words += ["--set", field]
    return [*words, *more]


def met_at(step: int) -> str:
    """The image that the last place of a step of the first epoch has, in batches of 4 of the 10 training images."""
    at = int(np.random.default_rng((0, 0)).permutation(10)[4 * step + 3])
    return f"{('ant', 'bee')[at // 5]}/{at % 5}.jpg"


def test_a_run_that_stopped_at_an_image_goes_on_without_it_and_is_the_run_that_skips(folders: Path, bench: Bench) -> None:
    skip, bad = ("--on-bad-image", "skip"), met_at(step=1)
    cut(folders / "train" / bad)
    assert bench(*pretraining("--out", "out")) == 2
    assert bench(*pretraining("--out", "out", *skip)) == 0
    assert bench(*pretraining("--out", "whole", *skip)) == 0
    one, two = (record.read(Path(out) / "result.json") for out in ("out", "whole"))
    assert (one.identity, one.metrics, one.checkpoint.sha256) == (two.identity, two.metrics, two.checkpoint.sha256)
    went_on = "the first 1 steps were done with on_bad_image stop, and met no unreadable image"
    assert (went_on in one.notes, went_on in two.notes) == (True, False)
    assert (
        noted()
        == noted("whole")
        == ([f"1 of 10 images can't be read and were replaced by the next in order (skipped.txt): {bad}"], [bad])
    )
    assert bench(*pretraining("--out", "out")) == 2  # a run that skipped is no run that stops


def test_two_processes_skip_the_same_image_and_say_it_once(folders: Path, bench: Bench) -> None:
    bad = met_at(step=1)
    cut(folders / "train" / bad)
    words = [*pretraining("--out", "out", "--on-bad-image", "skip"), "--devices", "2", "--set", "batch=8"]
    ended = subprocess.run([sys.executable, "-m", "bench", *words], capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr
    notes, listed = noted()
    assert (len(notes), listed) == (1, [bad])
    assert ended.stderr.count("can't be read and were replaced") == 1  # the log; the summary has the record's note


def test_a_run_that_skips_nothing_is_the_run_that_stops_by_its_identity() -> None:
    from transfer import tasks
    from transfer.representation.settings import MeasureSettings

    for settings in (*(tasks.get(name).settings for name in tasks.TASKS), MeasureSettings()):
        assert "on_bad_image" not in settings.numbers()
        assert settings.replace({"on_bad_image": "skip"}).differences(settings) == {"on_bad_image": "skip"}
