"""Microseconds of one thread that operations, whole pipelines and augmentations take per image and view, as JSON.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/views_speed.py

The least of many repetitions, in time of the thread itself: what else runs on the machine counts as little as it can.
"""

import json
import time
from collections.abc import Callable

import torch
from torch import Tensor

from pretrain import augment
from pretrain.augment import ops
from pretrain.augment.compose import guided
from pretrain.augment.guide import Guide
from pretrain.augment.none import NoAugmentation
from pretrain.augment.pipelines import PIPELINES
from pretrain.batch import View
from pretrain.inputs import Inputs, generator, normalised

SETTINGS = ((64, 64), (32, 128))
"""Images of a batch, and pixels of their side: those of the CPU settings."""
REPEATS = 20
FREED = 2**22
"""Floats to free first: as from a training step's activations, the allocator learns to keep memory instead of returning it."""


def least(work: Callable[[], object], images: int) -> float:
    """Microseconds per image."""
    times = []
    for _ in range(REPEATS + 2):  # the first ones warm up
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return round(min(times) / images * 1e6, 1)


def operations(images: Tensor) -> dict[str, float]:
    """Each operation on all images of the batch."""
    n = len(images)
    draw = torch.rand(n, generator=generator(0, 0))
    own = images.clone()
    works: dict[str, Callable[[], object]] = {
        "brightness": lambda: ops.adjust_brightness_(own, 0.6 + 0.8 * draw),
        "contrast": lambda: ops.adjust_contrast_(own, 0.6 + 0.8 * draw),
        "saturation": lambda: ops.adjust_saturation_(own, 0.6 + 0.8 * draw),
        "hue": lambda: ops.adjust_hue_(own, 0.2 * draw - 0.1),
        "grey": lambda: ops.to_grey(images),
        "solarize": lambda: ops.solarize_(own),
        "blur": lambda: ops.gaussian_blur(images, 0.1 + 1.9 * draw, ops.reach_of(2.0)),
        "flip": lambda: ops.flip(images),
        "normalise": lambda: normalised(images),
    }
    return {name: least(work, n) for name, work in works.items()}


def augmentations(images: Tensor) -> dict[str, float]:
    """Each augmentation of the table, with its published settings, on all images of the batch."""
    maps = torch.rand(images[:, 0].shape, generator=generator(0, 0)) ** 8  # what a network may answer
    answers = {name: Guide(images, dict.fromkeys(augment.asked(name), maps)) for name in augment.AUGMENTATIONS}
    makes = {name: guided(augment.make(name), guide) for name, guide in answers.items()}
    return {name: least(lambda make=make: make(images, generator(0, 0)), len(images)) for name, make in makes.items()}


def pipelines(crops: Tensor) -> dict[str, float]:
    """Whole pipelines from uint8 crops to normalised views, per view."""
    side, n = crops.shape[-1], len(crops) * crops.shape[1]
    views = {name: tuple(View(name, each, side) for each in pair) for name, pair in PIPELINES.items()}
    makes = {name: Inputs(pair, NoAugmentation(), both=False) for name, pair in views.items()}
    return {name: least(lambda make=make: make.made(crops, generator(0, 0)), n) for name, make in makes.items()}


def main() -> None:
    """Both settings."""
    torch.set_num_threads(1)
    torch.zeros(FREED)
    result = {}
    for n, side in SETTINGS:
        pixels = torch.randint(0, 256, (2, n, side, side, 3), dtype=torch.uint8, generator=generator(0, 0))
        crops = pixels.permute(0, 1, 4, 2, 3)
        images = (crops[0].float() / 255).contiguous()
        result[f"{side} px, batch {n}"] = {
            "operations": operations(images),
            "pipelines": pipelines(crops),
            "augmentations": augmentations(images),
        }
    print(json.dumps({"torch": torch.__version__, "microseconds per image and view": result}, indent=2))


if __name__ == "__main__":
    main()
