"""Print what starting on a folder of ImageNet's size costs, beside torchvision's `ImageFolder` and one look at every file.

    python tests/benchmarks/imagenet_start.py [--images 1281167] [--folder /tmp]

Makes a folder of 1,000 classes of hard links to a few small images, and removes it at the end. Each measurement is a process
of its own, and the names are in memory. JSON: `theirs` is torchvision's listing (`listing_s`) with a look at every file;
`first` lists, looks at all files and digests; `again` finds the index. `wall_s` and `cpu_s` are seconds until the images are
known, those of `to_first_batch` until a batch of 64 is decoded; `first_over_theirs` is the quotient of them (below 10,000
images no index is kept, and of few images starting up is most of it). `memory_mib` is what the process has resident beyond
`import torch` and `import torchvision`, which every network needs, `peak_mib` the most it had; `growth_mib` is what each of 4
forked processes has copied of it after 64,000 reads. `parent` is `bench pretrain --devices 2` on the indexed folder, when it
starts its processes: until then in `wall_s`, and `memory_mib` that it keeps for itself, beyond what it had before it looked at
its options.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gauges import private, resident

CLASSES, WORKERS, READ = 1000, 4, 64_000
LINKS = 60_000
"""Hard links to one file: file systems allow 65,000."""


def made(root: Path, images: int) -> None:
    """Make the folder; all of it looks as old as data that nobody has touched for long."""
    from PIL import Image

    sources = root / "sources"
    sources.mkdir(parents=True)
    for number in range(-(-images // LINKS)):
        Image.new("RGB", (32 + number, 32), (number, 128, 64)).save(sources / f"{number}.jpg")
    for number in range(images):
        cls = root / "train" / f"n{number % CLASSES:08d}"
        if number < CLASSES:
            cls.mkdir(parents=True)
        os.link(sources / f"{number // LINKS}.jpg", cls / f"n{number % CLASSES:08d}_{number:07d}.JPEG")
    for folder, _, _ in os.walk(root / "train"):
        os.utime(folder, (1_600_000_000, 1_600_000_000))


def theirs(root: Path) -> dict[str, Any]:
    """List by torchvision's `ImageFolder`, then look at every file."""
    from torchvision.datasets import ImageFolder

    began, cpu = time.perf_counter(), time.process_time()
    samples = ImageFolder(str(root / "train")).samples
    listed = time.perf_counter() - began
    total = sum(os.stat(path).st_size for path, _ in samples)
    return {"listing_s": listed, **seconds(began, cpu), "bytes": total}


def ours(root: Path) -> dict[str, Any]:
    """Read the images as a run does, up to the first step's data."""
    import torchvision  # noqa: F401, whose import takes longer, and more memory, than all that is measured

    from pretrain.images import imageset
    from pretrain.images.crops import Crop
    from pretrain.images.loading import Crops, Epochs
    from pretrain.images.training_set import TrainingSet

    before, began, cpu = resident(), time.perf_counter(), time.process_time()
    data = TrainingSet.of(imageset.read(root, "train"), fraction=0, names=None, seed=0)
    read = seconds(began, cpu)
    batches = iter(Epochs(len(data.images), batch=64, epochs=1, seed=0))
    Crops(data.images, data.labels, [Crop(32, (0.2, 1.0))] * 2, seed=0).__getitems__(next(batches))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {**read, "to_first_batch": seconds(began, cpu), "fingerprint": data.fingerprint}
    return {**found, "memory_mib": resident() - before, "peak_mib": peak - before, "growth_mib": growth(data)}


def parent(root: Path) -> dict[str, Any]:
    """Resolve a pre-training in two processes up to their start."""
    import gc

    import torch.distributed.launcher.api  # noqa: F401, which the start of processes needs

    from bench import api
    from bench.verbs import pretrain  # noqa: F401
    from pretrain.core import launcher
    from pretrain.core.errors import WorkerError

    before, began, cpu, found = private(), time.perf_counter(), time.process_time(), {}

    def launched(*_: Any) -> None:
        gc.collect()
        found.update(seconds(began, cpu), memory_mib=round(private() - before, 1))

    launcher.launch = launched
    with contextlib.suppress(WorkerError):  # there is no record
        api.pretrain(data=root, out=root / "out", device="cpu", devices=2, command="bench pretrain")
    return found


def growth(data: Any) -> list[float]:
    """Read names, labels and files in forked processes; returns the MiB of memory that each has copied."""
    import numpy as np

    order, found = np.random.default_rng(0).permutation(len(data.images)), []
    for worker in range(WORKERS):
        reader, writer = os.pipe()
        if not os.fork():
            first = private()
            for index in order[worker * READ // WORKERS : (worker + 1) * READ // WORKERS].tolist() * WORKERS:
                data.images.members.read(index), data.images.names[index], data.labels[index]
            os.write(writer, json.dumps(private() - first).encode())
            os._exit(0)
        os.wait()
        found.append(round(json.loads(os.read(reader, 100)), 1))
    return found


def seconds(began: float, cpu: float) -> dict[str, float]:
    """Return the wall and processor seconds since."""
    return {"wall_s": round(time.perf_counter() - began, 3), "cpu_s": round(time.process_time() - cpu, 3)}


def alone(what: str, root: Path) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--measure", what, "--folder", str(root)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "BENCH_CACHE": str(root / "cache")}
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Make the folder, measure, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_281_167)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--measure", choices=("theirs", "ours", "parent"))
    options = parser.parse_args()
    if options.measure:
        import torch  # noqa: F401, memory is counted beyond it

        print(json.dumps({"theirs": theirs, "ours": ours, "parent": parent}[options.measure](options.folder)))
        return
    root = Path(tempfile.mkdtemp(prefix="imagenet-start-", dir=options.folder))
    try:
        made(root, options.images)
        alone("theirs", root)  # now the names are in memory for all alike
        first_theirs, first, again = alone("theirs", root), alone("ours", root), alone("ours", root)
        ratios = {unit: round(first[unit] / first_theirs[unit], 2) for unit in ("wall_s", "cpu_s")}
        found = {"images": options.images, "theirs": first_theirs, "first": first, "again": again, "first_over_theirs": ratios}
        found["parent"] = alone("parent", root)
        print(json.dumps(found, indent=1))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
