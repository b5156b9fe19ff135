"""Detection by this project's own implementation of Detectron2's recipe, which needs nothing but torch and torchvision."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from pretrain.core import distributed
from transfer import prove
from transfer.datasets.objects import Picture, read_image
from transfer.detection.found import Found
from transfer.engines import estimate
from transfer.engines.detection import DetectionEngine
from transfer.engines.driver import Resumed
from transfer.engines.estimate import Step, Work
from transfer.engines.job import Job
from transfer.engines.torchvision.c4 import C4
from transfer.engines.torchvision.data import ORDER, SAMPLING, as_tensor, torch_random
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.evaluate import find
from transfer.engines.torchvision.fpn import FPN
from transfer.engines.torchvision.train import CHECKPOINT, Fit, begin, samples, set_statistics, synchronised, train
from transfer.sources.recipe import Recipe
from transfer.tasks.detection import DetectionSettings

FAMILIES: dict[str, Callable[[str, int, DetectionSettings, Recipe], Detector]] = {"c4": C4, "fpn": FPN}
"""`DetectionSettings.family` → a detector from architecture, number of classes, settings and the backbone's recipe."""
BACKBONE = ("body.", "res5.")
"""Beginnings of the backbone's names in a detector."""
NATIVE_CONFIG = "torchvision_config.yaml"
ENGINE_NOTE = "torchvision re-implementation of Detectron2's recipe, tested equal to it"


class Torchvision(DetectionEngine):
    """A job on this engine; in its folder it leaves `torchvision_config.yaml`, `predictions.png` and `last.pth`."""

    NAME = "torchvision"

    def __init__(self, job: Job) -> None:
        """See `Engine`."""
        super().__init__(job)
        self.training = Fit(self.data.train, self.settings, job.seed, job.folder, job.identity, job.journal)

    def build(self) -> None:
        """Build the detector on the CPU, and write the configuration."""
        self.model = detector(self.job, self.settings, len(self.data.classes))
        if distributed.rank() == 0:
            self._write_config()

    def _write_config(self) -> None:
        """Write, beside the backbone and the data, all it takes to build and train the same detector."""
        job, settings = self.job, self.settings
        plain = {
            "engine": self.NAME,
            "detector": FAMILIES[settings.family].__module__,
            "arch": job.backbone.arch,
            "backbone": job.backbone.sha256,
            **_input(job.backbone.recipe),
            "seed": job.seed,
            "data": self.data.ref.model_dump(mode="json"),
            "classes": list(self.data.classes),
            "settings": settings.model_dump(mode="json"),
        }
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
        (job.folder / NATIVE_CONFIG).write_text(text, encoding="utf-8")

    def prepared(self, path: Path) -> Tensor:
        """See `Engine`."""
        with Image.open(path) as file:
            size = file.size
        boxes, labels, no = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
        picture = Picture(path, "probe", *size, boxes=boxes, labels=labels, difficult=no, crowd=no, masks=None)
        return self.model.batch([as_tensor(np.asarray(read_image(picture)))])[0][0]

    @property
    def network(self) -> nn.Module:
        """See `Engine`."""
        return self.model

    def prove(self) -> dict[str, float]:
        """Prove the model on the CPU, where equal means equal to the last bit, then move it to the device."""
        model, backbone = self.model.eval(), self.job.backbone
        heads = [key for key in model.state_dict() if not key.startswith(BACKBONE)]
        proof = prove.prove(backbone, model.backbone_state(), model.backbone_features, prove.reference(backbone), new=heads)
        model.to(torch.device(self.job.device))
        return proof

    def step(self) -> Step:
        """Prepare a training step on one image, taken twice, so that BN has something to normalise; on a GPU, on a batch."""
        trial = copy.deepcopy(self.model).train()
        batch = next(samples(self.training, ORDER))
        count = estimate.together(self.job.device, self.settings.batch, 2)
        batch = [sample.to(trial.device) for sample in ([batch[0]] * count if count == 2 else batch)]

        def step() -> Work:
            losses = trial.losses(batch, torch_random(self.training.seed, SAMPLING, 0))
            torch.stack(list(losses.values())).sum().backward()
            return Work(trained=len(batch))

        return Step(trial, step)

    def resume(self) -> Resumed:
        """Load model and optimiser from `last.pth`, if it is there."""
        self.model = synchronised(self.model)
        self.optimizer, self.start = begin(self.model, self.training)
        return Resumed(self.start, self.settings.iters, stages={"train": self.start})

    def train(self) -> None:
        """Train, and set the statistics of BN anew."""
        train(self.model, self.training, self.optimizer, self.start)
        set_statistics(self.model, self.training)

    def evaluate(self) -> None:
        """Detect in the validation images."""
        self._found = find(self.model, self.data.val, self.settings, self.job.journal)

    def found(self) -> Sequence[Found]:
        """See `DetectionEngine`."""
        return self._found

    def about(self) -> str:
        """See `DetectionEngine`."""
        return ENGINE_NOTE

    @property
    def synchronised(self) -> bool:
        """See `DetectionEngine`; torch synchronises BN on GPUs alone."""
        return self.job.device != "cpu"

    def spent(self) -> tuple[Path, ...]:
        """See `Engine`."""
        return (self.job.folder / CHECKPOINT,)


def _input(recipe: Recipe) -> dict[str, Any]:
    """Say what the backbone sees, of pixels of 0 to 255; and where it is another network than torchvision's, in what."""
    seen = recipe.seen
    network = {name: value for name, value in recipe.differences().items() if name in ("stride", "eps")}
    return {"input": {"order": seen.order, "mean": list(seen.pixel_mean), "std": list(seen.pixel_std)}, **network}


def detector(job: Job, settings: DetectionSettings, classes: int) -> Detector:
    """Build the detector with the backbone in it; its new layers are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = FAMILIES[settings.family](job.backbone.arch, classes, settings, job.backbone.recipe)
    model.load_backbone(job.backbone.state)
    return model
