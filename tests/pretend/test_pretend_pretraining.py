"""A step of every method and every augmentation on a device that isn't there: nothing is mixed, and nothing waits for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain import augment, methods
from pretrain.augment import fused
from pretrain.config import PretrainConfig
from pretrain.core.errors import TrainingError
from pretrain.images import encoded
from pretrain.images.imageset import read
from pretrain.inputs import crops
from pretrain.trainer import Trainer

TINY = {"arch": "resnet18", "size": 32, "batch": 8, "epochs": 4, "precision": "fp32"}
NARROW = {"hidden": 16, "feature_dim": 16, "outputs": 16, "bottleneck": 16, "prototypes": 16, "predictor": 16, "queue": 16}
CLASSES = 3
CUTS = {"pretrain/augment/puzzlemix.py PuzzleMix.seen: copied here"}
"""Puzzle Mix cuts graphs on the CPU by what the network sees: it has to read that back."""


def config(method: str, **given: Any) -> PretrainConfig:
    known = methods.get(method).model_fields
    narrow = {f"method.{name}": value for name, value in NARROW.items() if name in known and known[name].default}
    small = {(f"method.{name}" if name in known else name): value for name, value in methods.get(method).small.items()}
    return PretrainConfig.read({"method": method, "recipe.schedule.warmup_epochs": 0, **TINY, **small, **narrow, **given})


def batch(made: PretrainConfig) -> tuple[list[torch.Tensor], torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    crops = [torch.randint(0, 256, (8, 3, view.size, view.size), dtype=torch.uint8, generator=rng) for view in made.views()]
    return crops, torch.arange(8) % CLASSES if made.labels_used else torch.full((8,), -1)


def look(made: PretrainConfig, watch: Any) -> None:
    """Do two steps, of which the second one is watched: the first fills caches."""
    trainer = Trainer(made, 16, CLASSES, "meta")
    for step in range(2):
        watch.forget()
        trainer.step(step, *batch(made))
    assert watch.mixes == {}
    assert watch.copies > 0  # else nothing was watched


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_step_of_every_method(method: str, watch: Any) -> None:
    look(config(method), watch)
    assert watch.waits == {}


@pytest.mark.parametrize("aug", [*augment.AUGMENTATIONS, "cutmix+cutout"])
def test_a_step_of_every_augmentation(aug: str, watch: Any) -> None:
    look(config("supervised" if aug == "snapmix" else "mocov2", aug=aug), watch)
    assert watch.waits.keys() <= (CUTS if "puzzlemix" in aug else set())


OTHERS: dict[str, dict[str, Any]] = {
    "a blend on both views": {"aug": "cutmix", "aug_views": "both"},
    "noise on both views": {"aug": "random-erasing", "aug_views": "both", "aug_options": {"fill": "noise"}},
    "un-mix": {"aug": "mixup", "mixed_target": "un-mix"},
    "labels": {"supervision": "semi"},
    "labels, the mean of positives": {"supervision": "semi", "label_mode": "mean-positives"},
    "labels, negatives dropped": {"supervision": "semi", "label_mode": "drop-negatives"},
    "batch statistics of parts": {"bn_splits": 2},
    "a queue that is filled first": {"fill_queue": True},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_step_of_other_settings(name: str, watch: Any) -> None:
    look(config("mocov2", **OTHERS[name]), watch)
    assert watch.waits == {}


def test_a_step_with_small_crops_and_a_queue_of_embeddings(watch: Any) -> None:
    small = {"local_views": 2, "method.queue": 8, "queue_epoch": 0}
    look(config("swav", **small), watch)
    assert watch.waits == {}


def test_a_step_of_fused_views(watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "compiled", lambda function: function)
    look(config("mocov2", fused_views=True), watch)
    assert watch.waits == {}


def test_a_step_whose_images_are_decoded_there(watch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, rng = config("mocov2", decode="gpu"), np.random.default_rng(0)
    (tmp_path / "train" / "ant").mkdir(parents=True)
    for index in range(8):
        pixels = rng.integers(0, 256, (40 + index, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "train" / "ant" / f"{index}.{'jpg' if index % 4 else 'png'}")
    decoded: list[int] = []

    def decode(files: list[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
        decoded.append(len(files))
        return [torch.ops.image.decode_jpeg(each, 3, False).to(device, non_blocking=True) for each in files]

    monkeypatch.setattr(encoded, "decoder", lambda: decode)
    images = read(tmp_path, "train")
    views, labels, _ = crops(made, images, images.labels, encoded=True).__getitems__([(0, index) for index in range(8)])
    trainer = Trainer(made, 16, CLASSES, "meta")
    for step in range(2):
        watch.forget()
        trainer.step(step, views, labels)
    assert decoded == [6, 6]
    assert watch.mixes == {}
    assert watch.waits == {}


def test_a_loss_that_is_not_finite_is_found_before_anything_is_saved(watch: Any, tmp_path: Path) -> None:
    made = config("simsiam")
    trainer = Trainer(made, 16, CLASSES, "meta")
    trainer.step(0, *batch(made))
    with torch.no_grad():
        next(trainer.learner.parameters()).fill_(torch.nan)
    for step in (1, 2):
        trainer.step(step, *batch(made))
    with pytest.raises(TrainingError, match="the loss is nan at step 1"):
        trainer.save(tmp_path / "last.pth", 3, [])
    assert not list(tmp_path.iterdir())
