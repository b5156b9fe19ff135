"""Which images, classes and labels a pre-training takes: the options as a user meets them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bench import places
from pretrain.images import classes
from transfer import record

Bench = Callable[..., int]
ARCH = ["--arch", "resnet18", "--epochs", "1"]
TINY = [f"--set={field}" for field in ("size=16", "batch=4", "num_workers=0", "aug=none")]
MOCO = ["--set=queue=8", "--set=feature_dim=8"]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path], typed: Bench) -> Bench:
    """`bench pretrain` in a folder with images of four classes; its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache" / "bench-transfer"))
    lay_images(tmp_path / "images", ("ant", "bee", "cat", "dog"), train=5, val=1)
    own = {"supervised": []}
    return lambda *words: typed("pretrain", "--data", "images", *ARCH, *TINY, *own.get(words[-1], MOCO), *words)


def result(folder: str) -> record.RunRecord:
    return record.read(Path(folder) / "result.json")


def lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def test_imagenet_100_has_its_hundred_classes() -> None:
    listed = classes.read_list(places.class_list("imagenet100"))
    assert len(listed) == 100
    assert all(re.fullmatch(r"n\d{8}", name) for name in listed)
    reference = Path(__file__).resolve().parents[2] / "../shared/reference/imagenet100.txt"
    if reference.is_file():
        assert set(listed) == set(reference.read_text().split())


def test_a_class_list_selects_and_the_epochs_keep_the_iterations(bench: Bench) -> None:
    Path("two.txt").write_text("cat\nant\n")
    assert bench("--out", "two", "--classes", "two.txt", "--set", "keep_iterations=true") == 0
    done = result("two")
    assert (done.data.classes, done.data.train, done.data.val) == (2, 10, 2)
    assert done.changed["recipe.epochs"] == 2  # 5 steps of all 20 images, and 2 of these 10 in an epoch
    assert lines("two/classes.txt") == ["ant", "cat"]
    assert "1 epoch of all 20 images are 5 steps: 2 epochs of these 10, 4 steps" in Path("two/log.txt").read_text()


def test_a_share_of_the_classes_is_drawn_with_the_seed(bench: Bench) -> None:
    assert bench("--out", "half", "--classes", "0.5", "--seed", "1") == 0
    assert lines("half/classes.txt") == classes.draw_classes(["ant", "bee", "cat", "dog"], 0.5, 1)
    assert result("half").changed["classes"] == 0.5


def test_a_label_map_makes_other_classes(bench: Bench) -> None:
    Path("map.yaml").write_text("ant: insect\nbee: insect\ncat: mammal\ndog: mammal\n")
    assert bench("--out", "map", "--label-map", "map.yaml", "--supervision", "full", "--method", "supervised") == 0
    assert result("map").data.classes == 2
    assert lines("map/classes.txt") == ["ant", "bee", "cat", "dog"]


def test_a_label_list_means_semi_and_says_which_labels(bench: Bench) -> None:
    Path("list.txt").write_text("ant_0\ndog/dog_3.png\nbee_1.png\n")
    assert bench("--out", "list", "--label-list", "list.txt") == 0
    provenance = result("list").checkpoint.provenance
    assert (provenance.supervision, provenance.label_fraction) == ("semi", pytest.approx(3 / 20))
    assert lines("list/labelled.txt") == ["ant/ant_0.png", "bee/bee_1.png", "dog/dog_3.png"]


def test_a_run_is_the_same_where_its_lists_lie_elsewhere_and_images_are_kept_elsewhere(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("two.txt").write_text("cat\nant\n")
    assert bench("--classes", "two.txt", "--cache", "ram") == 0
    Path("two.txt").rename("moved.txt")
    capsys.readouterr()
    assert bench("--classes", "moved.txt", "--cache", "disk", "--set", "num_workers=1") == 0
    assert capsys.readouterr().out.startswith("already done")
    Path("moved.txt").write_text("cat\nbee\n")
    assert bench("--classes", "moved.txt", "--cache", "disk") == 0
    assert capsys.readouterr().out.startswith("done")
    assert len(list(Path("cache/bench-transfer").iterdir())) == 1
    configs = [yaml.safe_load(path.read_text()) for path in Path("runs").glob("*/config.yaml")]
    assert len(configs) == 2


WRONG = {
    "an unknown class list": (["--classes", "imagenet101"], "unknown class list 'imagenet101'(.|\n)*imagenet100, .*, a file"),
    "a class list of other data": (["--classes", "imagenet100"], r"100 of the 100 classes .*: n01558993, n01692333"),
    "a class list that is not there": (["--classes", "gone.txt"], r"can't read gone\.txt"),
    "a share above 1": (["--classes", "1.5"], "above 0 and at most 1"),
    "a share of no class": (["--classes", "0.01"], "is no class"),
    "a label map with a class missing": (["--label-map", "map.yaml"], "1 of the 4 classes have no label .*: dog"),
    "a label map that is none": (["--label-map", "list.txt"], "not a line of a label map"),
    "a name without an image": (["--label-list", "list.txt"], "the first is 'fly_0'"),
    "a list beside another regime": (["--label-list", "list.txt", "--supervision", "full"], "contradicts supervision 'full'"),
    "a list beside a fraction": (["--label-list", "list.txt", "--label-fraction", "0.5"], "contradicts label_fraction"),
    "a fraction above 1": (["--supervision", "semi", "--label-fraction", "1.5"], "less than or equal to 1"),
    "a fraction below 0": (["--supervision", "semi", "--label-fraction=-0.5"], "greater than or equal to 0"),
    "a fraction of no image": (["--supervision", "semi", "--label-fraction", "0.01"], "no image would keep its label"),
    "labels of one class": (["--supervision", "full", "--classes", "one.txt"], "one class"),
    "fewer images than a batch": (["--classes", "one.txt", "--set", "batch=8"], "fewer images than a batch"),
    "an unknown cache": (["--cache", "tape"], "'ram', 'disk' or 'jpeg'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gives_one_message_before_any_work(name: str, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    Path("map.yaml").write_text("ant: a\nbee: b\ncat: c\n")
    Path("list.txt").write_text("fly_0\nant_0\n")
    Path("one.txt").write_text("ant\n")
    before = sorted(Path().rglob("*"))
    words, message = WRONG[name]
    assert bench(*words) == 2
    shown = capsys.readouterr().err
    assert re.search(message, shown), shown
    assert len(shown.splitlines()) <= 4
    assert sorted(Path().rglob("*")) == before


def test_a_folder_of_nearly_that_name_is_named(
    here: Path, typed: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("data", "check", "--task", "knn", "--data", "image") == 2
    assert "near it: images/" in capsys.readouterr().err
