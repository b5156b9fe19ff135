"""A new architecture is one file and one entry of the table: it is then built, saved, loaded, proven, audited and measured."""

import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pretrain import backbones
from pretrain.backbones import BACKBONES, Architecture
from pretrain.checkpoint import save_backbone
from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from pretrain.provenance import Provenance
from transfer import convert, engines, norms, sources, tasks
from transfer.datasets import imagefolder
from transfer.engines import Job
from transfer.representation.measure import MeasureSettings, measure


class Net(nn.Module):
    """Two convolutions, a norm, the mean over pixels and a classifier."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.low = nn.Conv2d(3, 12, 4, stride=4)
        self.high = nn.Conv2d(12, 24, 2, stride=2)
        self.scale = nn.BatchNorm2d(24)
        self.last = nn.Linear(24, outputs)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.last(self.scale(self.high(self.low(images).relu())).mean(dim=(2, 3)))
        return features


@dataclass(frozen=True)
class Stub(Architecture):
    """The declaration."""

    family: ClassVar[str] = "stub"
    head: ClassVar[str] = "last"
    parts: ClassVar[frozenset[str]] = frozenset({"low", "high", "scale"})
    names: ClassVar[re.Pattern[str]] = re.compile(r"(low|high|scale)\.\w+")
    first: ClassVar[str] = "low.weight"
    features: ClassVar[str] = "the mean over the last map"
    multiple: ClassVar[int] = 8

    name: str = "stub"
    width: int = 24
    map_names: tuple[str, ...] = ("low", "high")

    def classifier(self, outputs: int, stem: str, size: int) -> nn.Module:
        return Net(outputs)

    def maps(self, trunk: nn.Module, images: Tensor) -> list[Tensor]:
        low = trunk.get_submodule("low")(images)
        return [low, trunk.get_submodule("high")(low.relu())]

    def fresh_norm(self, name: str, shape: tuple[int, ...]) -> float | None:
        return math.sqrt(shape[0] / 3) if len(shape) == 4 else None


@pytest.fixture(autouse=True)
def entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one file and the one entry."""
    module = ModuleType("pretrain.backbones.stub")
    module.STUB = Stub()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(BACKBONES, "stub", "stub:STUB")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    trunk, _ = backbones.get("stub").build(4)
    save_backbone(tmp_path / "backbone.pth", trunk.state_dict(), Provenance(method="mocov2", arch="stub"))
    return tmp_path / "backbone.pth"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image folder of two classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 6)):
        for cls in ("ant", "bee"):
            (tmp_path / split / cls).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
                Image.fromarray(pixels).resize((40, 40)).save(tmp_path / split / cls / f"{i:02}.png")
    return tmp_path


def test_it_is_built_saved_loaded_and_audited(saved: Path) -> None:
    backbone = sources.load(str(saved))
    assert (backbone.arch, backbone.source, len(backbone.state)) == ("stub", "bench", 9)
    assert backbone.network()(torch.zeros(2, 3, 16, 16)).shape == (2, 24)
    assert norms.norm_ratio(backbone.state, "stub") == pytest.approx(1, abs=0.1)
    assert norms.warning(backbone.state, "stub") is None
    assert sources.load("random:stub:0").arch == "stub"


def test_it_is_measured(saved: Path, root: Path) -> None:
    settings = MeasureSettings.read({"views": 2, "size": 32, "batch": 4})
    backbone = sources.load(str(saved))
    found = measure(backbone, imagefolder.read(root).val, settings, Journal(), seed=0, device="cpu")[0]
    assert found.proof == {"tensors": 9.0, "max_feature_difference": 0.0}
    assert 0 < (found.metrics["Linv"] or 0) <= 1


@pytest.mark.parametrize("task", ["knn", "linear", "linear-cached"])
@pytest.mark.parametrize(("arch", "tensors"), [("stub", 9), ("vit_small", 150)])
def test_probes_read_its_features(root: Path, tmp_path: Path, task: str, arch: str, tensors: int) -> None:
    declared = tasks.get(task)
    small = {"size": 32, "batch": 4, "num_workers": 0} | ({"neighbours": 3} if task == "knn" else {"epochs": 1})
    job = Job(
        declared,
        declared.settings.replace(small),
        sources.load(f"random:{arch}"),
        imagefolder.read(root),
        tmp_path,
        0,
        "cpu",
        Journal(),
    )
    outcome = engines.get("probe").fit(job)
    assert outcome.proof["tensors"] == tensors
    assert all(value is None or 0 <= value <= 100 for value in outcome.metrics.values())


def test_tools_that_have_no_names_for_it_are_refused(saved: Path) -> None:
    backbone = sources.load(str(saved))
    for target in convert.TARGETS:
        with pytest.raises(CheckpointError, match=f"stub can't be written for {target}"):
            convert.encoded(target, backbone.architecture, backbone.state, ".pth")
