"""Which images keep their label: a class-balanced, seeded fraction, or those of a list. The choice is saved with the run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pretrain.core.atomic import replacing
from pretrain.core.errors import DataError
from pretrain.core.texts import escaped
from pretrain.images.compact import Numbers
from pretrain.images.imageset import ImageSet
from pretrain.images.names import canonical

UNLABELLED = -1
"""Label of an image whose label isn't used."""
LABELLED = "labelled.txt"
"""File in the run's folder with the images that keep their label, one `class folder/image` per line: a valid label list."""


def assign_labels(images: ImageSet, fraction: float | None, names: Sequence[str] | None, seed: int) -> Sequence[int]:
    """Assign each image its label or `UNLABELLED`: (N,).

    Args:
        images: All training images.
        fraction: Fraction of each class's images that keep their label; None if `names` lists them.
        names: Images that keep their label, as `listed` reads them.
        seed: Seed of the choice.

    Raises:
        DataError: If labels are asked for and there is only one class, no image would keep its label, or a name doesn't match
            exactly one image.
    """
    if fraction == 0:
        return Numbers(np.full(len(images), UNLABELLED, np.int32))
    if not images.has_classes:
        fix = "use --supervision self, or sort the images into folders of their classes"
        raise DataError(f"labels asked for, but the images in {images.root} have none", seen="no class folders", fix=fix)
    if len(images.classes) < 2:
        raise DataError(
            f"labels asked for, but {images.root} has one class", seen=images.classes[0], fix="use --supervision self"
        )
    if names is not None:
        labels: Sequence[int] = Numbers(listed(images, names))
    else:
        assert fraction is not None, "the configuration requires one of the two"
        labels = balanced(images.labels, fraction, seed)
    if not labelled_fraction(labels):
        raise DataError(
            "labels asked for, but no image would keep its label",
            seen="an empty list" if names is not None else f"a fraction of {fraction:g} of {len(images)} images",
            fix="raise label_fraction or fill the list, or use --supervision self",
        )
    return labels


def balanced(labels: Sequence[int], fraction: float, seed: int) -> Numbers:
    """Keep the labels of a seeded `fraction` of each class, and replace the others by `UNLABELLED`."""
    chosen = np.full(len(labels), UNLABELLED, np.int32)
    by_class = np.asarray(labels)
    rng = np.random.default_rng((seed, 1))
    for label in np.unique(by_class):
        members = np.flatnonzero(by_class == label)
        chosen[rng.permutation(members)[: round(fraction * len(members))]] = label
    return Numbers(chosen)


def listed(images: ImageSet, names: Sequence[str]) -> list[int]:
    """Keep the labels of the images that a list names, and replace the others by `UNLABELLED`.

    A name is `class folder/image` or only the image, with or without its suffix (`n01440764_10026`, as in the lists of
    dddzg/unimoco @ccac034). One that no image has may differ in form, or begin with other folders: its last two parts count.

    Raises:
        DataError: If a name matches no image, or more than one; names the first.
    """
    matches = dict.fromkeys(names, 0)
    labels = [UNLABELLED] * len(images)
    for index, (name, label) in enumerate(zip(images.names, images.labels, strict=True)):
        for form in _forms(name) & matches.keys():
            matches[form] += 1
            labels[index] = label
    otherwise: dict[str, list[str]] = {}
    for name in (name for name, count in matches.items() if not count):
        otherwise.setdefault("/".join(canonical(name).split("/")[-2:]), []).append(name)
    for index, (name, label) in enumerate(zip(images.names, images.labels, strict=True) if otherwise else ()):
        for form in _forms(canonical(name)) & otherwise.keys():
            labels[index] = label
            for written in otherwise[form]:
                matches[written] += 1
    wrong = [name for name, count in matches.items() if count != 1]
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(matches)} names in the label list match no single image, the first is {wrong[0]!r}",
            seen=f"{matches[wrong[0]]} images of that name among {len(images)}",
            allowed="class/name or name, with or without its suffix, of one training image",
            fix="correct the list, or keep the classes it was made for",
        )
    return labels


def _forms(name: str) -> set[str]:
    """Return the names by which a list may refer to an image."""
    name = escaped(name)
    stem = name.rpartition(".")[0]
    return {name, stem, name.rpartition("/")[2], stem.rpartition("/")[2]}


def labelled_fraction(labels: Sequence[int]) -> float:
    """Compute the fraction of the images that keep their label."""
    return 1 - int((np.asarray(labels) == UNLABELLED).sum()) / len(labels)


def save(folder: Path, images: ImageSet, labels: Sequence[int]) -> None:
    """Write the names of the images that keep their label into the run's folder."""
    kept = images.names.part(np.flatnonzero(np.asarray(labels) != UNLABELLED).tolist())
    with replacing(folder / LABELLED) as file:
        file.writelines(f"{escaped(name)}\n".encode() for name in kept)
