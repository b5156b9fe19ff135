import json
import runpy
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from transfer.datasets import cityscapes, labelmaps

TINY = runpy.run_path(str(Path(__file__).parents[1] / "tiny_scenes.py"))
CAMVID = Path(__file__).parents[4] / "shared" / "data" / "cityscapes_camvid"
LABEL = "gtFine/val/town/town_000000_000019_gtFine_labelTrainIds.png"
IMAGE = "leftImg8bit/val/town/town_000000_000019_leftImg8bit.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return TINY["lay"](tmp_path / "scenes", train=3, val=2)


def test_every_image_comes_with_its_label_map_in_the_order_of_names(root: Path) -> None:
    data = cityscapes.read(root)
    assert [pair.image.name[:11] for pair in data.train] == ["town_000000", "town_000001", "town_000002"]
    assert data.val[0] == (root / IMAGE, root / LABEL)
    assert data.classes == TINY["CLASSES"]
    assert (data.ignore, data.short_side) == (255, 64)
    labels = np.stack([np.array(Image.open(pair.label)) for pair in data.train])
    assert data.pixels == tuple((labels == number).sum() for number in range(8))
    assert (data.ref.layout, data.ref.train, data.ref.val, data.ref.classes) == ("cityscapes", 3, 2, 8)


def test_without_a_classes_file_the_classes_are_those_of_cityscapes(root: Path) -> None:
    (root / "classes.json").unlink()
    data = cityscapes.read(root)
    assert len(data.classes) == 19
    assert (data.classes[0], data.classes[13], data.classes[18]) == ("road", "car", "bicycle")


def test_a_class_no_picture_has_keeps_its_place_and_a_name(root: Path) -> None:
    (root / "classes.json").write_text(json.dumps({"num_classes": 9, "present_trainIds": {"0": "ground", "8": "sky"}}))
    assert cityscapes.read(root).classes == ("ground", *(f"class {number}" for number in range(1, 8)), "sky")


@pytest.mark.skipif(not CAMVID.is_dir(), reason="no shared/data/cityscapes_camvid beside the repository")
def test_camvid_has_eleven_of_the_nineteen_classes() -> None:
    data = cityscapes.read(CAMVID)
    assert (len(data.train), len(data.val), len(data.classes), data.short_side) == (367, 101, 19, 216)
    assert data.classes == cityscapes.CLASSES


def test_the_fingerprint_follows_the_content_and_not_the_place(root: Path, tmp_path: Path) -> None:
    first = cityscapes.read(root).ref.fingerprint
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    assert cityscapes.read(moved).ref.fingerprint == first
    labels = np.array(Image.open(moved / LABEL))
    labels[30, 30] = 0 if labels[30, 30] else 1
    TINY["write"](moved / LABEL, labels)
    assert cityscapes.read(moved).ref.fingerprint != first


def only_raw_labels(root: Path) -> None:
    for path in root.rglob("*_gtFine_labelTrainIds.png"):
        path.rename(path.with_name(path.name.replace("labelTrainIds", "labelIds")))


def only_downloaded_labels(root: Path) -> None:
    only_raw_labels(root)
    (root / "classes.json").unlink()


def empty_the_split(root: Path) -> None:
    shutil.rmtree(root / "leftImg8bit/train/town")


def put_pixels(shape: tuple[int, ...], value: int) -> Callable[[Path], None]:
    return lambda root: TINY["write"](root / LABEL, np.full(shape, value))


def cut_short(root: Path) -> None:
    TINY["write"](root / LABEL, np.random.default_rng(0).integers(0, 8, (64, 80)))
    (root / LABEL).write_bytes((root / LABEL).read_bytes()[:1500])


def classes_file(text: str) -> Callable[[Path], None]:
    return lambda root: (root / "classes.json").write_text(text) and None


def sixteen_bits(root: Path) -> None:
    Image.fromarray(np.full((64, 80), 1000, dtype=np.uint16)).save(root / LABEL)


def coloured(root: Path) -> None:
    Image.new("RGB", (80, 64), (1, 2, 3)).save(root / LABEL)


def transparent(root: Path) -> None:
    Image.new("LA", (80, 64), (1, 254)).save(root / LABEL)


def fractions(root: Path) -> None:
    Image.new("F", (80, 64), 0.5).save(root / LABEL, "TIFF")


def gbk_classes(root: Path) -> None:
    text = json.dumps({"num_classes": 8, "present_trainIds": {"0": "\u6c7d\u8f66"}}, ensure_ascii=False)
    (root / "classes.json").write_bytes(text.encode("gbk"))


def dead_link(root: Path) -> None:
    (root / IMAGE).unlink()
    (root / IMAGE).symlink_to("/mnt/gone.png")


def jpeg(root: Path) -> None:
    Image.open(root / LABEL).convert("L").save(root / LABEL, "JPEG")


def claim_a_billion_pixels(root: Path) -> None:
    content = bytearray((root / LABEL).read_bytes())
    content[16:24] = (40_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (root / LABEL).write_bytes(content)


WRONG = {
    "no folder at all": (shutil.rmtree, "scenes is missing", "the folder does not exist"),
    "no images": (lambda root: shutil.rmtree(root / "leftImg8bit"), "leftImg8bit is missing", "gtFine/"),
    "no labels of a split": (lambda root: shutil.rmtree(root / "gtFine/val"), "gtFine/val is missing", "put val into"),
    "an empty split": (empty_the_split, "leftImg8bit/train/CITY/*_leftImg8bit.png is missing", "put *_leftImg8bit.png into"),
    "a missing label map": (lambda root: (root / LABEL).unlink(), f"{LABEL} is missing", IMAGE),
    "a missing image": (lambda root: (root / IMAGE).unlink(), f"{IMAGE} is missing", LABEL),
    "raw labels only": (only_downloaded_labels, "no training ids", "bench data check --task cityscapes", "--make"),
    "raw labels of other classes": (only_raw_labels, "no training ids", "with the ids of classes.json"),
    "an id out of range": (put_pixels((64, 80), 8), f"{LABEL} has a label id out of range", "0 to 7, or 255"),
    "another size": (put_pixels((64, 64), 0), f"{LABEL} has another size", "80 × 64 and 64 × 64"),
    "a picture for a label map": (coloured, f"{LABEL} is not a label map", "mode RGB, in colours"),
    "a picture that is transparent somewhere": (transparent, f"{LABEL} is not a label map", "not opaque everywhere"),
    "a label map of numbers with fractions": (fractions, f"{LABEL} is not a label map", "mode F"),
    "a JPEG under a PNG's name": (jpeg, f"{LABEL} is not a label map", "keeps no ids"),
    "classes in another encoding": (gbk_classes, "iconv -f gbk", "classes.json"),
    "a link that leads nowhere": (dead_link, "/mnt/gone.png, which is not there", IMAGE),
    "a text file for a label map": (lambda root: (root / LABEL).write_text("no"), "can't decode the image", LABEL),
    "a label map cut short": (cut_short, "can't decode the image", LABEL),
    "classes that are no JSON": (classes_file("road"), "can't read the classes", "classes.json"),
    "classes without a number": (classes_file("{}"), "can't read the classes", "num_classes"),
    "classes of a wrong type": (classes_file('{"num_classes": [19]}'), "can't read the classes", "num_classes"),
    "more classes than a label map can hold": (classes_file('{"num_classes": 256}'), "can't read the classes", "num_classes"),
    "a class with a number for a name": (classes_file('{"num_classes": 8, "present_trainIds": {"0": 0}}'), "classes.json", "0"),
    "a class whose id is a word": (classes_file('{"num_classes": 8, "present_trainIds": {"a": "b"}}'), "classes.json", "a"),
    "classes that are a list": (classes_file("[]"), "can't read the classes", "the file"),
    "classes nested without end": (classes_file("[" * 10_000), "can't read the classes", "the file"),
    "classes without end": (classes_file(" " * 2**21), "too large", "classes.json"),
    "a label map of 16 bits": (sixteen_bits, f"{LABEL} has a label id out of range", "seen:    1000"),
    "a label map that claims a billion pixels": (claim_a_billion_pixels, "can't decode the image", LABEL),
    "a class out of range": (classes_file('{"num_classes": 8, "present_trainIds": {"8": "sky"}}'), "out of range", "0 to 7"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_gets_one_message_with_the_first_wrong_path(case: str, root: Path) -> None:
    spoil, *words = WRONG[case]
    spoil(root)
    with pytest.raises(DataError) as caught:
        cityscapes.read(root)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_ids_that_are_ignored_may_be_any_number_the_classes_file_names(root: Path) -> None:
    for path in root.rglob("*_gtFine_labelTrainIds.png"):
        labels = np.array(Image.open(path))
        TINY["write"](path, np.where(labels == 255, 200, labels))
    with pytest.raises(DataError, match="out of range"):
        cityscapes.read(root)
    (root / "classes.json").write_text('{"num_classes": 8, "ignore": 200}')
    assert cityscapes.read(root).ignore == 200


def test_a_check_collects_what_a_run_stops_at_and_keeps_the_rest(root: Path) -> None:
    put_pixels((64, 80), 99)(root)
    (root / IMAGE.replace("val", "train")).unlink()
    problems: list[DataError] = []
    data = cityscapes.read(root, tell=problems.append)
    assert f"{IMAGE.replace('val', 'train')} is missing" in problems[0].wrong
    assert f"{LABEL} has a label id out of range" in problems[1].wrong
    assert (len(problems), len(data.train), len(data.val)) == (2, 2, 1)
    assert sum(data.val_pixels) == 64 * 80 - 2 * 80


def as_bits(ids: np.ndarray) -> Image.Image:
    return Image.fromarray(ids > 0)


def with_alpha(mode: str) -> Callable[[np.ndarray], Image.Image]:
    return lambda ids: Image.merge(mode, [*[Image.fromarray(ids)] * (len(mode) - 1), Image.new("L", ids.shape[::-1], 255)])


def grey(ids: np.ndarray) -> Image.Image:
    return Image.fromarray(np.repeat(ids[..., None], 3, axis=2))


WRITTEN = {
    "1 bit": as_bits,
    "16 bits": lambda ids: Image.fromarray(ids.astype(np.uint16)),
    "grey with an alpha": with_alpha("LA"),
    "grey colours": grey,
    "grey colours with an alpha": with_alpha("RGBA"),
}


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_one_number_per_pixel_is_a_label_map_in_whichever_mode(root: Path, write: Callable[[np.ndarray], Image.Image]) -> None:
    for path in sorted((root / "gtFine").rglob("*.png")):
        ids = np.asarray(Image.open(path))
        Image.fromarray(np.minimum(ids, 1) if write is as_bits else ids).save(path)
    before = cityscapes.read(root)
    ids = np.asarray(Image.open(root / LABEL))
    odd = write(ids)
    odd.save(root / LABEL)
    data = cityscapes.read(root)
    assert (data.pixels, data.val_pixels) == (before.pixels, before.val_pixels)
    assert np.array_equal(labelmaps.read_ids(root / LABEL), ids)
    several = len(odd.getbands()) > 1
    assert data.many_channels == ({root / LABEL} if several else set())
    assert any("grey or opaque pictures" in note for note in data.notes) == several


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_classes_file_may_have_a_byte_order_mark(root: Path, encoding: str) -> None:
    before, path = cityscapes.read(root), root / "classes.json"
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert cityscapes.read(root).classes == before.classes


def test_null_in_the_classes_file_is_absent_and_a_whole_number_may_have_a_point(root: Path) -> None:
    (root / "classes.json").write_text('{"num_classes": 8.0, "ignore": null, "present_trainIds": null}')
    data = cityscapes.read(root)
    assert (len(data.classes), data.ignore) == (8, 255)


ENDINGS = {
    "none": (".png", ".png"),
    "own ones": ("_rgb.png", "_mask.png"),
    "another camera": ("_rightImg8bit.png", "_gtFine_labelTrainIds.png"),
    "coarse": ("_leftImg8bit.png", "_gtCoarse_labelTrainIds.png"),
    "the Indian driving data's": ("_leftImg8bit.png", "_gtFine_labelcsTrainIds.png"),
}


def called(root: Path, image: str, label: str) -> None:
    for path in list(root.rglob("*_leftImg8bit.png")):
        path.rename(path.with_name(path.name.replace("_leftImg8bit.png", image)))
    for path in list(root.rglob("*_gtFine_labelTrainIds.png")):
        path.rename(path.with_name(path.name.replace("_gtFine_labelTrainIds.png", label)))


@pytest.mark.parametrize("name", ENDINGS)
def test_names_of_another_form_are_paired_where_one_pair_of_endings_fits(root: Path, name: str) -> None:
    before, (image, label) = cityscapes.read(root), ENDINGS[name]
    called(root, image, label)
    shutil.copy(next(root.glob(f"gtFine/train/town/*{label}")), root / "gtFine/train/town/lost_color.png")
    data = cityscapes.read(root)
    assert (len(data.train), len(data.val), data.pixels) == (len(before.train), len(before.val), before.pixels)
    assert [data.folders["train"].stem(root, pair)[:16] for pair in data.train] == [f"town/town_00000{at}" for at in range(3)]
    assert sum(f"images end in {image}, label maps in {label}," in note for note in data.notes) == 2


def test_label_maps_of_two_kinds_or_of_ids_alone_are_refused_with_what_is_there(root: Path) -> None:
    called(root, "_rgb.png", "_mask.png")
    for path in list(root.rglob("*_mask.png")):
        shutil.copy(path, path.with_name(path.name.replace("_mask", "_other")))
    with pytest.raises(DataError, match=r"whose label maps they are\n.*\*_rgb\.png; 6 label maps, \*_mask\.png, \*_other\.png"):
        cityscapes.read(root)
    for path in list(root.rglob("*_other.png")):
        path.unlink()
    called(root, "_rgb.png", "_mask.png")
    for path in list(root.rglob("*_mask.png")):
        path.rename(path.with_name(path.name.replace("_mask", "_labelIds")))
    with pytest.raises(DataError, match=r"ids of training"):
        cityscapes.read(root)
