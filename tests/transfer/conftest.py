"""Tiny detection sets, easy to learn: rectangles of one colour per class on noise."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from transfer import tasks
from transfer.tasks.detection import DetectionSettings

COLOURS = {"blue": (20, 20, 230), "green": (20, 220, 20), "red": (230, 20, 20)}
"""In the order of their names, which is that of the labels."""
WIDTH, HEIGHT = 96, 80


class Thing(NamedTuple):
    """An object; the corners count pixels from 1 and are inclusive, as in VOC."""

    name: str
    corners: tuple[int, int, int, int]


Lay = Callable[..., Path]


def scene(seed: int) -> tuple[Image.Image, list[Thing]]:
    """One rectangle in each half of a picture."""
    numbers = np.random.default_rng(seed)
    pixels = numbers.integers(90, 150, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    things = []
    for half in (0, WIDTH // 2):
        left, top = half + int(numbers.integers(2, 8)), int(numbers.integers(2, 30))
        right, bottom = left + int(numbers.integers(28, 36)), top + int(numbers.integers(28, 46))
        name = sorted(COLOURS)[numbers.integers(len(COLOURS))]
        pixels[top - 1 : bottom, left - 1 : right] = COLOURS[name]
        things.append(Thing(name, (left, top, right, bottom)))
    return Image.fromarray(pixels), things


def voc_xml(things: list[Thing], *, size: tuple[int, int] | None = (WIDTH, HEIGHT), difficult: int = 0) -> str:
    """A VOC annotation."""
    parts = [f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""]
    for name, corners in things:
        sides = "".join(
            f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        )
        parts.append(f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{sides}</bndbox></object>")
    return f"<annotation>{''.join(parts)}</annotation>"


@pytest.fixture
def lay_voc(tmp_path: Path) -> Lay:
    """Writes VOC2007 with so many training and test images, and returns the root."""

    def lay(train: int = 6, val: int = 4, name: str = "voc") -> Path:
        folder = tmp_path / name / "VOC2007"
        for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (folder / part).mkdir(parents=True)
        for split, numbers in (("trainval", range(train)), ("test", range(1000, 1000 + val))):
            for number in numbers:
                image, things = scene(number)
                image.save(folder / "JPEGImages" / f"{number:06}.png")
                (folder / "Annotations" / f"{number:06}.xml").write_text(voc_xml(things))
            (folder / "ImageSets/Main" / f"{split}.txt").write_text("".join(f"{number:06}\n" for number in numbers))
        return folder.parent

    return lay


@pytest.fixture
def lay_coco(tmp_path: Path) -> Lay:
    """Writes COCO with so many training and validation images; the category ids are neither dense nor sorted."""

    def lay(train: int = 6, val: int = 4, name: str = "coco") -> Path:
        root = tmp_path / name
        (root / "annotations").mkdir(parents=True)
        ids = {"red": 90, "blue": 3, "green": 8}
        for split, numbers in (("train2017", range(train)), ("val2017", range(1000, 1000 + val))):
            (root / split).mkdir()
            images, annotations = [], []
            for number in numbers:
                image, things = scene(number)
                image.save(root / split / f"{number:06}.png")
                images.append({"id": number + 5, "file_name": f"{number:06}.png", "width": WIDTH, "height": HEIGHT})
                for thing, (left, top, right, bottom) in things:
                    x, y = left - 1, top - 1
                    annotation = {"id": len(annotations), "image_id": number + 5, "category_id": ids[thing], "iscrowd": 0}
                    annotation["bbox"] = [x, y, right - x, bottom - y]
                    annotation["area"] = (right - x) * (bottom - y)
                    annotation["segmentation"] = [[x, y, right, y, right, bottom, x, bottom]]
                    annotations.append(annotation)
            categories = [{"id": identity, "name": category} for category, identity in ids.items()]
            content = {"images": images, "annotations": annotations, "categories": categories}
            (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
        return root

    return lay


@pytest.fixture
def tiny_detection() -> Callable[..., DetectionSettings]:
    """A recipe of seconds; changes on top."""

    def settings(task: str = "voc07", **changes: object) -> DetectionSettings:
        tiny = {"iters": 3, "batch": 2, "lr": 0.02, "warmup": 2, "steps": (), "min_sizes": (80,), "test_size": 80, "rois": 8}
        tiny |= {"roi_resolution": 4, "rpn_batch": 32, "pre_nms_train": 100, "post_nms_train": 30, "pre_nms_test": 100}
        tiny |= {"post_nms_test": 10, "precise_bn": 2, "score_threshold": 0.01, "detections_per_image": 10, "num_workers": 0}
        tiny |= changes
        found = tasks.get(task).settings.replace({**tiny, "warmup": min(tiny["warmup"], tiny["iters"])})
        assert isinstance(found, DetectionSettings)
        return found

    return settings


@pytest.fixture
def in_two_processes() -> Callable[..., None]:
    """Runs a function of a test file in two processes of torch's launcher: what it asserts is its result."""

    def run(file: str, function: str, *words: object) -> None:
        here = Path(file)
        call = f"{here.stem}.{function}{tuple(map(str, words))!r}"
        code = f"import sys; sys.path.insert(0, {str(here.parent)!r}); import {here.stem}; {call}"
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
        path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        launcher = [sys.executable, *command, sys.executable, "-c", code]
        done = subprocess.run(launcher, capture_output=True, text=True, timeout=280, env=environment)
        assert done.returncode == 0, done.stderr[-4000:]

    return run
