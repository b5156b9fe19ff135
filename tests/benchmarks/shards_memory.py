"""Print what images in WebDataset's shards or in Parquet tables cost in memory.

    python tests/benchmarks/shards_memory.py [--images 200000] [--folder /tmp] [--kinds tar parquet]

JSON, for each kind, each measured in a process of its own: `memory_mib` is what the process has resident beyond `import torch`
once the images are known and identified, `peak_mib` the most it had; `working_mib` is what each of 4 forked processes holds of
its own after the first tenth of 64,000 reads in random order (open files, and the row groups of tables that a reader keeps),
and `growth_mib` what the other nine tenths added.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from gauges import private, resident

CLASSES, WORKERS, READ = 1000, 4, 64_000
IN_SHARD, IN_GROUP = 10_000, 500
"""Images in a shard, and in a row group of a table."""


def packed(root: Path, images: int, kind: str) -> None:
    """Write small images into shards."""
    from PIL import Image

    (root / "classes.txt").write_text("".join(f"n{number:08d}\n" for number in range(CLASSES)))
    for shard, first in enumerate(range(0, images, IN_SHARD)):
        file = io.BytesIO()
        Image.new("RGB", (32, 32), (shard % 256, 128, 64)).save(file, "jpeg")
        {"tar": tarred, "parquet": tabled}[kind](root, shard, range(first, min(first + IN_SHARD, images)), file.getvalue())


def tarred(root: Path, shard: int, numbers: range, picture: bytes) -> None:
    """Write a shard of WebDataset's: of each image its file and its class."""
    with tarfile.open(root / f"train-{shard:06d}.tar", "w") as tar:
        for number in numbers:
            for ending, data in (("jpg", picture), ("cls", str(number % CLASSES).encode())):
                member = tarfile.TarInfo(f"{number:07d}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def tabled(root: Path, shard: int, numbers: range, picture: bytes) -> None:
    """Write a table as Hugging Face's."""
    import pyarrow
    from pyarrow import parquet

    images = [{"bytes": picture, "path": f"{number:07d}.jpg"} for number in numbers]
    table = pyarrow.table({"image": images, "label": [number % CLASSES for number in numbers]})
    parquet.write_table(table, root / f"train-{shard:05d}.parquet", row_group_size=IN_GROUP)


def measured(root: Path) -> dict[str, Any]:
    """Read the images as a run does, then let forked processes read their files."""
    from pretrain.images import imageset
    from pretrain.images.training_set import TrainingSet

    before, began = resident(), time.perf_counter()
    data = TrainingSet.of(imageset.read(root, "train"), fraction=0, names=None, seed=0)
    fingerprint, after = data.fingerprint, resident()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"fingerprint": fingerprint, "wall_s": round(time.perf_counter() - began, 1)}
    found |= {"memory_mib": round(after - before, 1), "peak_mib": round(peak - before, 1)}
    return {**found, **growth(data)}


def growth(data: Any) -> dict[str, list[float]]:
    """Read files, names and labels in forked processes; returns the MiB that each then holds of its own."""
    import numpy as np

    order, found = np.random.default_rng(0).permutation(len(data.images)), []
    for worker in range(WORKERS):
        reader, writer = os.pipe()
        if not os.fork():
            held = [private()]
            indices = np.resize(np.roll(order, worker), READ).tolist()
            for part in (indices[: READ // 10], indices[READ // 10 :]):
                for index in part:
                    data.images.members.read(index), data.images.names[index], data.labels[index]
                held.append(private())
            os.write(writer, json.dumps([round(held[1] - held[0], 1), round(held[2] - held[1], 1)]).encode())
            os._exit(0)
        os.wait()
        found.append(json.loads(os.read(reader, 100)))
    return {"working_mib": [each[0] for each in found], "growth_mib": [each[1] for each in found]}


def main() -> None:
    """Write the shards, measure, and remove them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--kinds", nargs="+", choices=("tar", "parquet"), default=("tar", "parquet"))
    parser.add_argument("--measure", type=Path)
    options = parser.parse_args()
    if options.measure:
        import torch  # noqa: F401, memory is counted beyond it

        print(json.dumps(measured(options.measure)))
        return
    found: dict[str, Any] = {"images": options.images}
    for kind in options.kinds:
        with tempfile.TemporaryDirectory(prefix="shards-memory-", dir=options.folder) as folder:
            packed(Path(folder), options.images, kind)
            command = [sys.executable, __file__, "--measure", folder]
            found[kind] = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
