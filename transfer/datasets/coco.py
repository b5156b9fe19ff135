"""The COCO layout as Detectron2 expects it: `annotations/instances_{train,val}2017.json`, `train2017`, `val2017`.

The classes are the file's categories in the order of their ids, whatever these are.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pretrain.errors import DataError
from transfer.datasets import fingerprint, wrong_layout
from transfer.datasets.detection import DetectionData, Mask, Picture, with_objects
from transfer.record import Data

LOOKED_FOR = "annotations/instances_train2017.json, annotations/instances_val2017.json, train2017, val2017"
MIN_COORDINATES = 6
"""Three points: fewer span no area."""

_Json = Mapping[str, Any]
_Object = dict[str, Any]


def read(
    root: Path, *, train: Sequence[str] = ("train2017",), val: str = "val2017", max_val_images: int | None = None
) -> DetectionData:
    """Read the splits.

    Args:
        root: The folder described above.
        train: Splits to train on.
        val: Split to evaluate on.
        max_val_images: Keep so many of its images, evenly spaced; None: all.

    Raises:
        DataError: For another layout, or an annotation that can't be read; names the path and the place.
    """
    files = {split: _file(root, split) for split in (*train, val)}
    contents = {split: _content(path) for split, path in files.items()}
    categories = _categories(contents[val], files[val])
    for split in train:
        if _categories(contents[split], files[split]) != categories:
            raise DataError(f"{files[split]} and {files[val]} name other categories", allowed="the same ids and names in both")
    dropped: Counter[str] = Counter()
    objects = {split: _objects(contents[split], files[split], categories, dropped) for split in contents}
    pictures = {split: _pictures(root / split, contents[split], objects[split], files[split]) for split in contents}
    training = tuple(picture for split in train for picture in pictures[split])
    kept = with_objects(training)
    if not kept:
        raise DataError(f"no objects to train on in {root}", seen=f"{len(training)} images in {', '.join(train)}")
    images = [picture.path for split in pictures.values() for picture in split]
    ref = Data(
        name=root.resolve().name,
        layout="coco",
        fingerprint=fingerprint(root, images=images, annotations=files.values()),
        train=len(kept),
        val=len(pictures[val]),
        classes=len(categories),
    )
    truth = _truth(contents[val], objects[val])
    notes = tuple(f"{count} {what} left out" for what, count in sorted(dropped.items()))
    if len(kept) < len(training):
        notes += (f"{len(training) - len(kept)} training images without objects left out",)
    return DetectionData(ref, tuple(categories.values()), kept, pictures[val], truth, notes).limited(max_val_images)


def _file(root: Path, split: str) -> Path:
    path = root / "annotations" / f"instances_{split}.json"
    for place in (path.parent, path, root / split):
        if not place.exists():
            fix = "pass the folder that contains annotations and the image folders with --data"
            raise wrong_layout(root, layout="COCO", looked_for=LOOKED_FOR, first_wrong=place, fix=fix)
    return path


def _content(path: Path) -> _Json:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"can't read {path} as JSON", seen=error) from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"{path} has no list {key!r}", allowed="COCO's images, annotations and categories")
        for place, entry in enumerate(content[key]):
            if not isinstance(entry, dict):
                raise DataError(f"{key}[{place}] in {path} is not an object", seen=repr(entry)[:80])
    return content


def _categories(content: _Json, path: Path) -> dict[int, str]:
    """Category id → name, by rising id."""
    try:
        found = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"a category in {path} has no id and name", seen=repr(error)) from None
    if not found or len(found) != len(content["categories"]):
        raise DataError(f"{path} must hold each category once", seen=f"{len(content['categories'])} entries, {len(found)} ids")
    return dict(sorted(found.items()))


def _objects(content: _Json, path: Path, categories: Mapping[int, str], dropped: Counter[str]) -> dict[int, list[_Object]]:
    """Image id → its objects, checked."""
    labels = {identity: label for label, identity in enumerate(categories)}
    found: dict[int, list[_Object]] = {
        _field(image, "id", int, path, "images", at): [] for at, image in enumerate(content["images"])
    }
    for at, entry in enumerate(content["annotations"]):
        image = _field(entry, "image_id", int, path, "annotations", at)
        category = _field(entry, "category_id", int, path, "annotations", at)
        if image not in found or category not in labels:
            what = f"image_id {image}" if image not in found else f"category_id {category}"
            raise DataError(f"annotations[{at}] in {path} has an {what} that is not in the file", fix="repair the file")
        box = _box(entry, path, at)
        if box[2] <= 0 or box[3] <= 0:
            dropped["boxes without area"] += 1
            continue
        segmentation, mask = _mask(entry, path, at)
        if mask is None:
            dropped["objects without a polygon of 3 points"] += 1
            continue
        crowd = bool(entry.get("iscrowd", 0))
        found[image].append(
            {"entry": entry, "box": box, "label": labels[category], "crowd": crowd, "mask": mask, "raw": segmentation}
        )
    return found


def _field(entry: _Json, name: str, kind: type[int] | type[str], path: Path, group: str, at: int) -> Any:
    value = entry.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{group}[{at}] in {path} has no valid {name!r}", seen=repr(value)[:80], allowed=kind.__name__)
    return value


def _box(entry: _Json, path: Path, at: int) -> list[float]:
    box = entry.get("bbox")
    try:
        values = [float(value) for value in box or ()]
    except (TypeError, ValueError):
        values = []
    if len(values) != 4 or not np.isfinite(values).all():
        raise DataError(
            f"annotations[{at}] in {path} has no valid 'bbox'", seen=repr(box)[:80], allowed="[x, y, width, height]"
        )
    return values


def _mask(entry: _Json, path: Path, at: int) -> tuple[Any, Mask | None]:
    """The segmentation as COCO's own code takes it, and as ours does; None where nothing of it is usable."""
    segmentation = entry.get("segmentation")
    try:
        if isinstance(segmentation, Mapping):
            raw = segmentation
            if isinstance(raw["counts"], list):
                raw = coco_mask.frPyObjects(raw, *raw["size"])
            return dict(raw), dict(raw)
        polygons = [np.asarray(each, dtype=np.float64) for each in segmentation or ()]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"annotations[{at}] in {path} has no valid 'segmentation'", seen=repr(error)[:80]) from None
    usable = tuple(each for each in polygons if each.ndim == 1 and len(each) % 2 == 0 and len(each) >= MIN_COORDINATES)
    if any(not np.isfinite(each).all() for each in usable):
        raise DataError(f"annotations[{at}] in {path} has a polygon that is not finite")
    return [each.tolist() for each in usable], usable or None


def _pictures(folder: Path, content: _Json, objects: Mapping[int, list[_Object]], path: Path) -> tuple[Picture, ...]:
    there = {each.name for each in folder.iterdir()}
    pictures = []
    for at, image in sorted(enumerate(content["images"]), key=lambda pair: pair[1]["id"]):
        name = _field(image, "file_name", str, path, "images", at)
        if name not in there:
            raise DataError(
                f"{folder / name} is missing", seen=f"images[{at}] in {path}", fix="add the image or remove its entry"
            )
        width, height = (_field(image, side, int, path, "images", at) for side in ("width", "height"))
        found = objects[image["id"]]
        labels = np.array([each["label"] for each in found], dtype=np.int64)
        crowd = np.array([each["crowd"] for each in found], dtype=bool)
        masks = tuple(each["mask"] for each in found)
        easy = np.zeros(len(found), dtype=bool)
        pictures.append(Picture(folder / name, image["id"], width, height, _corners(found), labels, easy, crowd, masks))
    return tuple(pictures)


def _corners(found: Sequence[_Object]) -> NDArray[np.float32]:
    # Sums in float32, as Detectron2's conversion of a single box makes them.
    boxes = np.array([each["box"] for each in found], dtype=np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _truth(content: _Json, objects: Mapping[int, list[_Object]]) -> _Json:
    """The annotations for COCO's own metric, whose categories are the file's.

    NOTE: numbered from 1 anew, because pycocotools takes a matched object whose id is 0 for an unmatched one.
    """
    annotations: list[_Object] = []
    for image, found in sorted(objects.items()):
        for each in found:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": each["entry"]["category_id"],
                    "bbox": each["box"],
                    "area": float(each["entry"].get("area", each["box"][2] * each["box"][3])),
                    "iscrowd": int(each["crowd"]),
                    "segmentation": each["raw"],
                }
            )
    return {"images": content["images"], "annotations": annotations, "categories": content["categories"]}
