"""Print what `--cache jpeg` saves, as JSON: bytes of an image, and processor time to decode it and to crop it twice.

    python tests/benchmarks/jpeg_cache.py [--data FOLDER] [--images 256] [--side 256]

Without a folder (with train/ or train.zip) it makes images of 500 × 375 pixels, smooth parts and grain, of nearly as many
bytes as ImageNet's. `original` is each file as it is, `kept` is what the cache has of it. `decode_ms` is decoding alone,
`crops_ms` is what a loader does for two views of 224 pixels, `fill_ms` what making the cache took: milliseconds of processor
time of one thread for an image, the best of some passes. `quotients` are original over kept.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pretrain.core.journal import Journal
from pretrain.images import cache, imageset
from pretrain.images.crops import Crop
from pretrain.images.loading import Crops, Images

WIDTH, HEIGHT = 500, 375
"""Pixels of ImageNet's usual image."""
BATCH = 32


def made(root: Path, count: int) -> None:
    """Write JPEGs of quality 90 with smooth parts and grain."""
    for number in range(count):
        rng, total = np.random.default_rng(number), np.zeros((HEIGHT, WIDTH, 3))
        for cells, weight in ((4, 60), (16, 30), (64, 20)):
            small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            wide = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float64)
            total += (wide - 128) / 128 * weight
        total += rng.normal(0, 18, (HEIGHT, WIDTH, 1))
        folder = root / "train" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((total + 128).clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)


def best(work: Any, passes: int, count: int) -> float:
    """Milliseconds of processor time for an image."""
    times = []
    for _ in range(passes):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) / count)
    return round(min(times) * 1e3, 3)


def figures(images: Images, count: int, passes: int) -> dict[str, float]:
    """Measure one way of keeping images."""
    crops = Crops(images, [0] * len(images), [Crop(224, (0.2, 1.0))] * 2, seed=0, reduced=True)
    batches = [[(0, index) for index in range(start, min(start + BATCH, count))] for start in range(0, count, BATCH)]
    size = sum(len(images.picture(index).data) for index in range(count)) / count  # type: ignore[attr-defined]
    return {
        "kib": round(size / 1024, 1),
        "decode_ms": best(lambda: [images.picture(index).pixels() for index in range(count)], passes, count),
        "crops_ms": best(lambda: [crops.__getitems__(batch) for batch in batches], passes, count),
    }


def main() -> None:
    """Make or find images, fill the cache, and compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path)
    options.add_argument("--images", type=int, default=256)
    options.add_argument("--side", type=int, default=256, help="short side that is kept, in pixels")
    options.add_argument("--passes", type=int, default=3, help="the best one counts")
    asked = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_CACHE"] = f"{folder}/cache"
        if asked.data is None:
            made(Path(folder), asked.images)
        found = imageset.read(asked.data or Path(folder), "train")
        count = min(asked.images, len(found))
        found = found.part(range(count))
        began = time.process_time()
        kept = cache.open_images(found, "jpeg", side=asked.side, reduced=True, num_workers=0, journal=Journal())
        fill = (time.process_time() - began) / count * 1e3
        results = {name: figures(source, count, asked.passes) for name, source in (("original", found), ("kept", kept))}
    quotients = {name: round(results["original"][name] / results["kept"][name], 2) for name in results["kept"]}
    sizes = {"images": count, "side": asked.side, "fill_ms": round(fill, 2)}
    print(json.dumps({**sizes, **results, "quotients": quotients}, indent=1))


if __name__ == "__main__":
    main()
