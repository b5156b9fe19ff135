"""Another tool's export as one of the project's layouts: links to its images, annotations written anew.

Adding a format is one module of `formats` and one line of `FORMATS`. A module has `recognise(glance)`, which looks at a few
entries, and `read(folder, given)`, which returns an `Export`, or `Links` where the files need other names alone.
"""

import importlib
from pathlib import Path
from types import ModuleType

from transfer.arrange.glance import Glance

FORMATS: dict[str, str] = {
    "imagenet_kaggle": "ImageNet as Kaggle has it, with LOC_val_solution.csv",
    "coco2014": "COCO's 2014 images, under their names",
    "roboflow_coco": "Roboflow's COCO export, SPLIT/_annotations.coco.json",
    "cvat_coco": "CVAT's COCO export, annotations/instances_default.json",
    "label_studio": "Label Studio's COCO export, result.json",
    "coco_json": "COCO's annotations under other names",
    "cvat_xml": "CVAT for images, annotations.xml",
    "supervisely": "Supervisely, meta.json and DATASET/ann",
    "labelme": "LabelMe, one JSON beside each image",
    "yolo": "YOLO or Darknet, one text file for each image",
    "visdrone": "VisDrone DET, annotations/*.txt",
    "vocdevkit": "VOC below VOCdevkit",
    "voc_masks": "label maps of VOC or CVAT, SegmentationClass",
    "cityscapes_ids": "CVAT's Cityscapes export, with label_colors.txt",
    "camvid": "CVAT's CamVid export, with label_colors.txt",
    "voc_xml": "VOC's XML files in other folders",
    "masks": "folders of images and of label maps",
    "csv_labels": "images with a table of their classes",
}
"""Name → what users call it, in the order in which they are tried: the more specific first."""


def module(name: str) -> ModuleType:
    """Import a format's module."""
    return importlib.import_module(f"{__name__}.formats.{name}")


def inside(root: Path) -> Path:
    """Return the folder that an archive's single folder holds, however deep; `root` itself where it holds more."""
    for _ in range(4):
        if recognised_at(root):
            break
        folders = Glance(root).folders()
        try:
            alone = len(folders) == 1 and not any(
                child.is_file() and not child.name.startswith(".") for child in root.iterdir()
            )
        except OSError:
            break
        if not alone:
            break
        root = root / folders[0]
    return root


def recognised_at(root: Path) -> str | None:
    """Name the format of exactly this folder; None if it is none."""
    glance = Glance(root)
    return next((name for name in FORMATS if module(name).recognise(glance)), None)


def recognise(root: Path) -> str | None:
    """Name the format of an export, also one level or more inside its archive's folder; None if it is none. Never raises."""
    try:
        return recognised_at(inside(root))
    except OSError:  # a folder that is gone, closed or unreadable is no export
        return None
