"""The one order in which every engine works, what it resumes from, and what backbones an engine takes."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pretrain import backbones
from pretrain.checkpoint import IMAGENET_MEAN, IMAGENET_STD
from pretrain.core.errors import CheckpointError, ProofError, TrainingError
from pretrain.core.journal import Journal
from transfer import engines, sources, tasks
from transfer.engines import Job
from transfer.engines.driver import Engine, Resumed
from transfer.engines.estimate import Step, Work
from transfer.tasks import TaskSettings


class Recording(Engine[TaskSettings, Any]):
    """An engine that does nothing but remember what was called."""

    NAME = "recording"
    SETTINGS: ClassVar[type[TaskSettings]] = TaskSettings
    TASKS = "all tasks"
    calls: ClassVar[list[str]] = []
    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN

    def __getattribute__(self, name: str) -> Any:
        if name in (
            "build",
            "prove",
            "work",
            "step",
            "resume",
            "train",
            "evaluate",
            "measure",
            "draw",
            "chosen",
            "notes",
            "spent",
        ):
            type(self).calls.append(name)
        return super().__getattribute__(name)

    @contextmanager
    def session(self) -> Iterator[Self]:
        self.calls.append("begin")
        yield self
        self.calls.append("end")

    def build(self) -> None: ...

    def prepared(self, path: Path) -> Tensor:
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, IMAGENET_STD))
        return (torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1) / 255 - mean) / std

    @property
    def network(self) -> nn.Module:
        return nn.Identity()

    def prove(self) -> dict[str, float]:
        return {"tensors": 1.0}

    def work(self) -> Work:
        return Work(trained=10, forwarded=3)

    def step(self) -> Step:
        return Step(self.network, lambda: Work(trained=1))

    def resume(self) -> Resumed:
        return Resumed(3, 10, stages={"train": 3})

    def train(self) -> None: ...

    def evaluate(self) -> None: ...

    def measure(self) -> Mapping[str, float | None]:
        return {"AP": 1.0}

    def chosen(self) -> Mapping[str, float]:
        return {"chosen_lr": 0.1}

    def notes(self) -> tuple[str, ...]:
        return ("a note",)


def job(folder: Path, *, announce: bool = False) -> tuple[Job, list[str]]:
    said: list[str] = []
    journal = Journal(folder, lambda text, *_: said.append(text))
    task: Any = SimpleNamespace(name="task")
    return Job(task, TaskSettings(), sources.load("random:resnet18"), None, folder, 0, "cpu", journal, announce), said


def test_every_engine_works_in_the_one_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recording, "calls", [])
    given, said = job(tmp_path, announce=True)
    outcome = Recording.fit(given)
    before = ["begin", "build", "prove", "work", "step", "resume", "train", "evaluate", "end"]
    assert Recording.calls == [*before, "measure", "draw", "chosen", "notes", "spent"]
    assert (outcome.metrics, outcome.proof) == ({"AP": 1.0}, {"tensors": 1.0, "chosen_lr": 0.1})
    assert [text.split(":")[0] for text in said] == ["estimated time", "resuming at iteration 3 of 10"]


def test_an_engine_that_shows_its_model_other_pixels_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recording, "calls", [])
    monkeypatch.setattr(Recording, "mean", (0.0, 0.0, 0.0))
    with pytest.raises(ProofError, match="sees other pixels"):
        Recording.fit(job(tmp_path)[0])
    assert "train" not in Recording.calls


def test_detection_and_segmentation_refuse_the_stem_for_small_images() -> None:
    backbone = sources.load("random:resnet18")
    small = dataclasses.replace(backbone, state={**backbone.state, "conv1.weight": torch.zeros(64, 3, 3, 3)})
    for task in ("voc07", "cityscapes"):
        with pytest.raises(
            CheckpointError, match=r"a\.pth has the stem for small images(.|\n)* by linear, linear-cached, knn\n"
        ):
            engines.require_usable(small, tasks.get(task).engines[-1], tasks.get(task), "a.pth")
    for usable, engine in ((small, "probe"), (backbone, "torchvision")):
        engines.require_usable(usable, engine, tasks.get("linear"), "a.pth")


def test_a_refused_architecture_comes_with_the_tasks_that_take_it() -> None:
    words = r"resnet50(.|\n)*a vit_small is taken by linear, linear-cached, knn$"
    with pytest.raises(CheckpointError, match=words) as caught:
        engines.require_usable(sources.load("random:vit_small"), "mmseg", tasks.get("cityscapes"), "a.pth")
    assert "vit_base" not in str(caught.value)


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_the_families_of_every_engine_are_those_of_architectures(engine: str) -> None:
    known = {each.family for each in backbones.every()}
    assert known.issuperset(engines.ENGINES[engine].families or ())


def test_an_engine_takes_only_its_families_of_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, task = sources.load("random:resnet18"), tasks.get("voc07")
    info = dataclasses.replace(engines.ENGINES["torchvision"], families=("another",))
    monkeypatch.setitem(engines.ENGINES, "torchvision", info)
    with pytest.raises(CheckpointError, match=r"a\.pth is a resnet18, which voc07 can't use yet"):
        engines.require_usable(backbone, "torchvision", task, "a.pth")
    engines.require_usable(backbone, "probe", tasks.get("knn"), "a.pth")


def test_a_network_that_its_last_step_broke_is_not_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = nn.Linear(1, 1)
    nn.init.constant_(broken.bias, float("nan"))
    monkeypatch.setattr(Recording, "calls", [])
    monkeypatch.setattr(Recording, "network", broken)
    with pytest.raises(TrainingError, match=r"weights are not finite(.|\n)*bias(.|\n)*lower the learning rate"):
        Recording.fit(job(tmp_path)[0])
    assert "evaluate" not in Recording.calls
