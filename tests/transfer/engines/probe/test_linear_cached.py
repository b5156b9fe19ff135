"""Linear evaluation on features that are read once, and the search of a learning rate on held-out images."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pretrain.core.errors import DataError
from pretrain.images.decode import Picture
from pretrain.images.imageset import ImageSet
from transfer.datasets import imagefolder
from transfer.engines import Job
from transfer.engines.probe import engine, linear
from transfer.engines.probe.linear import held_out
from transfer.representation.features import centre_features

pytestmark = pytest.mark.usefixtures("proven_once")
ProbeJob = Callable[..., Job]


@pytest.mark.parametrize(
    ("task", "fields"), [("knn", {}), ("linear-cached", {}), ("linear-cached", {"lr_search": (0.1, 1.0), "held_out": 0.3})]
)
def test_each_image_is_read_once(
    probe_job: ProbeJob, monkeypatch: pytest.MonkeyPatch, task: str, fields: dict[str, object]
) -> None:
    read: Counter[str] = Counter()
    picture = ImageSet.picture

    def counted(self: ImageSet, index: int) -> Picture:
        read[f"{self.root.name}/{self.names[index]}"] += 1
        return picture(self, index)

    monkeypatch.setattr(ImageSet, "picture", counted)
    engine.Probe.fit(probe_job(task, **fields))
    assert len(read) == 3 * (14 + 6)
    assert set(read.values()) == {1}


def test_linear_cached_is_a_classifier_on_the_centre_crops_features_in_seeded_order(
    probe_job: ProbeJob, proven: tuple[nn.Module, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against torch's own layers and optimiser in a plain loop."""
    monkeypatch.setattr(linear, "LOG_EVERY", 1)
    losses: list[float] = []

    def hear(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        losses.extend([values["loss"]] if stage == "linear" else [])

    job = probe_job("linear-cached", hear, seed=3, epochs=4, milestones=(2.0, 2.0), feature_norm=False, lr=0.05)
    outcome = engine.Probe.fit(job)
    parts, how = (job.data.train, job.data.val), {"size": 32, "batch": 8, "num_workers": 0, "device": "cpu"}
    train, val = (torch.cat(list(centre_features(proven[0], part, **how))) for part in parts)
    truth, val_truth = (torch.tensor(part.labels) for part in parts)
    head = nn.Linear(512, 3)
    with torch.no_grad():
        head.weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(3))
        head.bias.zero_()
    optimizer, found = torch.optim.SGD(head.parameters(), 0.05, momentum=0.9), []
    scores = [float((head(val).argmax(dim=1) == val_truth).float().mean())]
    for epoch in range(4):
        order = np.random.default_rng((3, epoch)).permutation(42)
        for start in range(0, 40, 8):
            chosen = torch.from_numpy(order[start : start + 8])
            loss = F.cross_entropy(head(train[chosen]), truth[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(float(loss.detach()))
        scores.append(float((head(val).argmax(dim=1) == val_truth).float().mean()))
    assert losses == pytest.approx(found, rel=1e-5)
    assert outcome.metrics["top1"] == pytest.approx(100 * scores[-1])
    assert set(job.folder.iterdir()) <= set(outcome.spent)


def test_the_best_epoch_is_reported_where_published_and_else_the_last(
    probe_job: ProbeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The accuracy on the validation images is made to fall from epoch to epoch; images held out for a search still choose."""
    judge, now = linear.Training._judge, [0]

    def noted(self: linear.Training, epoch: int) -> None:
        now[0] = epoch
        judge(self, epoch)

    monkeypatch.setattr(linear.Training, "_judge", noted)
    monkeypatch.setattr(linear, "top", lambda scores, labels, k: 90.0 - 10 * now[0])
    search = {"lr_search": (1.0,), "held_out": 0.3}
    cases = (("published", "linear", {}), ("ours", "linear-cached", {}), ("search", "linear-cached", search))
    found = {name: engine.Probe.fit(probe_job(task, epochs=2, folder=name, **fields)) for name, task, fields in cases}
    assert {name: outcome.metrics["top1"] for name, outcome in found.items()} == {"published": 90, "ours": 70, "search": 90}


@pytest.mark.parametrize("task", ["linear", "linear-cached"])
def test_a_search_reports_what_the_chosen_learning_rate_yields_alone(probe_job: ProbeJob, task: str) -> None:
    search = {"held_out": 0.3, "lr": 1.0}
    outcome = engine.Probe.fit(probe_job(task, **search, lr_search=(1e-7, 0.1)))
    assert outcome.proof["chosen_lr"] == pytest.approx(0.1)
    alone = engine.Probe.fit(probe_job(task, **search, folder="alone", lr_search=(0.1,)))
    assert alone.metrics == outcome.metrics
    assert "learning rate 0.1, the best of 2 from 1e-07 to 0.1" in outcome.notes[0]
    assert "chosen on 12 training images that were held out" in outcome.notes[0]
    assert outcome.notes[0].endswith("the end of what was tried")


def test_a_search_does_not_look_at_the_validation_images(probe_job: ProbeJob, shades: Path, tmp_path: Path) -> None:
    """With the classes of the validation images turned round, it chooses the same and reports another number."""
    turned = tmp_path / "turned"
    shutil.copytree(shades, turned)
    for new, old in {"dark": "grey", "grey": "light", "light": "dark"}.items():
        shutil.rmtree(turned / "val" / new)
        shutil.copytree(shades / "val" / old, turned / "val" / new)
    fields = {"held_out": 0.3, "lr_search": (1e-4, 0.01, 1.0)}
    right = engine.Probe.fit(probe_job("linear-cached", **fields))
    wrong = engine.Probe.fit(probe_job("linear-cached", folder="turned-run", root=turned, **fields))
    assert right.notes == wrong.notes
    assert right.metrics["top1"] > 50 > wrong.metrics["top1"]


def test_what_is_held_out_is_balanced_seeded_and_not_trained_on(probe_job: ProbeJob, shades: Path) -> None:
    images, settings = imagefolder.read(shades).train, probe_job("linear", held_out=0.2).settings
    kept, held = held_out(images, settings, seed=5)
    assert sorted([*kept.names, *held.names]) == sorted(images.names)
    assert Counter(held.labels) == dict.fromkeys(range(3), 3)
    assert held_out(images, settings, seed=5)[1] == held
    assert held_out(images, settings, seed=6)[1] != held
    for share in (0.01, 0.99):
        with pytest.raises(DataError, match="too few training images to choose"):
            held_out(images, settings.replace({"held_out": share}), seed=5)
