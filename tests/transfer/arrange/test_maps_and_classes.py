"""Exports of label maps and of classes: colours, palettes, ids of 8 and 16 bits, 0 and 255; tables of classes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from transfer.datasets.segmentation import SegmentationData

WIDTH, HEIGHT = 40, 30
Run = Callable[..., Any]
SPLITS = ("train", "val")
IDS = np.zeros((HEIGHT, WIDTH), np.uint8)
IDS[:10, :20], IDS[20:] = 1, 2
"""200 pixels of class 1, 400 of class 2, 600 of class 0."""
COLOURS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)
"""VOC's colours of 0, 1 and 2."""


def check(data: SegmentationData, names: tuple[str, ...], ignored: int = 0) -> None:
    """The classes, and the pixels of every image."""
    assert data.classes == names
    assert data.pixels == data.val_pixels == (600 - ignored, 200, 400)
    assert np.array_equal(np.array(Image.open(data.train[0].label))[10:], IDS[10:])


def palette(ids: np.ndarray) -> Image.Image:
    picture = Image.fromarray(ids).convert("P")
    picture.putpalette(COLOURS.ravel().tolist())
    return picture


def sixteen(ids: np.ndarray) -> Image.Image:
    return Image.fromarray(ids.astype(np.uint16))


def grey(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids] * 3, axis=2)


@pytest.mark.parametrize("written", [lambda ids: ids, palette, sixteen, grey, lambda ids: COLOURS[ids]])
@pytest.mark.parametrize(
    ("image", "label"), [("{0}/images/{0}.jpg", "{0}/masks/{0}.png"), ("images/{0}/{0}.jpg", "labels/{0}/{0}_mask.png")]
)
def test_plain_folders_in_every_way_to_write_ids(run: Run, written: Callable[..., Any], image: str, label: str) -> None:
    files = {image.format(split): None for split in SPLITS} | {label.format(split): written(IDS) for split in SPLITS}
    data, done = run(files, "masks", classes="sky,road,car")
    check(data, ("sky", "road", "car"))
    assert done.counts["images"] == (1, 1)


def test_classes_must_be_named_where_nobody_does(run: Run) -> None:
    files = {f"{split}/images/{split}.jpg": None for split in SPLITS} | {f"{split}/masks/{split}.png": IDS for split in SPLITS}
    with pytest.raises(DataError, match=r"have no names\n.*ids 0, 1, 2 up to 2.*\n.*3 names.*\n.*--classes"):
        run(files, "masks")


def test_0_and_255_are_background_and_one_class(run: Run) -> None:
    mask = np.where(IDS == 2, 255, 0).astype(np.uint8)
    files = {f"images/{name}.jpg": None for name in "ab"} | {f"masks/{name}.png": mask for name in "ab"}
    data, _ = run(files, "masks", classes="crack", val="0.5")
    assert data.classes == ("background", "crack")
    assert data.pixels == (800, 400)


def test_255_among_ids_stays_ignored(run: Run) -> None:
    ids = IDS.copy()
    ids[10, :30] = 255
    files = {f"{split}/images/{split}.jpg": None for split in SPLITS} | {f"{split}/masks/{split}.png": ids for split in SPLITS}
    data, _ = run(files, "masks", classes="sky,road,car")
    assert data.pixels == (570, 200, 400)


def test_own_colours_from_a_list_beside_the_maps(run: Run) -> None:
    own = np.array([(10, 20, 30), (200, 0, 1), (3, 3, 3)], np.uint8)[IDS]
    files = {f"{split}/images/{split}.jpg": None for split in SPLITS} | {f"{split}/masks/{split}.png": own for split in SPLITS}
    data, _ = run(files | {"class_dict.csv": "name,r,g,b\nsky,10,20,30\nroad,200,0,1\nbig car,3,3,3\n"}, "masks")
    check(data, ("sky", "road", "big car"))


def test_a_colour_on_no_list_is_named(run: Run) -> None:
    own = np.array([(10, 20, 30), (200, 0, 1), (3, 3, 3)], np.uint8)[IDS]
    files = {f"{split}/images/{split}.jpg": None for split in SPLITS} | {f"{split}/masks/{split}.png": own for split in SPLITS}
    with pytest.raises(DataError, match=r"no list explains\n.*\(3, 3, 3\)"):
        run(files, "masks", classes="sky,road,car")


LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,0,0::\ncar:0,128,0::\n"


def test_cvats_segmentation_masks(run: Run) -> None:
    files: dict[str, Any] = {f"JPEGImages/{name}.jpg": None for name in "ab"}
    files |= {f"SegmentationClass/{name}.png": COLOURS[IDS] for name in "ab"} | {
        f"SegmentationObject/{name}.png": IDS for name in "ab"
    }
    lists = {"ImageSets/Segmentation/train.txt": "a\n", "ImageSets/Segmentation/val.txt": "b\n"}
    data, _ = run(files | lists | {"labelmap.txt": LABELMAP}, "voc_masks")
    check(data, ("background", "road", "car"))
    assert data.train[0].image.resolve().name == "a.jpg"


def test_vocs_own_maps_have_vocs_names(run: Run) -> None:
    ids = np.where(IDS == 0, 255, IDS)
    ids[15] = 0
    files: dict[str, Any] = {f"JPEGImages/{name}.jpg": None for name in "ab"} | {
        f"SegmentationClass/{name}.png": palette(ids) for name in "ab"
    }
    data, _ = run(files, "voc_masks", val="0.5")
    assert len(data.classes) == 21
    assert data.classes[:3] == ("background", "aeroplane", "bicycle")
    assert data.pixels[:3] == (40, 200, 400)


def test_the_layout_asked_for_chooses_between_boxes_and_maps(run: Run) -> None:
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    xml = f"<annotation><object><name>cat</name>{box}</object></annotation>"
    home = "VOCdevkit/VOC2012"
    files: dict[str, Any] = {f"{home}/JPEGImages/{name}.jpg": None for name in "ab"}
    files |= {f"{home}/Annotations/{name}.xml": xml for name in "ab"}
    files |= {f"{home}/SegmentationClass/{name}.png": palette(IDS) for name in "ab"}
    files |= {f"{home}/ImageSets/Segmentation/{split}.txt": f"{name}\n" for split, name in (("train", "a"), ("val", "b"))}
    data, done = run(files | {f"{home}/ImageSets/Main/trainval.txt": "a\n"}, "vocdevkit", layout="cityscapes")
    assert done.format == "voc_masks"
    assert data.pixels[:3] == (600, 200, 400)
    assert data.val[0].image.resolve().name == "b.jpg"


def test_camvid_of_cvat(run: Run) -> None:
    files: dict[str, Any] = {f"{split}/{split}.png": None for split in SPLITS} | {
        f"{split}annot/{split}.png": COLOURS[IDS] for split in SPLITS
    }
    data, _ = run(files | {"label_colors.txt": "0 0 0 background\n128 0 0 road\n0 128 0 big car\n"}, "camvid")
    check(data, ("background", "road", "big car"))


KINDS = {
    "mmsegmentation": ("img_dir/{0}/{0}.png", "ann_dir/{0}/{0}.png", {}),
    "LoveDA": ("{0}/Urban/images_png/1.png", "{0}/Urban/masks_png/1.png", {}),
    "KITTI": ("training/image_2/{0}.png", "training/semantic/{0}.png", {"val": "0.5"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_folders_of_images_and_maps_under_others_names(run: Run, kind: str) -> None:
    image, label, options = KINDS[kind]
    files: dict[str, Any] = {image.format(split): None for split in SPLITS} | {label.format(split): IDS for split in SPLITS}
    data, _ = run(files | {"classes.txt": "background\nroad\ncar\n"}, "masks", **options)
    check(data, ("background", "road", "car"))


def test_camvid_with_marked_names_and_a_heading(run: Run) -> None:
    files: dict[str, Any] = {f"{split}/{split}.png": None for split in SPLITS}
    files |= {f"{split}_labels/{split}_L.png": COLOURS[IDS] for split in SPLITS}
    data, _ = run(files | {"class_dict.csv": "name,r,g,b\nsky,0,0,0\nroad,128,0,0\ncar,0,128,0\n"}, "camvid")
    check(data, ("sky", "road", "car"))


@pytest.mark.parametrize(
    ("image", "label", "format_"),
    [("train/{}.jpg", "train_masks/{}_mask.gif", "camvid"), ("images/{}.jpg", "masks/{}_mask.gif", "masks")],
)
def test_carvanas_masks_are_gifs_of_0_and_1(run: Run, image: str, label: str, format_: str) -> None:
    files: dict[str, Any] = {image.format(name): None for name in "ab"}
    files |= {label.format(name): saved(Image.fromarray((IDS == 1).astype(np.uint8)), "GIF") for name in "ab"}
    data, _ = run(files, format_, classes="background,car", val="0.5")
    assert data.classes == ("background", "car")
    assert data.pixels == data.val_pixels == (1000, 200)


def test_a_palette_in_another_order_is_read_by_its_colours(run: Run) -> None:
    other = np.array([2, 0, 1], np.uint8)[IDS]
    picture = Image.fromarray(other).convert("P")
    picture.putpalette(np.array([(128, 0, 0), (0, 128, 0), (0, 0, 0)], np.uint8).ravel().tolist())
    files: dict[str, Any] = {f"{split}/{split}.png": None for split in SPLITS} | {
        f"{split}annot/{split}.png": picture for split in SPLITS
    }
    data, _ = run(files | {"label_colors.txt": "0 0 0 sky\n128 0 0 road\n0 128 0 car\n"}, "camvid")
    check(data, ("sky", "road", "car"))


def test_roboflows_masks(run: Run) -> None:
    files: dict[str, Any] = {}
    for split in ("train", "valid"):
        files |= {f"{split}/{split}_jpg.rf.1.jpg": None, f"{split}/{split}_jpg.rf.1_mask.png": IDS}
        files |= {f"{split}/_classes.csv": "Pixel Value, Class\n0, background\n1, road\n2, car\n"}
    data, _ = run(files, "roboflow_masks")
    check(data, ("background", "road", "car"))


def test_cityscapes_of_cvat_numbers_its_own_labels(run: Run) -> None:
    files: dict[str, Any] = {f"leftImg8bit/{split}/town/{split}_leftImg8bit.png": None for split in SPLITS}
    files |= {f"gtFine/{split}/town/{split}_gtFine_labelIds.png": IDS for split in SPLITS}
    files |= {f"gtFine/{split}/town/{split}_gtFine_color.png": COLOURS[IDS] for split in SPLITS}
    data, _ = run(files | {"label_colors.txt": "0 0 0 sky\n250 50 50 road\n50 250 50 car\n"}, "cityscapes_ids")
    check(data, ("sky", "road", "car"))


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        (Image.fromarray(IDS.astype(np.uint16) * 300), "more ids than a layout holds"),
        (Image.fromarray(IDS.astype(np.float32)), "no label map"),
        (b"GIF89a nonsense", "can't decode"),
        (IDS[:20], "another size than its image"),
        (IDS * 3, "names, in the order of the ids"),
        (IDS + 1, r"4 names[\s\S]*no pixel is 0"),
        (np.full_like(IDS, 255), "all pixels of the label maps are 255"),
        (Image.merge("LA", [Image.new("L", (40, 30)), Image.fromarray(IDS * 100)]), "in its alpha channel"),
    ],
)
def test_what_is_wrong_with_a_label_map_is_one_message(run: Run, maps: Any, words: str) -> None:
    if isinstance(maps, Image.Image) and maps.mode == "F":
        maps = tiff(maps)
    files = {f"{split}/images/{split}.jpg": None for split in SPLITS} | {f"{split}/masks/{split}.png": maps for split in SPLITS}
    with pytest.raises(DataError, match=words):
        run(files, "masks", classes="sky,road,car")


def test_jpegs_in_the_place_of_label_maps_are_recognised_to_be_refused(run: Run) -> None:
    files = {f"{kind}/{split}/{split}.jpg": None for split in SPLITS for kind in ("images", "masks")}
    with pytest.raises(DataError, match="a JPEG of mode"):
        run(files, "masks", classes="sky,road,car")


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_an_alpha_that_says_no_more_than_the_colours_is_passed_over(run: Run, mode: str) -> None:
    grey = Image.fromarray(IDS)
    seen = Image.merge(mode, [*[grey] * (len(mode) - 1), Image.fromarray((IDS > 0).astype(np.uint8) * 255)])
    files = {f"{split}/images/{split}.jpg": None for split in SPLITS} | {f"{split}/masks/{split}.png": seen for split in SPLITS}
    data, _ = run(files, "masks", classes="sky,road,car")
    check(data, ("sky", "road", "car"))


def tiff(picture: Image.Image) -> bytes:
    return saved(picture, "TIFF")


def saved(picture: Image.Image, kind: str) -> bytes:
    import io

    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("names", ["{}.jpg", "{}"])
@pytest.mark.parametrize("heading", ["filename,label", "id;breed", "image_id\tclass"])
def test_a_table_of_classes(run: Run, names: str, heading: str) -> None:
    separator = next(each for each in ",;\t" if each in heading)
    rows = [f"{names.format(number)}{separator}{'cat' if number % 2 else 'dog'}" for number in range(20)]
    files: dict[str, Any] = {f"train/{number}.jpg": None for number in range(20)} | {
        "labels.csv": "\n".join([heading, *rows]) + "\n"
    }
    data, done = run({path.replace("train/", "pictures/"): content for path, content in files.items()}, "csv_labels", val="0.2")
    assert data.train.classes == ("cat", "dog")
    found = {name.rpartition("/")[2]: name.split("/")[0] for split in (data.train, data.val) for name in split.names}
    assert found == {f"{number}.jpg": "cat" if number % 2 else "dog" for number in range(20)}
    assert done.counts["images"] == (len(data.train), len(data.val))


def test_a_column_or_a_tables_name_says_the_split(run: Run) -> None:
    files: dict[str, Any] = {f"all/{name}.jpg": None for name in "abcd"}
    files |= {"train.csv": "image,label\na.jpg,x\nb.jpg,y\n", "valid.csv": "image,label\nc.jpg,x\nd.jpg,y\n"}
    data, _ = run(files, "csv_labels")
    assert (list(data.train.names), list(data.val.names)) == (["x/a.jpg", "y/b.jpg"], ["x/c.jpg", "y/d.jpg"])


def test_imagenet_of_kaggle_links_each_image_into_its_class(run: Run) -> None:
    home = "ILSVRC/Data/CLS-LOC"
    files: dict[str, Any] = {f"{home}/train/{name}/{name}_1.JPEG": None for name in ("n01", "n02")}
    files |= {f"{home}/val/ILSVRC2012_val_0000000{number}.JPEG": None for number in (1, 2)}
    table = "ImageId,PredictionString\nILSVRC2012_val_00000001,n02 1 2 3 4 \nILSVRC2012_val_00000002,n01 1 2 3 4 n01 5 6 7 8 \n"
    data, _ = run(files | {"LOC_val_solution.csv": table}, "imagenet_kaggle")
    assert list(data.val.names) == ["n01/ILSVRC2012_val_00000002.JPEG", "n02/ILSVRC2012_val_00000001.JPEG"]
