"""What the proof catches in the torchvision and the Detectron2 engine; MMSegmentation's cases are beside its engine's tests."""

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pretrain.core.errors import ProofError
from pretrain.core.journal import Journal
from transfer import sources, tasks
from transfer.datasets import voc
from transfer.engines import Job
from transfer.engines.detectron2 import config
from transfer.engines.torchvision import engine
from transfer.engines.torchvision.detector import Detector
from transfer.tasks.detection import DetectionSettings

Tiny = Callable[..., DetectionSettings]
Lay = Callable[..., Path]
detectron2_only = [
    pytest.mark.detectron2,
    pytest.mark.filterwarnings("ignore:torch.meshgrid"),
    pytest.mark.skipif(not importlib.util.find_spec("detectron2"), reason="Detectron2 is not installed"),
]


def job(task: str, settings: DetectionSettings, data: Any, folder: Path) -> Job:
    given, rng = sources.load("random:resnet50:1"), torch.Generator().manual_seed(0)
    state = {key: torch.rand(value.shape, generator=rng) if value.dim() == 1 else value for key, value in given.state.items()}
    backbone = dataclasses.replace(given, state=state)  # with norms that differ from each other
    return Job(tasks.get(task), settings, backbone, data, folder, 0, "cpu", Journal())


def swap_norms(model: Detector) -> None:
    block = model.body.layer2[0]
    block.bn1, block.bn2 = block.bn2, block.bn1


def stride_in_the_1x1(model: Detector) -> None:
    block = model.body.layer2[0]
    block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)


def three_convolutions(model: Detector) -> None:
    widths = [(3, 32, 2), (32, 32, 1), (32, 64, 1)]
    stem = [torch.nn.Conv2d(before, after, 3, stride, 1, bias=False) for before, after, stride in widths]
    model.body.conv1 = torch.nn.Sequential(*stem)


def take_bgr(model: Detector) -> None:
    model.pixel_mean, model.pixel_std = model.pixel_mean.flip(0), model.pixel_std.flip(0)


WRONG: dict[str, tuple[Callable[[Detector], None], str]] = {
    "two norms swapped": (swap_norms, "fatal: 8 different: layer2.0.bn1.bias, layer2.0.bn1.running_mean, "),
    "stride in the 1x1": (stride_in_the_1x1, r"largest absolute differences: layer1 0, layer2 \S*[1-9]"),
    "ResNetV1c": (three_convolutions, "1 not loaded: conv1.weight; 3 not in the checkpoint: conv1.0.weight"),
    "BGR": (take_bgr, "sees other pixels"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("task", ["voc07", "coco-fpn"])
def test_a_wrong_torchvision_detector_is_refused_with_the_grouped_list(
    case: str, task: str, tiny_detection: Tiny, lay_voc: Lay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, words = WRONG[case]
    build = engine.Torchvision.build

    def spoiled(self: engine.Torchvision) -> None:
        build(self)
        spoil(self.model)

    monkeypatch.setattr(engine.Torchvision, "build", spoiled)
    with pytest.raises(ProofError, match=words) as stopped:
        engine.Torchvision.fit(job(task, tiny_detection(task), voc.read(lay_voc()), tmp_path))
    if case != "BGR":
        assert "expected-new: " in str(stopped.value)
        assert "rpn" in str(stopped.value)


NATIVE = {
    "BGR": ({"INPUT.FORMAT": "BGR"}, "the order BGR"),
    "another mean": ({"MODEL.PIXEL_MEAN": [0.0, 0.0, 0.0]}, "the order RGB; largest"),
    "another stem": ({"MODEL.RESNETS.STEM_OUT_CHANNELS": 32}, r"fatal: \d+ different: (.|\n)*expected-new: (.|\n)*dropped: 0"),
}


@pytest.mark.parametrize("case", [pytest.param(name, marks=detectron2_only) for name in NATIVE])
def test_a_wrong_detectron2_setting_is_refused(
    case: str, tiny_detection: Tiny, lay_voc: Lay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfer.engines.detectron2 import engine

    changes, words = NATIVE[case]
    native_config = config.native_config
    monkeypatch.setattr(engine, "native_config", lambda *args, **named: native_config(*args, **named) | changes)
    with pytest.raises(ProofError, match=words):
        engine.Detectron2.fit(job("voc07", tiny_detection(), voc.read(lay_voc()), tmp_path))
