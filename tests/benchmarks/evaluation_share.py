"""Print which share of a COCO evaluation is spent outside the detector's forward passes.

    OMP_NUM_THREADS=1 python tests/benchmarks/evaluation_share.py [--images 5000] [--detected 48] [--workers 4] [--side 480]

Generated pictures of `side` pixels, of which two dozen are drawn and used again under other names; a detector on a ResNet-18
with fresh weights that sees them at 256 pixels and keeps 100 detections in each, all with masks. With `--detected` it sees
so many alone, each of which stands for as many others, for a thousand regions of each image take a core six seconds: what
finding them took is multiplied, and the metric computed on all. JSON: `forward_s`, wall
seconds in the detector; `find_s`, those until all detections are there, with images decoded and masks pasted and encoded;
`metric_s`, those of the average precisions; `outside_find` and `outside_all`, the shares of `find_s`, and of both together,
that are not `forward_s`; `cpu` has the same of this process's processor time. `growth_mib` is what this process grew by from
the first quarter of the images to their end, and `kept_mib` what the masks' encodings in them take, which are kept for the
metric. With `--workers 0` all of it is done one after another. Where others use the cores too, shares of wall time say little.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from gauges import Clock, resident

SCENES, SIZE = 24, 256
FAVOUR = 4.0
"""Added to the first class's score, which then passes the threshold in every region, as no class of fresh weights does."""


def lay(root: Path, side: int) -> None:
    """Lay a COCO data set of pictures with a photograph's share of detail, each with a few objects."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train2017", 2), ("val2017", SCENES)):
        (root / split).mkdir()
        images, objects = list[dict[str, Any]](), list[dict[str, Any]]()
        for number in range(1, count + 1):
            coarse = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize((side, side))
            noise = rng.integers(0, 24, (side, side, 3), dtype=np.uint8)
            Image.fromarray(np.asarray(coarse) // 2 + noise).save(root / split / f"{number:012d}.jpg", quality=90)
            images.append({"id": number, "file_name": f"{number:012d}.jpg", "width": side, "height": side})
            for left, top in rng.uniform(0, side / 2, (7, 2)).round(1).tolist():
                width, height = rng.uniform(20, side / 2, 2).round(1).tolist()
                corners = [left, top, left + width, top, left + width, top + height, left, top + height]
                place = {"bbox": [left, top, width, height], "area": width * height, "segmentation": [corners]}
                which = {"id": len(objects) + 1, "image_id": number, "category_id": int(rng.integers(1, 81)), "iscrowd": 0}
                objects.append(which | place)
        names = [{"id": number, "name": f"class {number}"} for number in range(1, 81)]
        content = {"images": images, "annotations": objects, "categories": names}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def measured(options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Detect in all images, and compute the metrics."""
    import torch

    from pretrain.core.journal import Journal
    from transfer import sources, tasks
    from transfer.datasets import coco
    from transfer.detection.metrics import detection_metrics
    from transfer.engines.torchvision.engine import FAMILIES
    from transfer.engines.torchvision.evaluate import find

    lay(root, options.side)
    data = coco.read(root)
    again = tuple(replace(data.val[number % SCENES], identity=number) for number in range(options.images))
    seen = again[: options.detected or options.images]
    stands_for = len(again) / len(seen)
    data = replace(data, val=again)
    declared = tasks.get(options.task)
    changes = {
        "min_sizes": (SIZE,),
        "test_size": SIZE,
        "max_size": 2 * SIZE,
        "score_threshold": 0.0,
        "num_workers": options.workers,
    }
    settings: Any = declared.settings.replace(changes)
    backbone = sources.load("random:resnet18")
    torch.manual_seed(0)
    model = FAMILIES[settings.family]("resnet18", len(data.classes), settings, backbone.recipe)
    model.load_backbone(backbone.state)
    with torch.no_grad():
        model.box.scores.bias[0] += FAVOUR
    inside, grown, detect = Clock(0.0, 0.0), list[float](), model.detect

    def timed(images: Any) -> Any:
        nonlocal inside
        began = Clock.now()
        found = detect(images)
        inside = inside.plus(Clock.now().since(began))
        return found

    def hear(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if done == max(total // 4, 1) or done == total:
            grown.append(resident())

    model.detect = timed  # type: ignore[method-assign]
    began = Clock.now()
    found = find(model, seen, settings, Journal(None, hear))
    detected = Clock.now().since(began)
    kept = [mask for each in found[len(found) // 4 :] for mask in each.masks or ()]
    inside, detected = (Clock(clock.wall * stands_for, clock.cpu * stands_for) for clock in (inside, detected))
    found, began = [found[number % len(seen)] for number in range(len(again))], Clock.now()
    detection_metrics(found, data, settings)
    whole = detected.plus(Clock.now().since(began))
    return {
        "images": options.images,
        "detected": len(seen),
        "detections": sum(len(each.scores) for each in found),
        "workers": options.workers,
        **shares(inside.wall, detected.wall, whole.wall),
        "cpu": shares(inside.cpu, detected.cpu, whole.cpu),
        "growth_mib": round(grown[-1] - grown[0], 1),
        "kept_mib": round(sum(sys.getsizeof(mask["counts"]) + sys.getsizeof(mask) for mask in kept) / 2**20, 1),
    }


def shares(inside: float, find: float, whole: float) -> dict[str, float]:
    """Name the seconds in the detector, until all is found, and until all is measured, and the shares of them outside."""
    seconds = {"forward_s": round(inside, 1), "find_s": round(find, 1), "metric_s": round(whole - find, 1)}
    return {**seconds, "outside_find": round(1 - inside / find, 3), "outside_all": round(1 - inside / whole, 3)}


def main() -> None:
    """Generate the data, measure, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("images", 5000), ("detected", 0), ("workers", 4), ("side", 480)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--task", default="coco-fpn", choices=("coco-fpn", "coco-c4"))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(parser.parse_args(), Path(folder)), indent=1))


if __name__ == "__main__":
    main()
