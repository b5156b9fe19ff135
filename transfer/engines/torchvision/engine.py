"""Detection by our re-implementation of Detectron2's recipe, which needs nothing but torch and torchvision."""

import copy
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor

from pretrain.core import distributed
from pretrain.core.errors import EngineError
from pretrain.core.journal import duration
from pretrain.images.normalise import PIXEL_MEAN, PIXEL_STD
from transfer import prove
from transfer.datasets.detection import DetectionData, Picture
from transfer.detection.average_precision import bn_note, measure
from transfer.detection.predictions import write_predictions
from transfer.engines import Job, Outcome
from transfer.engines.torchvision.c4 import C4
from transfer.engines.torchvision.data import ORDER, SAMPLING, as_tensor, read_image, torch_random
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.evaluate import find
from transfer.engines.torchvision.fpn import FPN
from transfer.engines.torchvision.train import CHECKPOINT, Fit, samples, set_statistics, synchronised, train
from transfer.tasks.detection import DetectionSettings

FAMILIES: dict[str, Callable[[str, int, DetectionSettings], Detector]] = {"c4": C4, "fpn": FPN}
"""`DetectionSettings.family` → a detector from architecture, number of classes and settings."""
BACKBONE = ("body.", "res5.")
"""What a detector calls the backbone."""
BACKWARD_COST = 2.0
"""A training image costs this many forward passes more than a test image with as many regions."""
NATIVE_CONFIG = "torchvision_config.yaml"
ENGINE_NOTE = "torchvision re-implementation of Detectron2's recipe, tested equal to it"


def fit(job: Job) -> Outcome:
    """Load the backbone with proof, fine-tune, evaluate, and draw some predictions.

    Goes on from `last.pth` in `job.folder`, if there is one; leaves `torchvision_config.yaml` and `predictions.png` there.

    Raises:
        EngineError: If the settings are not a detector's.
        ProofError: If the model is not the backbone.
        TrainingError: If the loss is not finite.
        DataError: If an image can't be read.
    """
    settings = job.settings
    if not isinstance(settings, DetectionSettings):
        raise EngineError(f"the engine 'torchvision' can't run {job.task.name!r}", allowed="detection tasks")
    data: DetectionData = job.data
    model = build(job, settings, len(data.classes))
    proof = proven(model, job)
    if distributed.rank() == 0:
        write_config(job, settings, data)
    run = Fit(data.train, settings, job.seed, job.folder, job.identity, job.journal)
    if job.announce_time and distributed.rank() == 0:
        job.journal.say(estimate(model, run, len(data.val)))
    model = synchronised(model)
    train(model, run)
    set_statistics(model, run)
    found = find(model, data.val, settings, job.journal)
    if distributed.rank():
        return Outcome({}, proof)
    metrics, notes = measure(found, data, settings)
    write_predictions(job.folder / "predictions.png", data, found)
    said = (ENGINE_NOTE, bn_note(job.device != "cpu"), *data.notes, *notes)
    return Outcome(metrics, proof, said, spent=(job.folder / CHECKPOINT,))


def build(job: Job, settings: DetectionSettings, classes: int) -> Detector:
    """The detector with the backbone; its new layers are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = FAMILIES[settings.family](job.backbone.arch, classes, settings)
    model.load_backbone(job.backbone.state)
    return model


def proven(model: Detector, job: Job) -> dict[str, float]:
    """Prove the model on the CPU, where equal means equal to the last bit, then move it to the device."""
    model.eval()
    prove.prove_input(partial(prepared, model))
    heads = [key for key in model.state_dict() if not key.startswith(BACKBONE)]
    expected = prove.reference(job.backbone)
    proof = prove.prove(job.backbone, model.backbone_state(), model.backbone_features, expected, new=heads)
    model.to(torch.device(job.device))
    return proof


def prepared(model: Detector, path: Path) -> Tensor:
    """A picture as the detector sees it."""
    with Image.open(path) as file:
        size = file.size
    boxes, labels, no = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    picture = Picture(path, "probe", *size, boxes=boxes, labels=labels, difficult=no, crowd=no, masks=None)
    return model.batch([as_tensor(np.asarray(read_image(picture)))])[0][0]


def write_config(job: Job, settings: DetectionSettings, data: DetectionData) -> None:
    """Write what the engine ran: with the backbone and the data, all it takes to build and train the same detector."""
    plain = {
        "engine": "torchvision",
        "detector": FAMILIES[settings.family].__module__,
        "arch": job.backbone.arch,
        "backbone": job.backbone.sha256,
        "input": {"order": "RGB", "mean": list(PIXEL_MEAN), "std": list(PIXEL_STD)},
        "seed": job.seed,
        "data": data.ref.model_dump(mode="json"),
        "classes": list(data.classes),
        "settings": settings.model_dump(mode="json"),
    }
    (job.folder / NATIVE_CONFIG).write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), encoding="utf-8")


def estimate(model: Detector, run: Fit, images: int) -> str:
    """The time a run will take, from one training step on one image."""
    settings = run.settings
    trial = copy.deepcopy(model).train()
    sample = next(samples(run, ORDER))[0].to(trial.device)
    seconds = 0.0
    for _ in range(2):  # the first pass allocates, and doesn't count
        start = time.monotonic()
        losses = trial.losses([sample, sample], torch_random(run.seed, SAMPLING, 0))
        torch.stack(list(losses.values())).sum().backward()
        if sample.image.is_cuda:
            torch.cuda.synchronize()
        seconds = (time.monotonic() - start) / 2
    forward = seconds / (1 + BACKWARD_COST)
    regions = settings.post_nms_test / settings.rois
    alone = seconds * settings.batch * settings.iters + forward * (
        settings.batch * settings.precise_bn + images * max(regions, 1)
    )
    total = alone / distributed.world()
    return f"estimated time: {duration(total)} ({settings.schedule()}; then {images} validation images)"
