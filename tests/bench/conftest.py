"""What the tests of the command line share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LayImages = Callable[..., Path]


@pytest.fixture
def lay_images() -> LayImages:
    """Writes an image folder of two classes: `lay_images(folder, train=8, val=4)`, images of noise per class."""

    def lay(folder: Path, **counts: int) -> Path:
        rng = np.random.default_rng(0)
        for split, count in counts.items():
            for cls in ("ant", "bee"):
                (folder / split / cls).mkdir(parents=True)
                for i in range(count):
                    pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / split / cls / f"{i}.png")
        return folder

    return lay
