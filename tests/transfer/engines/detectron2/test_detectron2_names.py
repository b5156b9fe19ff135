"""What Detectron2 knows by itself keeps its name and its data, whatever ours is called."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from transfer import tasks
from transfer.datasets import coco
from transfer.engines.detectron2 import catalogue

pytest.importorskip("detectron2", reason="Detectron2 is not installed; the head of the parity tests says what it needs")

from detectron2.data import DatasetCatalog, MetadataCatalog

pytestmark = pytest.mark.detectron2


def test_built_in_data_sets_are_never_overwritten(lay_coco: Callable[..., Path]) -> None:
    data = coco.read(lay_coco(name="coco_2017_val"))
    known = dict(DatasetCatalog)
    described = {name: MetadataCatalog.get(name).as_dict() for name in known}
    assert "coco_2017_val" in known
    with catalogue.registered(data, tasks.get("coco-c4").settings) as names:
        assert all(name.startswith("bench_coco_2017_val_") for name in names)
        assert not known.keys() & set(names)
        assert {name: DatasetCatalog[name] for name in known} == known
        assert len(DatasetCatalog.get(names[1])) == len(data.val)
    assert dict(DatasetCatalog) == known
    assert {name: MetadataCatalog.get(name).as_dict() for name in known} == described
    assert "DETECTRON2_DATASETS" not in os.environ
