"""Which images an audit looks at, and at what size."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from transfer import datasets, sources, tasks
from transfer.audit import pictures
from transfer.datasets import imagefolder
from transfer.datasets.decoding import Content


def grey_levels(content: Content) -> list[int]:
    return [round(float(image.mean() * 255)) for image in pictures.pixels(content, 32)]


def lay(root: Path, count: int) -> Path:
    """Lay images of one grey each, which is their number, in two classes."""
    for split in ("train", "val"):
        for number in range(count):
            path = root / split / f"class{number * 2 // count}" / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((40, 50, 3), number, np.uint8)).save(path)
    return root


def test_they_are_spread_evenly_over_the_training_images_and_always_the_same(tmp_path: Path) -> None:
    content = imagefolder.read(lay(tmp_path, 2 * pictures.IMAGES))
    assert grey_levels(content) == list(range(0, 2 * pictures.IMAGES, 2))
    assert grey_levels(content) == grey_levels(replace(content, val=content.val.part([0])))


def test_all_of_a_few_are_taken_but_those_that_cannot_be_read(tmp_path: Path) -> None:
    content = imagefolder.read(lay(tmp_path, 10))
    (tmp_path / "train/class0/003.png").write_bytes(b"no image")
    assert grey_levels(content) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_images_of_every_layout_are_read(lay_voc: Callable[..., Path], lay_coco: Callable[..., Path]) -> None:
    for task, root in (("voc07", lay_voc(train=5)), ("coco-c4", lay_coco(train=5))):
        content = datasets.read(tasks.get(task).layout, root, tasks.get(task).settings)
        assert pictures.pixels(content, 64).shape == (len(content.train), 3, 64, 64)


def test_they_are_as_large_as_those_of_the_training() -> None:
    backbone = sources.load("random:resnet18")
    assert pictures.size(backbone) == 224
    trained = replace(backbone, provenance=backbone.provenance.replace({"changed": {"size": 96}}))
    assert pictures.size(trained) == 96
    trunk, _ = backbone.architecture.build(1, stem="small", size=32)
    state = {name: torch.as_tensor(tensor) for name, tensor in trunk.state_dict().items()}
    assert pictures.size(replace(backbone, state=state)) == 32


def test_fewer_are_taken_of_large_ones(tmp_path: Path) -> None:
    content = imagefolder.read(lay(tmp_path, 100))
    assert [len(pictures.pixels(content, side)) for side in (32, 224, 1024)] == [64, 32, 8]
