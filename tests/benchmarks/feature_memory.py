"""Print what a file of random features and nearest neighbours among them cost, by default 200,000 × 512.

    python tests/benchmarks/feature_memory.py [--images 200000] [--width 512] [--queries 2000]

JSON: MiB after `import torch`, after the file was written, found again (which compares its checksums) and voted on, and the
seconds of each. `peak_resident` is the most so far, with the pages of the mapped file; `own_now` is what the process has now
without them. The last `peak_resident`, of everything, should stay below 1,024; after it the same less that of `import torch`.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

BATCH = 256


def memory() -> dict[str, float]:
    """Return the MiB that the process has had resident at most, and those of its own now."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Rss"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak_resident": round(peak), "own_now": round(int(lines["RssAnon"].split()[0]) / 1024)}


def main() -> None:
    """Write the features, let them vote, and print memory and time after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("images", 200_000), ("width", 512), ("queries", 2000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    found: dict[str, Any] = {"import torch": memory()}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_CACHE"] = folder
        from pretrain.core.journal import Journal
        from transfer.engines.probe.knn import COLUMNS, votes_of
        from transfer.representation import featurefile

        class Images:
            """As many images as are asked for."""

            def __len__(self) -> int:
                return int(options.images)

        def read(batches: Any) -> Iterator[torch.Tensor]:
            rng = torch.Generator().manual_seed(0)
            yield from (torch.randn(len(batch), options.width, generator=rng) for batch in batches)

        images: Any = Images()
        for stage in ("features written", "features found"):
            began = time.perf_counter()
            train = featurefile.features(images, "train", "random", read, Journal(), batch=BATCH, width=options.width)
            found[stage] = {**memory(), "seconds": round(time.perf_counter() - began, 1)}
        labels, queries, began = (
            torch.arange(options.images) % 1000,
            torch.randn(options.queries, options.width),
            time.perf_counter(),
        )
        parts = featurefile.stretches(train, COLUMNS)
        votes_of(parts, labels, queries, classes=1000, k=200, temperature=0.07, device="cpu")
        found["neighbours"] = {**memory(), "seconds": round(time.perf_counter() - began, 1)}
    found["peak beyond import torch"] = found["neighbours"]["peak_resident"] - found["import torch"]["peak_resident"]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
