"""A run that diverges in its last steps, after the last loss was fine, is an error, or has a remark; on 16-pixel images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain.config import PretrainConfig
from pretrain.core.errors import TrainingError
from pretrain.core.journal import Journal
from pretrain.diverged import EXPLODED, require_finite
from pretrain.images.imageset import ImageSet, read
from pretrain.train import BACKBONE, Trained, train, training_set

TINY = {"arch": "resnet18", "size": 16, "epochs": 1, "batch": 4, "queue": 8, "num_workers": 0, "schedule.warmup_epochs": 0}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    (root / "train" / "ant").mkdir(parents=True)
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(root / "train" / "ant" / f"{i}.png")
    return read(root, "train")


def run(images: ImageSet, folder: Path, **fields: object) -> Trained:
    config = PretrainConfig.read({**TINY, "precision": "fp32", **fields})
    return train(config, training_set(config, images), folder, Journal(folder), name="noise")


def test_a_run_whose_losses_are_fine_and_whose_backbone_is_not_writes_no_backbone(images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not finite after the last step") as error:
        run(images, tmp_path, base_lr=1e30, batch=8)
    logged = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in logged if "loss" in row][-1] is not None
    assert "lower base_lr" in str(error.value)
    assert not (tmp_path / BACKBONE).exists()


def test_features_out_of_all_proportion_are_said(images: ImageSet, tmp_path: Path) -> None:
    trained = run(images, tmp_path, base_lr=1e4)
    assert trained.backbone.is_file()
    assert "the training diverged" in trained.diverged
    scale = float(trained.diverged.partition("root mean square of ")[2].partition(";")[0])
    assert scale > EXPLODED
    assert trained.diverged in (tmp_path / "log.txt").read_text()


def test_of_a_sound_run_nothing_is_said(images: ImageSet, tmp_path: Path) -> None:
    assert run(images, tmp_path).diverged == ""


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_first_broken_tensor_is_named(value: float) -> None:
    state = {"a": torch.zeros(2), "steps": torch.tensor(3), "b": torch.tensor([1.0, value])}
    with pytest.raises(TrainingError, match="1 of 3 tensors, the first is b"):
        require_finite(state, "the weights", "do")
