"""Another tool's export as one of the project's layouts: links to its images, annotations written anew.

Adding a format is one module of `formats` and one line of `FORMATS`. A module has `recognise(glance)`, which looks at a few
entries, and `read(root, given)`, which returns an `Export`, or `Links` where the files need other names alone. One whose files
are a layout's, too, has `is_layout(glance)`, so that the layout can be written as another one, or anew.
"""

import importlib
import shlex
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from transfer.arrange.glance import Glance


class Format(NamedTuple):
    """One line of the table of formats. Its name is that of its module in `formats`."""

    title: str
    """What users call it, and what it is known by."""
    layouts: tuple[str, ...]
    """Layouts that it can be written as, the usual one first."""


OBJECTS = ("coco", "voc", "cityscapes", "crops")
FORMATS: dict[str, Format] = {
    "imagenet_kaggle": Format("ImageNet as Kaggle has it, with LOC_val_solution.csv", ("imagefolder",)),
    "cub": Format("CUB's lists, images.txt and image_class_labels.txt", ("imagefolder",)),
    "cub_boxes": Format("CUB's lists with bounding_boxes.txt", ("coco", "voc", "crops")),
    "coco2014": Format("COCO's 2014 images, under their names", ("coco",)),
    "roboflow_coco": Format("Roboflow's COCO export, SPLIT/_annotations.coco.json", OBJECTS),
    "cvat_coco": Format("CVAT's COCO export, annotations/instances_default.json", OBJECTS),
    "label_studio": Format("Label Studio's COCO export, result.json", OBJECTS),
    "coco_json": Format("COCO's annotations under other names", OBJECTS),
    "datumaro": Format("Datumaro's JSON, annotations/SUBSET.json with items", (*OBJECTS, "imagefolder")),
    "cvat_xml": Format("CVAT for images, annotations.xml", (*OBJECTS, "imagefolder")),
    "supervisely": Format("Supervisely, meta.json and DATASET/ann", OBJECTS),
    "via": Format("VGG Image Annotator, JSON or CSV with shape_attributes", OBJECTS),
    "bdd100k": Format("BDD100K or Scalabel, JSON with box2d or poly2d", OBJECTS),
    "labelme": Format("LabelMe, one JSON beside each image", OBJECTS),
    "kitti": Format("KITTI or TAO, 15 columns for each object", ("coco", "voc", "crops")),
    "yolo": Format("YOLO or Darknet, one text file for each image", OBJECTS),
    "visdrone": Format("VisDrone DET, annotations/*.txt", ("coco", "voc", "crops")),
    "vocdevkit": Format("VOC below VOCdevkit", ("voc",)),
    "voc_xml": Format("VOC's XML files in other folders", ("voc", "coco", "crops")),
    "createml": Format("Create ML, JSON with the coordinates of centres, also Roboflow's", ("coco", "voc", "crops")),
    "label_studio_json": Format("Label Studio's own JSON or JSON-MIN", (*OBJECTS, "imagefolder")),
    "labelbox": Format("Labelbox's export, NDJSON or JSON with data_row", (*OBJECTS, "imagefolder")),
    "voc_masks": Format("label maps of VOC or CVAT, SegmentationClass", ("cityscapes",)),
    "cityscapes_ids": Format("CVAT's Cityscapes export, with label_colors.txt", ("cityscapes",)),
    "roboflow_masks": Format("Roboflow's masks, NAME_mask.png and _classes.csv", ("cityscapes",)),
    "camvid": Format("CamVid and CVAT's export of its kind, SUBSETannot beside SUBSET", ("cityscapes",)),
    "masks": Format("folders of images and of label maps", ("cityscapes",)),
    "csv_boxes": Format("a table of boxes, one a row", ("coco", "voc", "crops")),
    "csv_labels": Format("images with a table of their classes", ("imagefolder",)),
    "txt_lists": Format("images with lists of their classes, train.txt and the like", ("imagefolder",)),
    "class_folders": Format("a folder for each class, without train and val", ("imagefolder",)),
}
"""Name → format, in the order in which they are tried: the more specific first."""
DEEPEST = 4
"""Single folders that are looked into, one inside the other."""


def module(name: str) -> ModuleType:
    """Import a format's module."""
    return importlib.import_module(f"{__name__}.formats.{name}")


def inside(root: Path) -> Path:
    """Return the folder that an archive's single folder holds, however deep; `root` itself where it holds more."""
    for _ in range(DEEPEST):
        if recognised_at(root):
            break
        folders = Glance(root).folders()
        if len(folders) != 1 or any(child.is_file() and not child.name.startswith(".") for child in root.iterdir()):
            break
        root = root / folders[0]
    return root


def recognised_at(root: Path, layout: str | None = None) -> str | None:
    """Name the format of exactly this folder, and of several the first that can become `layout`; None if it is none."""
    glance = Glance(root)
    fitting = [name for name, each in FORMATS.items() if layout in (None, *each.layouts)]
    return next((name for name in fitting if module(name).recognise(glance)), None)


def layout_itself(root: Path) -> str | None:
    """Name the format that reads a folder which is in a layout already; None if it is in none of those that have one."""
    glance = Glance(root)
    return next((name for name in FORMATS if getattr(module(name), "is_layout", _never)(glance)), None)


def _never(_: Glance) -> bool:
    return False


def recognise(root: Path, layout: str | None = None) -> str | None:
    """Name the format of an export, also one level or more inside its archive's folder; None if it is none. Never raises.

    Args:
        root: Folder of the export.
        layout: Layout that it must be able to become; None: any.
    """
    try:
        return recognised_at(inside(root), layout)
    except OSError:  # a folder that is gone, closed or unreadable is no export
        return None


def advice(root: Path, layout: str) -> str | None:
    """Say how to arrange an export as a layout; None if it is none, or can't become that. Never raises."""
    name = recognise(root, layout)
    if name is None:
        return None
    chosen = "" if name == recognise(root) and layout == FORMATS[name].layouts[0] else f" --as {layout}"
    return f"this is {FORMATS[name].title}: bench data arrange {shlex.quote(str(root))} NEW_FOLDER{chosen}"
