"""Two classes of tiny images, as folders and as zips."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SPLITS = {"train": 6, "val": 2}
"""Images of each class."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with train/ and val/ of the classes ant and bee, 20 × 16 PNGs of noise."""
    rng = np.random.default_rng(0)
    for split, count in SPLITS.items():
        for cls in ("ant", "bee"):
            (tmp_path / "data" / split / cls).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / cls / f"{cls}_{i}.png")
    return tmp_path / "data"


@pytest.fixture
def zipped(root: Path) -> Callable[..., Path]:
    """Packs the splits of `root` as zips, below a folder inside them if one is named, and returns where they lie."""

    def pack(inside: str = "", compression: int = zipfile.ZIP_STORED) -> Path:
        target = root.parent / "zipped"
        target.mkdir()
        for split in SPLITS:
            with zipfile.ZipFile(target / f"{split}.zip", "w", compression) as archive:
                for path in sorted((root / split).rglob("*.png")):
                    archive.write(path, inside + path.relative_to(root / split).as_posix())
        return target

    return pack


@pytest.fixture
def photographs() -> list[Image.Image]:
    """Real photographs, RGB, 384 pixels a side."""
    folder = Path(__file__).resolve().parents[2] / "../shared/data/coco_facade/train2017"
    if not folder.is_dir():
        pytest.skip("the real photographs are not beside the repository")
    return [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.jpg"))[::100]]


@pytest.fixture
def jpeg() -> Callable[..., bytes]:
    """An image as the bytes of a JPEG file."""

    def encode(image: Image.Image, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **{"quality": 90, **options})
        return buffer.getvalue()

    return encode
