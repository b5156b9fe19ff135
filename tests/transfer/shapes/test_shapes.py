"""The generated data: the same bytes again, classes in balance, and four layouts that say the same thing."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from pycocotools import mask as masks

from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Journal
from transfer.shapes import KINDS, contours, generate, kinds, scenes
from transfer.shapes.classes import CLASSES
from transfer.shapes.kinds import FABRICS, SHAPES

TRAIN, VAL, SIZE = 20, 10, 64
SPLITS = {"train": TRAIN, "val": VAL}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate.generate(tmp_path_factory.mktemp("data") / "shapes", train=TRAIN, val=VAL, size=SIZE)


def contents(folder: Path) -> dict[str, str]:
    """Path → digest of every file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def coco(root: Path, split: str) -> dict[str, list[dict]]:
    return json.loads((root / f"coco/annotations/instances_{split}2017.json").read_text())


def label_map(root: Path, split: str, number: int) -> np.ndarray:
    name = f"shapes_{number:06d}_000019_gtFine_labelTrainIds.png"
    return cv2.imread(str(root / "cityscapes/gtFine" / split / "shapes" / name), cv2.IMREAD_UNCHANGED)


def voc_folder(split: str, number: int) -> tuple[str, str]:
    """Year, and name of the picture that is number `number`, from 1, of a split."""
    if split == "val":
        return "VOC2007", f"{TRAIN + number:06d}"
    return ("VOC2007" if number <= TRAIN // 2 else "VOC2012"), f"{number:06d}"


def test_the_same_seed_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    again = generate.generate(tmp_path / "again", train=TRAIN, val=VAL, size=SIZE)
    assert contents(again) == contents(root)


def test_another_seed_gives_other_pictures(root: Path, tmp_path: Path) -> None:
    other = contents(generate.generate(tmp_path / "other", seed=1, train=TRAIN, val=VAL, size=SIZE))
    shared = set(other.items()) & set(contents(root).items())
    assert {name for name, _ in shared} == {
        "cityscapes/classes.json",
        "voc/classes.txt",
        *(
            f"voc/{year}/ImageSets/Main/{part}.txt"
            for year, part in (("VOC2007", "trainval"), ("VOC2007", "test"), ("VOC2012", "trainval"))
        ),
    }


def test_a_scene_depends_on_its_own_index_and_not_on_what_was_drawn_before() -> None:
    in_order = [generate.scene(3, "train", index, size=SIZE) for index in range(4)]
    alone = generate.scene(3, "train", 3, size=SIZE)
    assert np.array_equal(alone.image, in_order[3].image)
    assert np.array_equal(alone.crop, in_order[3].crop)
    assert alone.labels == in_order[3].labels


def test_no_two_scenes_are_alike_across_splits_and_indices() -> None:
    drawn = [generate.scene(0, split, index, size=SIZE).image.tobytes() for split in ("train", "val") for index in range(5)]
    assert len(set(drawn)) == 10


def test_a_larger_set_begins_with_the_smaller_one(root: Path, tmp_path: Path) -> None:
    larger = generate.generate(tmp_path / "larger", train=TRAIN + 4, val=VAL, size=SIZE)
    small, large = (contents(folder / "coco/train2017") for folder in (root, larger))
    assert large.items() > small.items()


def test_the_object_in_focus_takes_the_classes_in_turn(root: Path) -> None:
    for split, count in SPLITS.items():
        found = Counter(path.parent.name for path in (root / "imagenet" / split).glob("*/*.jpg"))
        assert found == Counter(CLASSES[index % 20] for index in range(count))


def test_there_are_twenty_classes_and_every_layout_names_them(root: Path) -> None:
    assert len(set(CLASSES)) == 20
    assert (root / "voc/classes.txt").read_text().split() == list(CLASSES)
    assert [category["name"] for category in coco(root, "val")["categories"]] == list(CLASSES)
    city = json.loads((root / "cityscapes/classes.json").read_text())
    assert city["num_classes"] == 21
    assert list(city["present_trainIds"].values()) == ["background", *CLASSES]


@pytest.mark.parametrize("split", ["train", "val"])
def test_polygons_boxes_and_areas_agree_with_the_label_map(root: Path, split: str) -> None:
    content = coco(root, split)
    assert len(content["images"]) == SPLITS[split]
    for image in content["images"]:
        drawn = np.zeros((SIZE, SIZE), dtype=np.uint8)
        for annotation in (entry for entry in content["annotations"] if entry["image_id"] == image["id"]):
            mask = masks.decode(masks.merge(masks.frPyObjects(annotation["segmentation"], SIZE, SIZE)))
            assert not drawn[mask > 0].any(), "objects overlap"
            drawn[mask > 0] = annotation["category_id"]
            assert annotation["area"] == mask.sum()
            rows, columns = np.nonzero(mask)
            low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
            assert annotation["bbox"] == [low[0], low[1], high[0] - low[0], high[1] - low[1]]
        assert np.array_equal(drawn, label_map(root, split, image["id"]))


@pytest.mark.parametrize("split", ["train", "val"])
def test_voc_has_the_boxes_of_coco_counted_from_one_with_the_last_pixel_included(root: Path, split: str) -> None:
    content = coco(root, split)
    for number in range(1, SPLITS[split] + 1):
        year, name = voc_folder(split, number)
        tree = ElementTree.parse(root / "voc" / year / "Annotations" / f"{name}.xml")
        expected = []
        for annotation in (entry for entry in content["annotations"] if entry["image_id"] == number):
            x, y, width, height = annotation["bbox"]
            expected.append((CLASSES[annotation["category_id"] - 1], x + 1, y + 1, x + width, y + height))
        found = [
            (item.findtext("name"), *(int(item.findtext(f"bndbox/{side}") or -1) for side in ("xmin", "ymin", "xmax", "ymax")))
            for item in tree.iter("object")
        ]
        assert found == expected


def test_every_layout_has_the_same_pictures(root: Path) -> None:
    for split, count in SPLITS.items():
        for number in range(1, count + 1):
            year, name = voc_folder(split, number)
            jpeg = root / f"coco/{split}2017/{number:012d}.jpg"
            assert (root / "voc" / year / "JPEGImages" / f"{name}.jpg").read_bytes() == jpeg.read_bytes()
            exact = cv2.imread(str(root / f"cityscapes/leftImg8bit/{split}/shapes/shapes_{number:06d}_000019_leftImg8bit.png"))
            decoded = cv2.imread(str(jpeg))
            assert exact.shape == decoded.shape == (SIZE, SIZE, 3)
            assert np.abs(exact.astype(int) - decoded).mean() < 8


def test_voc_lists_halve_the_training_scenes_and_test_on_the_others(root: Path) -> None:
    lists = {
        (year, part): (root / "voc" / year / "ImageSets/Main" / f"{part}.txt").read_text().split()
        for year, part in (("VOC2007", "trainval"), ("VOC2012", "trainval"), ("VOC2007", "test"))
    }
    assert [len(names) for names in lists.values()] == [TRAIN // 2, TRAIN // 2, VAL]
    assert len({name for names in lists.values() for name in names}) == TRAIN + VAL


def test_every_object_is_visible_enough_and_the_one_in_focus_more_so() -> None:
    counts = set()
    for index in range(40):
        rng = np.random.default_rng(index)
        placed, subject = scenes.compose(rng, SHAPES, side=2 * SIZE, focus=index % 20)
        counts.add(len(placed))
        assert placed[subject].label == index % 20
        front = np.zeros((2 * SIZE, 2 * SIZE), dtype=bool)
        for position, item in enumerate(placed):
            seen = np.count_nonzero(item.whole & ~front)
            assert seen >= (scenes.LEAST_FOCUS_VISIBLE if position == subject else scenes.LEAST_VISIBLE) * item.shape.area
            front |= item.whole
    assert counts == {1, 2, 3, 4, 5}


def test_every_object_has_pixels_in_the_instance_map() -> None:
    for index in range(20):
        scene = generate.scene(0, "train", index, size=SIZE)
        assert set(np.unique(scene.instances)) - {0} == set(range(1, len(scene.labels) + 1))


def test_classes_differ_neither_in_colour_nor_in_brightness() -> None:
    means = np.array([generate.scene(0, "train", index, size=SIZE).crop.mean(axis=(0, 1)) for index in range(400)])
    by_class = means.reshape(20, 20, 3).mean(axis=0)  # scene i has class i mod 20
    # the spread of 20 averages of 20 independent pictures each; four standard errors would be an effect of the class
    error = means.std(axis=0) / np.sqrt(20)
    assert (np.abs(by_class - means.mean(axis=0)) < 4 * error).all()


def test_a_mask_with_holes_becomes_polygons_that_enclose_exactly_it() -> None:
    rng = np.random.default_rng(0)
    ring = np.zeros((24, 24), dtype=bool)
    ring[2:22, 3:20] = True
    ring[8:12, 9:10] = False  # as narrow as a hole can be
    ring[15:18, 5:15] = False
    noise = cv2.blur(rng.random((24, 24)), (3, 3)) > 0.5
    for mask in (ring, noise):
        polygons = contours.polygons(mask)
        assert np.array_equal(masks.decode(masks.merge(masks.frPyObjects(polygons, 24, 24))).astype(bool), mask)
        assert sum(area(polygon) for polygon in polygons) == mask.sum()


def area(polygon: list[int]) -> float:
    """The shoelace formula, in a plain loop."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    edges = zip(points, [*points[1:], points[0]], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in edges)) / 2


def test_what_is_there_already_is_reused_at_once(root: Path) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    steps: list[int] = []
    journal = Journal(progress=lambda stage, done, total, values: steps.append(done))
    assert generate.generate(root, train=TRAIN, val=VAL, size=SIZE, journal=journal) == root
    assert steps == []
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == stamps


def test_other_parameters_are_an_error_that_shows_both(root: Path) -> None:
    with pytest.raises(DataError, match="other parameters") as caught:
        generate.generate(root, seed=5, train=TRAIN, val=VAL, size=SIZE)
    assert '"seed": 0' in str(caught.value)
    assert '"seed": 5' in str(caught.value)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="in the way"):
        generate.generate(tmp_path, train=2, val=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_run_that_is_cut_off_leaves_nothing_behind(tmp_path: Path) -> None:
    def cut(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate.generate(tmp_path / "shapes", train=4, val=1, size=SIZE, journal=Journal(progress=cut))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"train": 1}, {"val": 0}, {"size": 16}])
def test_a_parameter_out_of_range_is_an_error_that_names_it(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match=next(iter(wrong))):
        generate.generate(tmp_path / "shapes", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_scene(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    journal = Journal(progress=lambda stage, done, total, values: seen.append((stage, done, total)))
    generate.generate(tmp_path / "shapes", train=2, val=1, size=SIZE, journal=journal)
    assert seen == [("generate shapes", done, 3) for done in (1, 2, 3)]


def test_every_kind_is_found_by_its_name_and_has_as_many_classes_as_its_functions_know() -> None:
    rng = np.random.default_rng(0)
    for name in KINDS:
        kind = kinds.get(name)
        assert kind.name == name
        for label in range(len(kind.classes)):
            assert kind.pattern(label) in kind.classes[label]
            assert kind.outline(rng, label)
            assert all(colour.shape == (3,) and colour.min() >= 0 and colour.max() <= 1 for colour in kind.colours(rng, label))
    with pytest.raises(ConfigError, match="shaped"):
        kinds.get("shaped")


@pytest.fixture(scope="module")
def fabrics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate.generate(tmp_path_factory.mktemp("data") / "fabrics", kind="fabrics", train=12, val=6, size=SIZE)


def test_fabrics_have_few_classes_and_few_objects_in_every_layout(fabrics: Path) -> None:
    content = coco(fabrics, "train")
    assert [category["name"] for category in content["categories"]] == list(FABRICS.classes)
    assert (fabrics / "voc/classes.txt").read_text().split() == list(FABRICS.classes)
    assert json.loads((fabrics / "cityscapes/classes.json").read_text())["num_classes"] == len(FABRICS.classes) + 1
    assert Counter(path.parent.name for path in fabrics.glob("imagenet/train/*/*.jpg")) == dict.fromkeys(FABRICS.classes, 2)
    objects = Counter(annotation["image_id"] for annotation in content["annotations"])
    assert len(objects) == 12
    assert max(objects.values()) <= FABRICS.most_objects
    assert json.loads((fabrics / generate.MANIFEST).read_text())["name"] == "fabrics"


def test_one_kind_is_not_taken_for_another(fabrics: Path) -> None:
    with pytest.raises(DataError, match="other parameters"):
        generate.generate(fabrics, train=12, val=6, size=SIZE)


def test_the_mean_colour_of_a_fabric_tells_its_class_and_that_of_one_pixel_does_not() -> None:
    crops = np.array([generate.scene(0, "train", index, size=SIZE, kind=FABRICS).crop for index in range(180)]) / 255
    labels = np.arange(180) % len(FABRICS.classes)

    def told(pixels: np.ndarray) -> float:
        """Fraction of the later half whose colour, relative to its brightness, is nearest to the mean of its own class."""
        chroma = pixels / pixels.mean(axis=1, keepdims=True).clip(1e-6)
        means = np.stack([chroma[:90][labels[:90] == label].mean(axis=0) for label in range(len(FABRICS.classes))])
        nearest = ((chroma[90:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        return float((nearest == labels[90:]).mean())

    assert told(crops.mean(axis=(1, 2))) > 0.7
    assert told(crops[:, 32, 32]) < 0.4
