"""Memory and time to read a large COCO annotation file: prints JSON, and exits with 1 over the stated bound.

    python tests/benchmarks/annotation_memory.py --mib 256 [--points 23] [--folder DIR]

The file is generated: an image has 7 objects, an object one polygon, with numbers of two decimals as COCO writes them. What is
measured is the peak of the resident memory of a process that does nothing but read, less what it had before. The bound is the
docs/data.md's: 256 MiB, 800 bytes for each object and 16 for each point of its outline.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from gauges import resident

FIXED_MIB, PER_OBJECT, PER_POINT = 256, 800, 16
"""The bound: so many MiB, and so many bytes."""
PER_IMAGE = 7
SIDE = 640
MIB = 2**20


def main() -> None:
    """Write the file, read it in a process of its own, compare."""
    options = _options()
    if options.read:
        print(json.dumps(_read(Path(options.read))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder) / "coco"
        objects = _write(root, options.mib * MIB, options.points)
        words = [sys.executable, __file__, "--read", str(root)]
        measured = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        size = (root / "annotations" / "instances_train2017.json").stat().st_size / MIB
    bound = FIXED_MIB + objects * (PER_OBJECT + PER_POINT * options.points) / MIB
    result = {"file_mib": round(size, 1), "objects": objects, "points": options.points, **measured}
    result |= {"times_the_file": round(measured["peak_mib"] / size, 2), "bound_mib": round(bound)}
    print(json.dumps(result | {"within": measured["peak_mib"] <= bound}, indent=1))
    if measured["peak_mib"] > bound:
        raise SystemExit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256, help="size of the file")
    parser.add_argument("--points", type=int, default=23, help="points of each polygon")
    parser.add_argument("--folder", help="where the file is written; the system's folder for temporary files without it")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    return parser.parse_args()


def _write(root: Path, size: int, points: int) -> int:
    """A data set whose training annotations take `size` bytes; its images are empty files. Returns the number of objects."""
    for folder in ("annotations", "train2017", "val2017"):
        (root / folder).mkdir(parents=True)
    rng, objects, images = np.random.default_rng(0), 0, 0
    with (root / "annotations" / "instances_train2017.json").open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "annotations": [')
        while file.tell() < size:
            for _ in range(PER_IMAGE):
                polygon = np.round(rng.uniform(0, SIDE, 2 * points), 2).tolist()
                file.write((", " if objects else "") + json.dumps(_object(objects, images, polygon)))
                objects += 1
            images += 1
        file.write('], "images": ')
        json.dump([_image(number) for number in range(images)], file)
        file.write(', "categories": [{"id": 18, "name": "dog"}]}')
    for number in range(images):
        (root / "train2017" / f"{number}.jpg").touch()
    (root / "val2017" / "0.jpg").touch()
    content = {
        "images": [_image(0)],
        "annotations": [_object(0, 0, [20, 40, 90, 40, 90, 100])],
        "categories": [{"id": 18, "name": "dog"}],
    }
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    return objects


def _image(number: int) -> dict[str, object]:
    return {"id": number, "file_name": f"{number}.jpg", "width": SIDE, "height": SIDE}


def _object(number: int, image: int, polygon: list[float]) -> dict[str, object]:
    entry = {"segmentation": [polygon], "area": 1234.5678, "iscrowd": 0, "image_id": image}
    return {**entry, "bbox": [12.25, 30.5, 100.75, 81.12], "category_id": 18, "id": number}


def _read(root: Path) -> dict[str, float]:
    """Peak of memory in MiB, and seconds of the processor."""
    from transfer.datasets import coco

    before, start = resident(), time.process_time()
    data = coco.read(root)
    seconds = time.process_time() - start
    assert data.train
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    return {"peak_mib": round(peak - before, 1), "kept_mib": round(resident() - before, 1), "cpu_seconds": round(seconds, 1)}


if __name__ == "__main__":
    main()
