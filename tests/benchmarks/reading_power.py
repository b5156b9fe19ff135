"""How often boxes are refused for what they aren't read as: `python tests/benchmarks/reading_power.py [FILES]`.

Draws files of boxes: images of 1 to 20 objects, sides log-uniform between 4 and 80 % of the image's, centres uniform. Objects
that are cut by the border are annotated as far as they are seen, or whole. Each file is written in each of the three ways and
read in each.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from transfer.datasets.readings import CORNERS, Kind, misread

IMAGES = (1, 3, 10, 100)
WHOLE = (0.0, 0.1, 1.0)
"""Parts of the cut objects that are annotated whole."""


def drawn(rng: np.random.Generator, images: int, whole: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the corners (N, 4) of a file's boxes, and the sizes (N, 2) of their images."""
    boxes, sizes = [], []
    for _ in range(images):
        count, size = int(rng.integers(1, 21)), rng.integers(100, 1000, 2)
        sides = np.exp(rng.uniform(np.log(0.04), np.log(0.8), (count, 2))) * size
        centres = rng.uniform(0, 1, (count, 2)) * size
        corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
        seen = np.clip(corners, 0, np.tile(size, 2))
        boxes.append(np.where(rng.random((count, 1)) < whole, corners, seen))
        sizes.append(np.tile(size, (count, 1)))
    return np.concatenate(boxes), np.concatenate(sizes).astype(np.float64)


def written(corners: NDArray[np.float64], kind: Kind) -> NDArray[np.float64]:
    """Write corners (N, 4) as another kind of box, to whole pixels."""
    first, last = corners[:, :2], corners[:, 2:]
    ways = {"corners": (first, last), "size": (first, last - first), "centre": ((first + last) / 2, last - first)}
    return np.round(np.concatenate(ways[kind], axis=1))


def main(files: int) -> None:
    """Print the share of files that are refused, by what they are and what they are read as."""
    for whole in WHOLE:
        print(f"{whole:.0%} of the cut objects annotated whole; refused, of {files} files of " + ", ".join(map(str, IMAGES)))
        for truth in CORNERS:
            for taken in CORNERS:
                rates = []
                for images in IMAGES:
                    rng = np.random.default_rng(images)
                    several = (drawn(rng, images, whole) for _ in range(files))
                    rates.append(
                        sum(misread(written(each, truth), sizes, taken, "") is not None for each, sizes in several) / files
                    )
                right = "wrongly" if truth == taken else "rightly"
                print(f"  {truth:8} read as {taken:8} {right}: " + " ".join(f"{rate:7.2%}" for rate in rates))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
