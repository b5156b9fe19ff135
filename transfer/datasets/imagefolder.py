"""The image-folder layout: a training and a validation split, each whatever `pretrain.images.stores` reads."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.core.layout import contents, near
from pretrain.core.settings import digest
from pretrain.images import classes as choosing
from pretrain.images import imageset
from pretrain.images.listing import Choice, holds_classes
from pretrain.images.stores import index, shards
from transfer import arrange
from transfer.arrange.glance import Glance
from transfer.datasets import Tell, stop
from transfer.datasets.truths import settle
from transfer.datasets.truths.classification import CLASSIFICATION, Folders
from transfer.record import Data

VAL, LABELS = "val", "labels"
"""What a reader can need beside the training images."""


@dataclass(frozen=True)
class ClassificationData:
    """A classification data set: images with one label each."""

    train: imageset.ImageSet
    """Training images."""
    val: imageset.ImageSet
    """Validation images, of the same classes; none where a reader needs none and none can be read."""
    ref: Data
    """Description of the data for the record."""
    notes: tuple[str, ...] = ()
    """What was seen and is not read, what is not there, and what is odd in the classes."""


def read(
    root: Path,
    *,
    classes: float | Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
    needs: Collection[str] = (VAL, LABELS),
    probed: bool = False,
    verify: bool = False,
    tell: Tell = stop,
) -> ClassificationData:
    """Read both splits.

    Args:
        root: Folder of the splits, or a path, glob or range that names shards.
        classes: Class folders to read, or the fraction of them to draw; None: all.
        labels: Class folder → label; None: the folders' names are the labels.
        seed: Seed of the draw.
        needs: What is read beside the training images: `VAL`, `LABELS`. What isn't may be missing, which is noted.
        probed: Whether accuracy on the classes is measured, so that there must be two.
        verify: Whether every file is looked at, whatever an index of a large folder says.
        tell: Called with the error for classes that one split lacks, and those of degenerate truths; raises it by default.

    Raises:
        DataError: For a wrong layout, an empty or missing class folder, splits with different classes, or a class
            without a label.
    """
    chosen = partial(choosing.draw_classes, fraction=classes, seed=seed) if isinstance(classes, float) else classes
    with index.renewed(verify):
        train = _train(root, chosen, labelled=LABELS in needs or labels is not None)
        val, missing = _validation(root, train, None if classes is None else train.classes, needed=VAL in needs)
    if train.has_classes and train.classes != val.classes:
        tell(_differing(root, train, val))
    part = len(train.classes) < train.folders
    if labels is not None:
        train, val = choosing.relabelled(train, labels), choosing.relabelled(val, labels)
    fingerprint = digest([each.fingerprint() for each in (train, val) if len(each)])
    ref = Data(
        name=shards.title(root),
        layout="imagefolder",
        fingerprint=fingerprint,
        train=len(train),
        val=len(val),
        classes=len(train.classes) if train.has_classes else 0,
        chosen_from=train.folders if part else None,
    )
    notes = dict.fromkeys((*_kind(root, train), *train.notes, *val.notes, *missing))
    truth = Folders(root, train.root, val.root if len(val) and val.names == train.names else None, train.classes, probed)
    return ClassificationData(train, val, ref, (*notes, *settle(CLASSIFICATION, truth, tell)))


def _called_as(train: imageset.ImageSet, val: imageset.ImageSet) -> imageset.ImageSet:
    """Give validation classes the names of those of training that differ from theirs in form only, if so for each of them."""
    if train.classes == val.classes or len(train.classes) != len(val.classes):
        return val
    try:
        found = choosing.relabelled(val, {name: name for name in train.classes}, "class folders of train, in val")
    except DataError:
        return val
    return found if found.classes == train.classes else val


def _differing(root: Path, train: imageset.ImageSet, val: imageset.ImageSet) -> DataError:
    differing = sorted(set(train.classes) ^ set(val.classes))
    return DataError(
        f"train and val of {root} have different classes",
        seen=f"{len(train.classes)} and {len(val.classes)}; in one only: {differing[:4]}",
        allowed="the same class folders in both",
        fix="remove or add the class folders named above",
    )


def _train(root: Path, chosen: Choice, *, labelled: bool) -> imageset.ImageSet:
    """Read the training images; where another tool's table of classes stands for class folders, say what to do with it."""
    try:
        return imageset.read(root, "train", chosen, labelled=labelled)
    except DataError as problem:
        there = (root / "train.zip").is_file() or shards.has(root, "train") or Glance(root).folders("train")
        if there or near(root, holds_classes, below=False) or (said := arrange.advice(root, "imagefolder")) is None:
            raise
        raise DataError(problem.wrong, seen=contents(root), allowed="train/CLASS/IMAGE.jpg and val/", fix=said) from None


def _validation(
    root: Path, train: imageset.ImageSet, classes: Sequence[str] | None, *, needed: bool
) -> tuple[imageset.ImageSet, tuple[str, ...]]:
    """Read the validation images; where they aren't needed and can't be read, return none, and a note of why.

    Raises:
        DataError: If they are needed and can't be read.
    """
    try:
        return _called_as(train, imageset.read(root, "val", classes, labelled=train.has_classes)), ()
    except DataError as problem:
        if needed:
            raise
        said = [" ".join(line.split()) for line in str(problem).splitlines()]
        why = "; ".join(line for line in said if not line.startswith("allowed:"))
        return train.part(()), (f"val is not read, which --monitor-every, probes and measure need: {why}",)


def _kind(root: Path, train: imageset.ImageSet) -> tuple[str, ...]:
    """Say that the images have no classes, and why."""
    if train.has_classes:
        return ()
    if train.root == root:
        return (
            f"no classes: without train/ all images below {root.name} are read; --supervision self alone can train on them",
        )
    return (f"no classes: the images of {train.root.name} lie in no class folders; --supervision self alone can train on them",)
