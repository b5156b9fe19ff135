"""`bench init`: a first study of one's data, which can be planned, and which says what was seen."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from bench.study import plan
from bench.study.plan import StudyPlan
from transfer import sources
from transfer.shapes import generate

TRANSFER = Path(__file__).parents[1] / "transfer"
TINY = runpy.run_path(str(TRANSFER / "tiny_scenes.py"))
LAYING = runpy.run_path(str(TRANSFER / "conftest.py"))
lay_voc, lay_coco = LAYING["lay_voc"], LAYING["lay_coco"]  # fixtures

Typed = Callable[..., int]
Begun = Callable[..., StudyPlan]
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def begun(typed: Typed, capsys: pytest.CaptureFixture[str]) -> Begun:
    """Runs `bench init`, then `bench study plan` on its file; every line of the file has a comment."""

    def run(*words: str, file: str = "study.yaml") -> StudyPlan:
        assert typed("init", *words) == 0
        shown = capsys.readouterr()
        assert f"next: bench study plan {file}" in shown.out, shown
        assert typed("study", "plan", file) == 0
        assert "cells" in capsys.readouterr().out
        lines = Path(file).read_text().splitlines()
        assert all("# " in line for line in lines)
        assert max(map(len, lines)) <= 128
        return plan.read(Path(file))

    return run


def _subjects(made: StudyPlan) -> dict[str, set[str]]:
    """Task → checkpoints, or blocks, that it is done with."""
    found: dict[str, set[str]] = {}
    for cell in made.evaluations:
        assert cell.subject is not None
        found.setdefault(cell.task, set()).add(cell.subject.block)
    return found


def test_of_image_folders_it_is_augmentations_under_supervisions_and_probes(begun: Begun, lay_images: Callable) -> None:
    lay_images(Path("photos"), classes=("ant", "bee", "cow"), train=10, val=4)
    made = begun("--data", "photos")
    text = Path("study.yaml").read_text()
    assert "3 classes, 30 training and 12 validation images of 20 × 20 pixels" in text
    settings = [cell.settings for cell in made.pretrainings]
    assert {(each.aug, each.supervision, each.seed) for each in settings} == {
        (aug, supervision, seed) for aug in ("none", "cutmix") for supervision in ("self", "full") for seed in range(3)
    }
    assert {each.recipe.batch for each in settings} == {16}
    assert _subjects(made) == {task: {"main", "random:resnet18"} for task in ("knn", "linear-cached")}
    assert made.study.budget == "small"
    assert made.home.resolve() != Path("photos").resolve(), "attempts don't lie among the images"


def test_its_pre_training_runs_on_as_few_images_as_there_are(begun: Begun, typed: Typed) -> None:
    begun("--data", "images")
    text = Path("study.yaml").read_text()
    few = text.replace("[none, cutmix]", "[none]").replace("[self, full]", "[self]").replace("seeds: 3", "seeds: 1")
    Path("study.yaml").write_text(few.replace("epochs: 100", "epochs: 1\n      size: 16\n      num_workers: 0 "))
    assert text.count("epochs: 100") == 1
    made = plan.read(Path("study.yaml"))
    assert typed("study", "cell", "study.yaml", made.pretrainings[0].id) == 0


def test_of_images_without_classes_it_is_a_pre_training_without_labels(begun: Begun) -> None:
    for number in range(70):
        Path("flat").mkdir(exist_ok=True)
        Image.new("RGB", (30, 20), (number, 0, 0)).save(f"flat/{number}.png")
    made = begun("--data", "flat")
    assert {(cell.settings.supervision, cell.settings.recipe.batch) for cell in made.pretrainings} == {("self", 64)}
    assert made.evaluations == []
    lines = Path("study.yaml").read_text()
    assert "no classes, 70 training images of 30 × 20 pixels" in lines
    changed = lines.replace("#  imagefolder: FOLDER", "  imagefolder: images").replace("evaluate: []", "evaluate:")
    Path("study.yaml").write_text(changed.replace("#  - of", "  - of").replace("#    task", "    task"))
    assert _subjects(plan.read(Path("study.yaml"))) == {"knn": {"main"}}, "the file says how evaluations are added"


def test_of_few_images_it_leaves_nearest_neighbours_out(begun: Begun, capsys: pytest.CaptureFixture[str]) -> None:
    assert _subjects(begun("--data", "images")) == {"linear-cached": {"main", "random:resnet18"}}


def test_of_voc_it_is_the_detection_task_that_the_years_allow(begun: Begun, lay_voc: Callable) -> None:
    lay_voc(train=6, val=4)
    made = begun("--data", "voc")
    assert "3 classes, 12 objects, 6 training and 4 validation images" in Path("study.yaml").read_text()
    assert _subjects(made) == {"voc07": {"torchvision:resnet50/IMAGENET1K_V2", "random:resnet50"}}
    assert len(made.evaluations) == 6


@pytest.mark.parametrize("masks", [True, False])
def test_of_coco_it_is_the_task_that_the_annotations_allow(masks: bool, begun: Begun, lay_coco: Callable) -> None:
    root = lay_coco()
    for path in root.glob("annotations/*.json") if not masks else ():
        content = json.loads(path.read_text())
        for each in content["annotations"]:
            del each["segmentation"]
        path.write_text(json.dumps(content))
    assert set(_subjects(begun("--data", "coco"))) == {"coco-c4@2x" if masks else "coco-c4-box@2x"}


def test_of_street_scenes_it_is_segmentation(begun: Begun) -> None:
    TINY["lay"](Path("scenes"))
    assert set(_subjects(begun("--data", "scenes"))) == {"cityscapes"}
    assert "8 classes, 8 training and 4 validation images of 80 × 64 pixels" in Path("study.yaml").read_text()


def test_with_checkpoints_it_evaluates_these_beside_an_untrained_one_of_their_kind(begun: Begun, lay_voc: Callable) -> None:
    torch.save({"state_dict": sources.load("random:resnet34").state}, "mine, too.pth")
    made = begun("--data", lay_voc().name, "--ckpt", "mine, too.pth", "--ckpt", "random:resnet18:3")
    assert _subjects(made) == {"voc07": {"theirs", "random:resnet34"}}
    assert made.study.pretrain["theirs"].files == {"mine-too": "mine, too.pth", "resnet18-3": "random:resnet18:3"}
    assert made.pretrainings == []


@pytest.mark.parametrize(
    ("named", "labels"),
    [
        (["a/backbone.pth", "b/backbone.pth"], ["a-backbone", "b-backbone"]),
        (["one.pth", "a/two.pth", "one.pth"], ["one", "two"]),
        (["a b.pth", "a-b.pth"], ["a-b-1", "a-b-2"]),
    ],
)
def test_no_checkpoint_is_lost_to_another_of_its_name(
    named: list[str], labels: list[str], begun: Begun, lay_voc: Callable
) -> None:
    for number, path in enumerate(sorted({*named})):
        Path(path).parent.mkdir(exist_ok=True)
        torch.save(sources.load(f"random:resnet18:{number}").state, path)
    made = begun("--data", lay_voc().name, *(word for path in named for word in ("--ckpt", path)))
    files = made.study.pretrain["theirs"].files
    assert files == dict(zip(labels, dict.fromkeys(named), strict=True))


def test_generated_images_are_named_as_such_in_the_study(
    begun: Begun, lay_images: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "generate", lambda root, **_: root)
    lay_images(Path("data/shapes/imagenet"), train=10, val=4)
    made = begun()
    assert made.study.data == dict.fromkeys(("pretrain", "imagefolder"), "shapes")
    assert Path("study.yaml").read_text().startswith("# shapes: 2 classes")


def test_it_is_written_into_another_folder_with_whole_paths(begun: Begun, here: Path) -> None:
    made = begun("--data", "images", "new/folder", file="new/folder/study.yaml")
    assert made.study.data == dict.fromkeys(("pretrain", "imagefolder"), str(here / "images"))


def test_no_file_is_overwritten(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    Path("study.yaml").write_text("mine")
    assert typed("init", "--data", "images") == 2
    assert "study.yaml is there already" in capsys.readouterr().err
    assert Path("study.yaml").read_text() == "mine"


def _wrong_data() -> None:
    Path("empty").mkdir()
    Path("yolo/images").mkdir(parents=True)
    Path("yolo/labels").mkdir()
    for number in range(3):
        Image.new("RGB", (30, 20)).save(f"yolo/images/{number}.png")
        Path(f"yolo/labels/{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    Path("yolo/data.yaml").write_text("names: [ant]\n")
    Path("street/leftImg8bit").mkdir(parents=True)
    Path("broken/train/ant").mkdir(parents=True)
    Path("broken/train/ant/1.png").write_text("no image")
    Path("text.pth").write_text("weights, honestly")
    torch.save(sources.load("random:vit_small").state, "vit.pth")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "gone"], "no data at gone"),
        (["--data", "empty"], "empty"),
        (["--data", "yolo"], "bench data arrange yolo NEW_FOLDER"),
        (["--data", "street"], "street is not in the cityscapes layout"),
        (["--data", "broken"], "can't decode the image ant/1.png"),
        (["--data", "images", "--ckpt", "text.pth"], "can't read text.pth"),
        (["--data", "images", "--ckpt", "gone.pth"], "no checkpoint at gone.pth"),
        (["--data", "scenes", "--ckpt", "vit.pth"], "vit.pth is a vit_small, which cityscapes can't use"),
        (["--data", "flat", "--ckpt", "random:resnet18"], "nothing can be evaluated on flat"),
        (["--data", "images", "images/train/ant/ant_0.png/in"], "images/train/ant/ant_0.png is a file"),
    ],
)
def test_what_is_wrong_is_one_message_and_nothing_is_written(
    words: list[str], message: str, typed: Typed, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    _wrong_data()
    TINY["lay"](Path("scenes"), train=2, val=2)
    Path("flat").mkdir()
    Image.new("RGB", (30, 20)).save("flat/1.png")
    before = sorted(here.rglob("*"))
    assert typed("init", *words) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert sorted(here.rglob("*")) == before
