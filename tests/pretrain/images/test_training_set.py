"""Labels and fingerprint of a run's images, computed once."""

import os
from pathlib import Path

import pytest

from pretrain.core.errors import DataError
from pretrain.images import imageset, labels
from pretrain.images.stores import folders
from pretrain.images.training_set import TrainingSet


def test_a_training_set_holds_the_labels_and_the_fingerprint_of_its_images(root: Path) -> None:
    images = imageset.read(root, "train")
    made = TrainingSet.of(images, fraction=0.5, names=None, seed=3)
    assert made.images is images
    assert made.labels == labels.assign_labels(images, 0.5, None, 3)
    assert made.fingerprint == imageset.read(root, "train").fingerprint()
    assert made.labelled == 0.5


def test_a_list_of_names_says_which_images_keep_their_label(root: Path) -> None:
    made = TrainingSet.of(imageset.read(root, "train"), fraction=None, names=["ant_0", "bee_1", "bee_2"], seed=0)
    assert [name for name, label in zip(made.images.names, made.labels, strict=True) if label != labels.UNLABELLED] == [
        "ant/ant_0.png",
        "bee/bee_1.png",
        "bee/bee_2.png",
    ]
    assert made.labelled == 3 / 12


def test_labels_of_a_single_class_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match="one class"):
        TrainingSet.of(imageset.read(root, "train", ["ant"]), fraction=1.0, names=None, seed=0)


def test_every_file_is_looked_at_once_for_all_fingerprints_of_a_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    stat = os.stat
    images = imageset.read(root, "train")
    monkeypatch.setattr(folders.os, "stat", lambda path, **options: seen.append(str(path)) or stat(path, **options))
    first = TrainingSet.of(images, fraction=0.0, names=None, seed=0).fingerprint
    assert [images.fingerprint(), images.fingerprint(labels=False)] == [first, first]
    assert len(seen) == len(set(seen)) == len(images)
