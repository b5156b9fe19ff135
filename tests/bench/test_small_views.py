"""What is said of backbones whose pre-training saw images too small for all of their weights."""

from dataclasses import replace
from typing import Any

import pytest

from bench.verbs.recording import small_views
from transfer import sources, tasks


def said(task: str, source: str = "bench", **changed: Any) -> str:
    backbone = sources.load("random:resnet18")
    provenance = backbone.provenance.model_copy(update={"changed": changed})
    return "".join(small_views(replace(backbone, source=source, provenance=provenance), tasks.get(task)))


def test_tasks_that_read_maps_hear_of_weights_that_small_views_left_alone() -> None:
    assert "pre-trained on small views: views of 32 pixels leave 62% of resnet18's weights" in said("voc07", size=32)
    assert said("cityscapes", size=32) == said("voc07", size=32)


@pytest.mark.parametrize(
    ("task", "changed"),
    [("knn", {"size": 32}), ("voc07", {"size": 40}), ("voc07", {}), ("voc07", {"size": 32, "stem": "small"})],
)
def test_others_hear_nothing(task: str, changed: dict[str, Any]) -> None:
    assert not said(task, **changed)


def test_of_others_backbones_nothing_is_known() -> None:
    assert not said("voc07", source="moco", size=32)
