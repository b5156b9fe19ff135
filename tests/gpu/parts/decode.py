"""JPEGs that the GPU decodes and crops become the loader workers' crops; in a rehearsal libjpeg stands for its decoder."""

import math
import statistics
import time

import torch
from torch import Tensor

from parts import Check, finish, trainer
from parts.speed import pictures
from pretrain import trainer as training
from pretrain.images import encoded
from pretrain.images.imageset import read
from pretrain.images.loading import Crops
from pretrain.inputs import crops

NEAR = 3.0
"""Of 255, in the mean: decoders differ in how they enlarge the colours."""
REPEATS = 5


def check(check: Check) -> None:
    """Crops are near those of the CPU; a step takes them; how many images a second are decoded and cropped."""
    if not check.gpu:
        encoded.decoder = lambda: _on_the_cpu  # type: ignore[assignment]
        training.require_decoder = lambda device: None  # type: ignore[assignment]
    count, size, side = (256, 224, 500) if check.gpu else (16, 32, 64)
    pictures(check.folder / "train", side, count)
    images, positions = read(check.folder, "train"), [(0, index) for index in range(count)]
    run = trainer(check.device, size=size, batch=count, decode="gpu", reduced_decode=False)
    left = crops(run.config, images, images.labels, encoded=True).__getitems__(positions)
    made = encoded.on_device(left[0], check.device)
    plain: Crops = crops(run.config, images, images.labels)
    differences = [
        float((ours.cpu().float() - theirs.float()).abs().mean())
        for ours, theirs in zip(made, plain.__getitems__(positions)[0], strict=True)
    ]
    check.close("mean difference of 255", max(differences), NEAR)
    loss = float(run.step(0, left[0], left[1].fill_(-1))[0])
    check.require(math.isfinite(loss), f"the loss is {loss}")
    times = []
    for _ in range(REPEATS):
        began = finish(check.device)
        encoded.on_device(left[0], check.device)
        times.append(count / (finish(check.device) - began))
    began = time.perf_counter()
    plain.__getitems__(positions)
    one_core = count / (time.perf_counter() - began)
    check.values["img_s"] = {"decoded there": round(statistics.median(times)), "one core": round(one_core)}


def _on_the_cpu(files: list[Tensor], device: torch.device) -> list[Tensor]:
    return [torch.ops.image.decode_jpeg(each, 3, False) for each in files]
