"""The schedule, the optimiser, and resuming after an interruption."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from pretrain.core.errors import CheckpointError, TrainingError
from pretrain.core.journal import Journal
from transfer.datasets import coco
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.engine import FAMILIES
from transfer.engines.torchvision.train import Fit, begin, learning_rate, make_optimizer
from transfer.engines.torchvision.train import train as train_from
from transfer.tasks.detection import DetectionSettings

Tiny = Callable[..., DetectionSettings]
Lay = Callable[..., Path]


class InterruptionError(Exception):
    """What a test stops a training with."""


def train(detector: Detector, run: Fit) -> None:
    """Resume, or begin, and train."""
    train_from(detector, run, *begin(detector, run))


def model(settings: DetectionSettings) -> Detector:
    torch.manual_seed(0)
    return FAMILIES[settings.family]("resnet18", 3, settings)


def make_run(root: Path, settings: DetectionSettings, folder: Path, journal: Journal | None = None, identity: str = "a") -> Fit:
    folder.mkdir(exist_ok=True)
    return Fit(coco.read(root).train, settings, 0, folder, identity, journal or Journal())


def test_the_learning_rate_warms_up_and_decays(tiny_detection: Tiny) -> None:
    settings = tiny_detection(iters=20, warmup=4, steps=(10, 15), lr=0.1, warmup_factor=0.001)
    rates = [learning_rate(settings, step) for step in range(20)]
    assert rates[:5] == pytest.approx([0.0001, 0.025075, 0.05005, 0.075025, 0.1])
    assert rates[9:] == pytest.approx([0.1] + [0.01] * 5 + [0.001] * 5)


def test_norm_parameters_have_no_weight_decay_and_nothing_is_frozen(tiny_detection: Tiny) -> None:
    detector = model(tiny_detection())
    optimizer = make_optimizer(detector, tiny_detection())
    decay = {id(parameter): group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    norms = {id(p) for module in detector.modules() if isinstance(module, nn.BatchNorm2d) for p in module.parameters()}
    assert decay.keys() == {id(parameter) for parameter in detector.parameters()}
    assert all(decay[key] == (0.0 if key in norms else 1e-4) for key in decay)
    assert all(parameter.requires_grad for parameter in detector.parameters())


@pytest.mark.parametrize("task", ["coco-c4", "coco-fpn"])
def test_a_resumed_training_ends_bit_identical(tiny_detection: Tiny, lay_coco: Lay, tmp_path: Path, task: str) -> None:
    root, settings = lay_coco(), tiny_detection(task, iters=3, checkpoint_seconds=0)
    whole = model(settings)
    train(whole, make_run(root, tiny_detection(task, iters=3), tmp_path / "whole"))

    def stop(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if done == 2:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        train(model(settings), make_run(root, settings, tmp_path / "parts", Journal(progress=stop)))
    resumed = model(settings)
    train(resumed, make_run(root, settings, tmp_path / "parts"))
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_the_checkpoint_of_another_run_or_a_broken_one_is_refused(tiny_detection: Tiny, lay_coco: Lay, tmp_path: Path) -> None:
    root, settings = lay_coco(), tiny_detection("coco-c4", iters=1, checkpoint_seconds=0)
    train(model(settings), make_run(root, settings, tmp_path / "run"))
    with pytest.raises(CheckpointError, match="another run"):
        train(model(settings), make_run(root, settings, tmp_path / "run", identity="b"))
    (tmp_path / "run/last.pth").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="can't resume"):
        train(model(settings), make_run(root, settings, tmp_path / "run"))


def test_a_loss_that_is_not_finite_stops_and_names_iteration_and_terms(
    tiny_detection: Tiny, lay_coco: Lay, tmp_path: Path
) -> None:
    settings = tiny_detection("coco-c4")
    detector = model(settings)
    nn.init.constant_(detector.box.scores.weight, float("inf"))
    with pytest.raises(TrainingError, match="not finite at iteration 1") as caught:
        train(detector, make_run(lay_coco(), settings, tmp_path / "run"))
    assert "cls nan" in str(caught.value)
    assert "rpn_loc" in str(caught.value)
