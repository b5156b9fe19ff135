"""The COCO layout of the generated data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transfer.shapes import contours
from transfer.shapes.writers.files import Sample, write


class Coco:
    """`coco/SPLIT2017/*.jpg` and `coco/annotations/instances_SPLIT2017.json`; category ids count from 1."""

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        self._root = root / "coco"
        self._classes = classes
        self._images: dict[str, list[dict[str, Any]]] = {}
        self._annotations: dict[str, list[dict[str, Any]]] = {}

    def add(self, sample: Sample) -> None:
        """Write a picture and collect its annotation."""
        image_id = sample.index + 1
        height, width = sample.scene.instances.shape
        name = f"{image_id:012d}.jpg"
        write(self._root / f"{sample.split}2017" / name, sample.jpeg)
        image = {"id": image_id, "file_name": name, "height": height, "width": width}
        self._images.setdefault(sample.split, []).append(image)
        annotations = self._annotations.setdefault(sample.split, [])
        for index, label in enumerate(sample.scene.labels):
            mask = sample.scene.instances == index + 1
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": label + 1,
                    "bbox": list(contours.box(mask)),
                    "area": int(mask.sum()),
                    "segmentation": contours.polygons(mask),
                    "iscrowd": 0,
                }
            )

    def finish(self) -> None:
        """Write the annotations."""
        categories = [
            {"id": label + 1, "name": name, "supercategory": name.split("-")[1]} for label, name in enumerate(self._classes)
        ]
        for split, images in self._images.items():
            content = {"images": images, "annotations": self._annotations[split], "categories": categories}
            text = json.dumps(content, separators=(",", ":"))
            write(self._root / "annotations" / f"instances_{split}2017.json", text.encode())
