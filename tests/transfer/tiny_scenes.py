"""A tiny data set in the Cityscapes layout, easy to learn: one colour per class. Tests get it by `runpy.run_path`."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ground", "red", "green", "blue", "yellow", "cyan", "purple", "white")
COLOURS = np.array(
    [(40, 40, 40), (200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200), (200, 30, 200), (230, 230, 230)]
)
SIDE = 64


def lay(root: Path, *, train: int = 8, val: int = 4, seed: int = 0) -> Path:
    """Write pictures of 64 × 80 pixels with two rectangles on the ground, and a strip of ignored pixels."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        for index in range(count):
            labels = np.zeros((SIDE, SIDE + 16), dtype=np.uint8)
            for left in (4, 44):
                labels[8:56, left : left + 32] = rng.integers(1, len(CLASSES))
            pixels = COLOURS[labels] + rng.integers(-25, 26, (*labels.shape, 3))
            labels[:2] = 255
            stem = f"town/town_{index:06d}_000019"
            write(root / "leftImg8bit" / split / f"{stem}_leftImg8bit.png", pixels)
            write(root / "gtFine" / split / f"{stem}_gtFine_labelTrainIds.png", labels)
    names = {str(number): name for number, name in enumerate(CLASSES)}
    (root / "classes.json").write_text(json.dumps({"num_classes": len(CLASSES), "ignore": 255, "present_trainIds": names}))
    return root


def write(path: Path, pixels: np.ndarray) -> None:
    """Write an array as a picture, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
