"""How often the remark on label maps resized by interpolation is right: `python tests/benchmarks/remark_power.py [SETS]`.

Draws sets of label maps of streets: bands, houses, cars, and poles two to four pixels wide, with 4 to 12 of 19 ids. The remark
should be silent about them as they are and halved by nearest neighbour, and tell those that were resized between ids.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from transfer.datasets.truths.segmentation import LabelMaps, interpolated

WIDTH, HEIGHT, MAPS = 512, 256, 4
Size = tuple[int, int]


def street(rng: np.random.Generator, ids: list[int]) -> Image.Image:
    """Draw a label map."""
    picture = Image.new("L", (WIDTH, HEIGHT), ids[0])
    draw, horizon = ImageDraw.Draw(picture), int(rng.integers(80, 160))
    draw.rectangle((0, horizon, WIDTH, HEIGHT), fill=ids[1])
    for _ in range(30):
        x, y = rng.integers(0, WIDTH), rng.integers(horizon - 40, HEIGHT - 20)
        width, height = rng.integers(10, 90), rng.integers(10, 60)
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x, y - height, x + width, y), fill=ids[int(rng.integers(2, len(ids)))])
    for _ in range(6):
        x = rng.integers(0, WIDTH)
        draw.rectangle((x, horizon - 60, x + rng.integers(1, 4), horizon + 40), fill=ids[2])
    return picture


def noted(pictures: list[Image.Image], folder: Path) -> bool:
    """Tell whether the remark is made."""
    paths = [folder / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        picture.save(path)
    both = {"train": tuple(paths), "val": ()}
    names = tuple(f"class {number}" for number in range(256))
    return any(interpolated(LabelMaps(folder, names, 255, {"train": (), "val": ()}, {"train": 0, "val": 0}, both, both)))


def main(sets: int) -> None:
    """Print the share of sets that are remarked on, for each way of resizing."""
    ways: dict[str, tuple[Size, Image.Resampling]] = {
        "as drawn": ((WIDTH, HEIGHT), Image.Resampling.NEAREST),
        "halved, nearest": ((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST),
        "halved, bilinear": ((WIDTH // 2, HEIGHT // 2), Image.Resampling.BILINEAR),
        "to 3/4, bilinear": ((WIDTH * 3 // 4, HEIGHT * 3 // 4), Image.Resampling.BILINEAR),
        "to 3/4, bicubic": ((WIDTH * 3 // 4, HEIGHT * 3 // 4), Image.Resampling.BICUBIC),
    }
    counts = dict.fromkeys(ways, 0)
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(sets):
            rng = np.random.default_rng(number)
            ids = rng.permutation(19)[: rng.integers(4, 13)].tolist()
            drawn = [street(rng, ids) for _ in range(MAPS)]
            for way, (size, how) in ways.items():
                counts[way] += noted([each.resize(size, how) for each in drawn], Path(scratch))
    for way, count in counts.items():
        print(f"{way}: {count} of {sets}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
