"""The classes of a run and their labels: class lists, random fractions of the classes, and label maps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pretrain.core.atomic import replacing
from pretrain.core.errors import ConfigError, DataError
from pretrain.core.plain import read_yaml
from pretrain.core.settings import text_lines
from pretrain.images.compact import Numbers
from pretrain.images.imageset import ImageSet
from pretrain.images.names import Names, renamed_note

YAML = frozenset({".yaml", ".yml"})
"""Endings of lists and maps that are YAML; others are lines of text."""
LISTED = "classes.txt"
"""File in the run's folder with the classes it used."""
CLASSES = "classes"
"""Key of the names in a YAML class list."""


def read_list(path: Path) -> list[str]:
    """Read the class folders that a file lists: one per line, or YAML with a list under `classes`.

    Raises:
        ConfigError: If it can't be read or lists nothing.
    """
    if path.suffix in YAML:
        values = read_yaml(path).get(CLASSES)
        names = [str(value) for value in values] if isinstance(values, list) else []
    else:
        names = text_lines(path)
    if not names:
        raise ConfigError(f"no classes in the list {path}", allowed=f"one class folder per line, or `{CLASSES}:` in YAML")
    return list(dict.fromkeys(names))


def draw_classes(folders: Sequence[str], fraction: float, seed: int) -> list[str]:
    """Draw a seeded, uniform `fraction` of the classes, of which all images are used.

    Huang et al. 2022 (arXiv:2208.00275, supplement) draw 10, 20, 50, 70 and 100 % of ImageNet's classes. With the same seed
    a smaller fraction is part of a larger one.

    Raises:
        DataError: If the fraction rounds to no class.
    """
    count = round(fraction * len(folders))
    if not count:
        raise DataError(f"a fraction of {fraction:g} of {len(folders)} classes is no class", fix="choose a larger fraction")
    order = np.random.default_rng((seed, 0, 1)).permutation(len(folders))
    return sorted(folders[i] for i in order[:count])


def save(folder: Path, images: ImageSet) -> None:
    """Write the class folders in use into the run's folder, one per line: a valid list for `--classes`."""
    if images.mapped:
        used = list(dict.fromkeys(name.split("/", 1)[0] for name in images.names))
    else:
        used = [images.classes[label] for label in np.unique(np.asarray(images.labels))]
    with replacing(folder / LISTED) as file:
        file.write("".join(f"{name}\n" for name in used).encode())


def read_map(path: Path) -> dict[str, str]:
    """Read a label map, class folder → label: YAML `folder: label`, or lines `folder,label`, with a comma or a tab.

    Raises:
        ConfigError: If it can't be read, or a line doesn't have two parts.
    """
    if path.suffix in YAML:
        return {str(folder): str(label) for folder, label in read_yaml(path).items()}
    labels = {}
    for line in text_lines(path):
        folder, separator, label = line.partition("\t" if "\t" in line else ",")
        if not separator or not folder.strip() or not label.strip():
            raise ConfigError(f"not a line of a label map in {path}", seen=line, allowed="folder,label or folder: label (YAML)")
        labels[folder.strip()] = label.strip()
    return labels


def relabelled(images: ImageSet, labels: Mapping[str, str], what: str = "class folders of the label map") -> ImageSet:
    """Give the images other labels: their classes become the labels in use, sorted.

    Args:
        images: The images.
        labels: Class folder → label.
        what: What a note calls folders that are there in another form than `labels` writes them.

    Raises:
        DataError: If a class has no label; names the first ones.
    """
    names = Names(labels)
    meant = {folder: names.find(folder) for folder in images.classes}
    missing = [folder for folder, name in meant.items() if name is None]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(images.classes)} classes have no label in the label map: {', '.join(missing[:4])}",
            seen=f"{len(labels)} classes in the map",
            fix="add them to the map, or exclude these classes with --classes",
        )
    given = [labels[name] for name in meant.values() if name is not None]
    classes = tuple(sorted(set(given)))
    new = np.array([classes.index(label) for label in given], np.int32)
    notes = (*images.notes, *renamed_note(what, meant))
    return replace(images, classes=classes, labels=Numbers(new[np.asarray(images.labels)]), notes=notes, mapped=True)


def lengthened(epochs: int, images: int, whole: int, batch: int) -> int:
    """Compute the epochs over `images` images whose number of steps is nearest to `epochs` epochs over `whole` images.

    Incomplete last batches are dropped in both. Huang et al. (supplement 2) lengthen the training on a part of the classes in
    this way. NOTE: they don't say how they round.
    """
    return max(1, round(epochs * (whole // batch) / (images // batch)))
