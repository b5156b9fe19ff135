"""Print what the loader alone costs, as JSON: from the files to two crops of each image, in one thread of one process.

    python tests/benchmarks/loader_speed.py --data FOLDER --size 64 --images 2048

Each way of keeping images is the best of some passes over the same images, in microseconds of processor time per image.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from pretrain.config import PretrainConfig
from pretrain.core.journal import Journal
from pretrain.images import cache, imageset
from pretrain.images.crops import Crop
from pretrain.images.loading import Crops, Images

BATCH = 64
SCALE = (0.2, 1.0)


def microseconds(source: Images, labels: tuple[int, ...], size: int, count: int, passes: int) -> float:
    """Of one image."""
    crops = Crops(source, labels, [Crop(size, SCALE)] * 2, seed=0, reduced=True)
    order = [(0, int(i)) for i in np.random.default_rng(0).permutation(len(source))[:count]]
    times = []
    for _ in range(passes):
        began = time.process_time()
        for start in range(0, len(order), BATCH):
            crops.__getitems__(order[start : start + BATCH])
        times.append((time.process_time() - began) / len(order))
    return round(min(times) * 1e6, 1)


def main() -> None:
    """Time the plain files and those kept in memory."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder with train/ or train.zip")
    options.add_argument("--size", type=int, default=64, help="side of a crop, in pixels")
    options.add_argument("--images", type=int, default=1024, help="images of a pass")
    options.add_argument("--passes", type=int, default=5, help="the best one counts")
    asked = options.parse_args()
    torch.set_num_threads(1)
    found = imageset.read(asked.data, "train")
    side = PretrainConfig.read({"size": asked.size, "cache": "ram"}).kept_side
    kept = cache.open_images(found, "ram", side=side, reduced=True, num_workers=0, journal=Journal())
    figures = {
        name: microseconds(source, found.labels, asked.size, asked.images, asked.passes)
        for name, source in {"files": found, "ram": kept}.items()
    }
    print(json.dumps({"size": asked.size, "images": len(found), "microseconds_per_image": figures, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
