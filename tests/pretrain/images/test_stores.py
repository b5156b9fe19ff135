"""Whatever images lie in, they are one set: the same names, order, batches, losses, and a run resumes on it."""

import json
import os
import pickle
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pretrain.config import PretrainConfig
from pretrain.core import interrupt
from pretrain.core.errors import GoneError
from pretrain.core.journal import Journal
from pretrain.images import cache, imageset
from pretrain.images.crops import CentreCrop
from pretrain.images.loading import Batch, Crops, Epochs, loader
from pretrain.images.skipping import Skipped
from pretrain.images.training_set import TrainingSet
from pretrain.train import train

Packed = Callable[[str], Path]
KINDS = ("zip", "tar", "webdataset", "parquet")
every_kind = pytest.mark.parametrize("kind", KINDS)


def place(packed: Packed, kind: str) -> Path:
    root = packed(kind)
    return root / "data" if kind == "parquet" else root


def equal(ours: list[Batch], theirs: list[Batch]) -> bool:
    tensors = [[each for views, *rest in batches for each in (*views, *rest)] for batches in (ours, theirs)]
    return len(ours) == len(theirs) > 0 and all(map(torch.equal, *tensors))


def batches(images: imageset.ImageSet, workers: int) -> list[Batch]:
    crops = Crops(images, images.labels, [CentreCrop(8)], seed=0)
    return list(loader(crops, Epochs(len(images), batch=4, epochs=2, seed=1), num_workers=workers))


@every_kind
def test_the_set_is_that_of_the_folder(root: Path, packed: Packed, kind: str) -> None:
    where = place(packed, kind)
    for split in ("train", "val"):
        ours, theirs = imageset.read(where, split), imageset.read(root, split)
        assert (ours.names, ours.labels, ours.classes, ours.folders) == (
            theirs.names,
            theirs.labels,
            theirs.classes,
            theirs.folders,
        )
        assert ours.fingerprint() == theirs.fingerprint()
        assert [ours.members.read(i) for i in range(len(ours))] == [theirs.members.read(i) for i in range(len(ours))]
        chosen = [imageset.read(each, split, ["bee"]) for each in (where, root)]
        assert chosen[0].names == chosen[1].names
        assert chosen[0].fingerprint() == chosen[1].fingerprint()
        assert chosen[0].part([1]).members.read(0) == chosen[1].members.read(1)


@every_kind
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_folder_in_every_process(root: Path, packed: Packed, kind: str, workers: int) -> None:
    images = imageset.read(place(packed, kind), "train")
    images.fingerprint()  # opens what this process keeps open, before others are forked
    images.picture(0)
    assert equal(batches(images, workers), batches(imageset.read(root, "train"), 0))


@every_kind
def test_a_set_can_be_sent_to_another_process_and_read_by_threads(packed: Packed, kind: str) -> None:
    images = imageset.read(place(packed, kind), "train")
    expected = [images.members.read(index) for index in range(len(images))]
    sent = pickle.loads(pickle.dumps(images))
    found: dict[int, bytes] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: sent.members.read(i)})) for i in range(len(sent))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[index] for index in range(len(sent))] == expected


def course(folder: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in ("seconds", "images_per_second")} for row in rows]


def run(images: imageset.ImageSet, folder: Path, **more: object) -> dict[str, torch.Tensor]:
    """Three steps of supervised MoCo v2 with half of the labels."""
    fields = {"arch": "resnet18", "size": 16, "epochs": 1, "batch": 4, "num_workers": 0, "queue": 16, "feature_dim": 8}
    config = PretrainConfig.read({**fields, "supervision": "semi", "label_fraction": 0.5})
    folder.mkdir(exist_ok=True)
    used = TrainingSet.of(images, fraction=0.5, names=None, seed=config.seed)
    train(config, used, folder, more.pop("journal", None) or Journal(folder), name="noise", **more)
    return torch.load(folder / "backbone.pth", weights_only=True)["state_dict"]


@every_kind
def test_losses_and_backbone_are_those_of_the_folder_also_after_a_cut(
    root: Path, packed: Packed, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretrain.train.LOG_EVERY", 1)
    theirs = run(imageset.read(root, "train"), tmp_path / "folder-run")
    where = place(packed, kind)

    def stop(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if (stage, done) == ("pretrain", 2):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(interrupt.Interrupted), interrupt.listening():
        run(imageset.read(where, "train"), tmp_path / "cut", journal=Journal(tmp_path / "cut", stop))
    ours = run(imageset.read(where, "train"), tmp_path / "cut")
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert course(tmp_path / "cut") == course(tmp_path / "folder-run")
    assert len(course(tmp_path / "cut")) >= 3


@every_kind
@pytest.mark.parametrize("where", ["ram", "disk"])
def test_the_cache_holds_the_folder_s_pixels(
    root: Path, packed: Packed, kind: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = imageset.read(place(packed, kind), "train")
    kept = cache.open_images(images, where, side=12, reduced=False, num_workers=0, journal=Journal())
    plain = cache.open_images(imageset.read(root, "train"), None, side=12, reduced=False, num_workers=0, journal=Journal())
    for index in range(len(images)):
        assert torch.equal(kept.picture(index).pixels(), plain.picture(index).pixels())


@every_kind
def test_an_image_that_cannot_be_decoded_is_replaced_by_the_next(root: Path, packed: Packed, kind: str) -> None:
    (root / "train/ant/ant_1.png").write_bytes(b"no image")
    images = imageset.read(place(packed, kind), "train")
    skipped = Skipped(len(images))
    crops = Crops(images, images.labels, [CentreCrop(8)], seed=0, skipped=skipped)
    assert crops.__getitems__([(0, 1)])[2].tolist() == [2]
    assert images.names[skipped.new()[0]] == "ant/ant_1.png"


@every_kind
def test_what_is_gone_when_it_is_read_is_said_to_be_gone(packed: Packed, kind: str) -> None:
    where = place(packed, kind)
    images = imageset.read(where, "train")
    for file in where.iterdir():
        file.unlink()
    with pytest.raises(GoneError, match=r"ant_0\.png in .* is not there any more"):
        images.picture(0)


@every_kind
def test_the_index_of_a_million_images_takes_little_memory(packed: Packed, kind: str) -> None:
    members = imageset.read(place(packed, kind), "train").members
    many = members.part(np.zeros(10_000, np.int64))
    assert len(pickle.dumps(many)) < 10_000 * 32  # of 1.28 million images: 40 MB
    assert len(many) == 10_000
