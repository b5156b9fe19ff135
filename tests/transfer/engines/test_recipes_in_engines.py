"""Every engine and probe builds the network that a backbone's recipe declares, and shows it pictures as that says."""

import dataclasses
import importlib.util
import runpy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from pretrain.core.errors import ProofError
from pretrain.core.journal import Journal
from pretrain.inputs import denormalised
from transfer import engines, sources, tasks
from transfer.datasets import cityscapes, coco, voc
from transfer.engines import Job
from transfer.engines.probe import engine
from transfer.engines.probe.engine import Probe
from transfer.engines.torchvision.engine import Torchvision
from transfer.representation import measure
from transfer.representation.measure import MeasureSettings
from transfer.sources.recipe import USUAL
from transfer.tasks.detection import DetectionSettings

Tiny = Callable[..., DetectionSettings]
Lay = Callable[..., Path]
TOLD = {"order": "BGR", "mean": [103.53, 116.28, 123.675], "std": 1.0, "stride": "1x1", "eps": 1e-3}
"""Caffe's input and strides, TensorFlow's eps: all that can be told."""
needs_detectron2 = [
    pytest.mark.detectron2,
    pytest.mark.filterwarnings("ignore:torch.meshgrid"),
    pytest.mark.skipif(not importlib.util.find_spec("detectron2"), reason="Detectron2 is not installed"),
]
needs_mmseg = pytest.mark.skipif(not importlib.util.find_spec("mmseg"), reason="MMSegmentation is not installed")


def unusual(arch: str = "resnet50") -> sources.Backbone:
    told = {name: value for name, value in TOLD.items() if arch == "resnet50" or name != "stride"}
    given, rng = sources.load(f"random:{arch}:1", recipe=told), torch.Generator().manual_seed(0)
    state = {key: torch.rand(value.shape, generator=rng) if value.dim() == 1 else value for key, value in given.state.items()}
    return dataclasses.replace(given, state=state)


def as_told(pixels: Tensor) -> Tensor:
    """RGB of 0 to 1, (..., 3, H, W) → what the network sees."""
    return 255 * pixels.flip(-3) - torch.tensor(TOLD["mean"]).view(3, 1, 1)


@pytest.fixture
def data(lay_voc: Lay, lay_coco: Lay, tmp_path: Path) -> Callable[[str], Any]:
    @cache
    def read(task: str) -> Any:
        if task == "coco-fpn":
            return coco.read(lay_coco()).limited(1)
        if task == "cityscapes":
            scenes = runpy.run_path(str(Path(__file__).parents[1] / "tiny_scenes.py"))
            return cityscapes.read(scenes["lay"](tmp_path / "scenes"))
        return voc.read(lay_voc()).limited(1)

    return read


CASES = [
    pytest.param("torchvision", "voc07"),
    pytest.param("torchvision", "coco-fpn"),
    pytest.param("detectron2", "voc07", marks=needs_detectron2),
    pytest.param("detectron2", "coco-fpn", marks=needs_detectron2),
    pytest.param("mmseg", "cityscapes", marks=needs_mmseg),
]


def job(task: str, backbone: sources.Backbone, tiny: Tiny, read: Callable[[str], Any], folder: Path) -> Job:
    declared = tasks.get(task)
    quick = {"iters": 0, "batch": 2, "crop": 64, "head_dilation": 1, "num_workers": 0}
    settings = declared.settings.replace(quick) if task == "cityscapes" else tiny(task, iters=0, precise_bn=0, max_val_images=1)
    folder.mkdir()
    return Job(declared, settings, backbone, read(task), folder, 0, "cpu", Journal(folder))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_an_engine_is_proven_to_be_the_declared_network_and_to_see_what_it_says(
    name: str, task: str, tiny_detection: Tiny, data: Any, tmp_path: Path
) -> None:
    base, seen = engines.get(name), {}
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")

    class Watched(base):  # type: ignore[valid-type,misc]
        def prove(self) -> dict[str, float]:
            seen["picture"] = self.prepared(tmp_path / "picture.png").cpu()
            return super().prove()  # type: ignore[no-any-return]

    outcome = Watched.fit(job(task, unusual(), tiny_detection, data, tmp_path / "run"))
    assert outcome.proof == {"tensors": 318.0, "max_feature_difference": 0.0}
    wanted = as_told(torch.from_numpy(pixels).permute(2, 0, 1) / 255)
    torch.testing.assert_close(seen["picture"], wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_an_engine_that_takes_the_usual_network_in_its_place_is_stopped(
    name: str, task: str, tiny_detection: Tiny, data: Any, tmp_path: Path
) -> None:
    base, backbone = engines.get(name), unusual()
    usual = dataclasses.replace(backbone, recipe=USUAL)

    class Deaf(base):  # type: ignore[valid-type,misc]
        def build(self) -> None:
            self.job = dataclasses.replace(self.job, backbone=usual)
            super().build()
            self.job = dataclasses.replace(self.job, backbone=backbone)

    with pytest.raises(ProofError, match=r"sees other pixels(.|\n)*BGR"):
        Deaf.fit(job(task, backbone, tiny_detection, data, tmp_path / "run"))
    told = dataclasses.replace(backbone, recipe=dataclasses.replace(USUAL, variant=backbone.recipe.variant))

    class DeafToStrides(Deaf):
        def build(self) -> None:
            super().build()
            self.job = dataclasses.replace(self.job, backbone=told)

    with pytest.raises(ProofError, match="other features"):
        DeafToStrides.fit(job(task, told, tiny_detection, data, tmp_path / "again"))


def test_torchvision_s_own_configuration_says_what_is_unusual(tiny_detection: Tiny, data: Any, tmp_path: Path) -> None:
    Torchvision.fit(job("voc07", unusual(), tiny_detection, data, tmp_path / "run"))
    written = yaml.safe_load((tmp_path / "run/torchvision_config.yaml").read_text())
    assert written["input"] == {"order": "BGR", "mean": TOLD["mean"], "std": [1.0, 1.0, 1.0]}
    assert (written["stride"], written["eps"]) == ("1x1", 1e-3)


class Watcher(nn.Module):
    """Keeps what it sees, and makes features of it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, pictures: Tensor) -> Tensor:
        self.seen.append(pictures.detach().clone())
        return nn.functional.adaptive_avg_pool2d(pictures, 3).flatten(1)


def probed(task: str, given: Job, backbone: sources.Backbone) -> None:
    if task != "measure":
        Probe.fit(dataclasses.replace(given, backbone=backbone, folder=given.folder))
        return
    settings = MeasureSettings().replace({"size": 32, "images": 12, "batch": 4, "views": 2})
    measure.measure(backbone, given.data.val, settings, Journal(), seed=0, device="cpu", reference=backbone)


@pytest.mark.parametrize("task", ["linear", "linear-cached", "knn", "measure"])
def test_a_probe_sees_all_pictures_as_the_recipe_says(
    task: str, probe_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = sources.load("random:resnet18", recipe={name: TOLD[name] for name in ("order", "mean", "std")})
    seen = []
    for name, backbone in (("usual", dataclasses.replace(told, recipe=USUAL)), ("told", told)):
        watcher = Watcher()
        for module in (engine, measure):
            monkeypatch.setattr(module, "extractor", lambda *_, watcher=watcher: (watcher, {}))
        probed(task, probe_job("knn" if task == "measure" else task, folder=name), backbone)
        seen.append(torch.cat(watcher.seen))
    assert len(seen[0]) > 10
    torch.testing.assert_close(seen[1], as_told(denormalised(seen[0])), rtol=1e-3, atol=1e-2)
