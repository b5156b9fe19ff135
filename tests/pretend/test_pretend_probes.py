"""Probes, measures and the monitor on a device that isn't there: nothing is mixed, and waits are where features are read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pretrain import augment
from pretrain.core.journal import Journal
from transfer import engines, sources, tasks
from transfer.datasets import imagefolder
from transfer.engines.probe import frozen
from transfer.representation.measure import MeasureSettings, measure
from transfer.representation.monitor import monitor

CLASSES, TRAIN, VAL = "abc", 8, 4
FEATURES = {
    "transfer/representation/features.py centre_features: copied there",
    "transfer/representation/features.py centre_features: copied here",  # features are kept on the CPU
}
HEADS = {
    "transfer/engines/probe/classifiers.py Classifiers.settle: tolist",  # every ten steps, and at the end of an epoch
    "transfer/engines/probe/classifiers.py top: _local_scalar_dense",  # once in an epoch
    "transfer/engines/probe/linear.py Training._judge: copied there",
}
ONCE = {
    "transfer/engines/probe/engine.py Probe.build: copied there",
    "transfer/engines/probe/engine.py Probe.evaluate: equal",  # whether the backbone stayed frozen
    "pretrain/diverged.py not_finite: _local_scalar_dense",  # after the last step
    "transfer/engines/probe/linear.py Training.__init__: copied there",
    "transfer/representation/features.py extractor: copied there",
}
WAITS = {
    "linear": FEATURES | HEADS | ONCE,
    "linear-cached": FEATURES | HEADS | ONCE | {"transfer/engines/probe/frozen.py cached: copied there"},  # all at once
    "knn": FEATURES
    | ONCE
    | {
        "transfer/engines/probe/knn.py votes_of: copied there",  # each stretch of the training images once
        "transfer/engines/probe/knn.py votes_of: copied here",
    },
}
MEASURE = {
    "pretrain/augment/ops.py _constant: copied there",  # once in a process
    "pretrain/augment/ops.py _neighbours: copied there",
    "transfer/representation/features.py extractor: copied there",
    "transfer/representation/measure.py _Networks.measures: copied here",
    "transfer/representation/measure.py _Networks.measures: copied there",
}
SEARCH = {"lr_search": (0.1, 1.0), "held_out": 0.3}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of three classes."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("val", VAL)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                Image.fromarray(rng.integers(0, 256, (36, 32, 3), dtype=np.uint8)).save(root / split / name / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def backbone() -> sources.Backbone:
    return sources.load("random:resnet18")


@pytest.mark.parametrize(
    ("task", "changes", "kept"),
    [
        ("linear", {"epochs": 2}, False),
        ("linear", {"epochs": 2, **SEARCH}, False),
        ("linear-cached", {"epochs": 2}, False),
        ("linear-cached", {"epochs": 2}, True),
        ("knn", {"neighbours": 3}, False),
    ],
)
def test_every_probe(
    task: str,
    changes: dict[str, Any],
    kept: bool,
    root: Path,
    backbone: sources.Backbone,
    tmp_path: Path,
    watch: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frozen, "_has_room", lambda device, size: kept)
    declared = tasks.get(task)
    settings = declared.settings.replace({**declared.small, "size": 32, "batch": 8, **changes})
    job = engines.Job(declared, settings, backbone, imagefolder.read(root), tmp_path, 0, "meta", Journal())
    engines.get("probe").fit(job)
    assert watch.mixes == {}
    assert watch.waits.keys() <= WAITS[task]


@pytest.mark.parametrize("probe", [name for name in augment.AUGMENTATIONS if not augment.asked(name)])
def test_the_measure_under_every_probe(probe: str, root: Path, backbone: sources.Backbone, watch: Any) -> None:
    settings = MeasureSettings(size=32, batch=6, views=2, images=6, probe=probe)
    measure(backbone, imagefolder.read(root).val, settings, Journal(), seed=0, device="meta")
    assert watch.mixes == {}
    assert watch.waits.keys() <= MEASURE


def test_the_monitor(root: Path, backbone: sources.Backbone, watch: Any) -> None:
    monitor(imagefolder.read(root), arch="resnet18", size=32, batch=8, device="meta")(backbone.state)
    assert watch.mixes == {}
    assert watch.waits.keys() <= FEATURES | {"transfer/representation/monitor.py monitor: copied there"}
