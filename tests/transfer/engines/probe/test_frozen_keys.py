"""Whatever changes a frozen feature gives its file another name, and what doesn't change any gives the same."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pretrain.backbones import Variant
from pretrain.images.normalise import Input
from transfer.engines import Job
from transfer.engines.probe import frozen
from transfer.representation import featurefile
from transfer.representation.features import extractor
from transfer.sources.recipe import Recipe

Change = Callable[[Job], Job]


def settings(**values: object) -> Change:
    return lambda job: replace(job, settings=job.settings.replace(values))


def backbone(**values: Any) -> Change:
    return lambda job: replace(job, backbone=replace(job.backbone, **values))


def images(indices: list[int]) -> Change:
    return lambda job: replace(job, data=replace(job.data, train=job.data.train.part(indices)))


def name_of(job: Job, monkeypatch: pytest.MonkeyPatch) -> str:
    found: list[str] = []

    def noted(images: object, name: str, key: str, *_: object, **__: object) -> np.ndarray:
        found.append(key)
        return np.zeros(0, np.float32)

    monkeypatch.setattr(featurefile, "features", noted)
    frozen.features(job, extractor(job.backbone, "cpu")[0], job.data.train, "train")
    return found[0]


@pytest.mark.parametrize(
    "change",
    [
        settings(size=48),
        settings(batch=9),
        settings(tf32=False),
        settings(features="other"),
        backbone(sha256="0" * 64),
        backbone(recipe=Recipe(variant=Variant(eps=1e-3))),
        backbone(recipe=Recipe(seen=Input(order="BGR"))),
        images([*range(1, 12)]),
        images([1, 0, *range(2, 12)]),
    ],
)
def test_what_changes_a_feature_changes_the_name(
    probe_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    job = probe_job("knn")
    assert name_of(change(job), monkeypatch) != name_of(job, monkeypatch)


@pytest.mark.parametrize("module", ["torch", "torchvision", "PIL"])
def test_another_release_of_what_decodes_or_computes_changes_the_name(
    probe_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    job = probe_job("knn")
    before = name_of(job, monkeypatch)
    monkeypatch.setattr(f"{module}.__version__", "0.0")
    assert name_of(job, monkeypatch) != before


@pytest.mark.parametrize("change", [settings(num_workers=0), settings(neighbours=3), settings(temperature=0.5)])
def test_what_changes_none_keeps_the_name(
    probe_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    job = probe_job("knn")
    assert name_of(change(job), monkeypatch) == name_of(job, monkeypatch)


def test_several_tasks_share_a_file(probe_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    assert name_of(probe_job("linear-cached", seed=5), monkeypatch) == name_of(probe_job("knn"), monkeypatch)
