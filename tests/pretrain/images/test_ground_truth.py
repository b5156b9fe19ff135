"""Validation images without class folders: read with the file that says their classes, as if somebody had sorted them."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pretrain.core.errors import DataError
from pretrain.images import imageset

CLASSES = {1: "n02119789", 2: "n01440764", 3: "n02100735"}
"""A number of the development kit → synset; not in alphabetical order, as the kit's."""
NUMBERS = (3, 1, 1, 2)
"""Of the images 1 to 4."""
NAMES = [f"ILSVRC2012_val_{number:08}" for number in range(1, len(NUMBERS) + 1)]
TRUTH = "ILSVRC2012_validation_ground_truth.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "up" / "up" / "data"
    for shade, name in enumerate(NAMES):
        (root / "val").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), 10 * shade, np.uint8)).save(root / "val" / f"{name}.JPEG", format="JPEG")
    return root


def lines(path: Path, *text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text) + "\n")


def kit(root: Path) -> Path:
    folder = root / "ILSVRC2012_devkit_t12" / "data"
    lines(folder / TRUTH, *map(str, NUMBERS))
    return folder


def matlab(root: Path) -> None:
    rows = [(number, synset, 0) for number, synset in CLASSES.items()] + [(1001, "n00001740", 2)]
    table = np.array(rows, dtype=[("ILSVRC2012_ID", object), ("WNID", object), ("num_children", object)])
    savemat(kit(root) / "meta.mat", {"synsets": table})


def mapped(root: Path) -> None:
    lines(kit(root) / "map_clsloc.txt", *sorted(f"{synset} {number} a_name" for number, synset in CLASSES.items()))


def listed(root: Path) -> None:
    lines(kit(root) / "synsets.txt", *CLASSES.values())


def kaggle(root: Path) -> None:
    rows = [f"{name},{CLASSES[number]} 1 2 3 4 {CLASSES[number]} 5 6 7 8" for name, number in zip(NAMES, NUMBERS, strict=True)]
    lines(root.parent.parent / "LOC_val_solution.csv", "ImageId,PredictionString", *reversed(rows))


def tiny(root: Path) -> None:
    (root / "val").rename(root / "images")
    (root / "val").mkdir()
    (root / "images").rename(root / "val" / "images")
    rows = [f"{name}.JPEG\t{CLASSES[number]}\t0\t0\t3\t3" for name, number in zip(NAMES, NUMBERS, strict=True)]
    lines(root / "val" / "val_annotations.txt", *rows)


def script(root: Path) -> None:
    moves = [f"mv {name}.JPEG {CLASSES[number]}/" for name, number in zip(NAMES, NUMBERS, strict=True)]
    lines(root / "val" / "valprep.sh", "mkdir -p n02119789", *moves)


def zipped(root: Path) -> None:
    matlab(root)
    with zipfile.ZipFile(root / "val.zip", "w") as archive:
        for path in sorted((root / "val").iterdir()):
            archive.write(path, path.name)
    shutil.rmtree(root / "val")


@pytest.mark.parametrize("say", [matlab, mapped, listed, kaggle, tiny, script, zipped])
def test_images_are_read_as_if_they_lay_in_class_folders(root: Path, tmp_path: Path, say: Callable[[Path], None]) -> None:
    for name, number in zip(NAMES, NUMBERS, strict=True):
        target = tmp_path / "sorted" / "val" / CLASSES[number] / f"{name}.JPEG"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "val" / f"{name}.JPEG", target)
    wanted = imageset.read(tmp_path / "sorted", "val")
    say(root)
    found = imageset.read(root, "val", labelled=True)
    assert (found.names, found.labels, found.classes) == (wanted.names, wanted.labels, wanted.classes)
    assert found.fingerprint() == wanted.fingerprint()
    assert all(np.array_equal(found.open(i), wanted.open(i)) for i in range(len(found)))
    assert len(found.notes) == 1
    assert "the images of val have the classes of" in found.notes[0]
    assert imageset.read(root, "val", ["n02119789"]).names == wanted.names[2:]


def test_images_in_class_folders_need_no_such_file(root: Path) -> None:
    matlab(root)
    (root / "val" / "n02119789").mkdir()
    (root / "val" / f"{NAMES[0]}.JPEG").rename(root / "val" / "n02119789" / "x.JPEG")
    assert imageset.read(root, "val").names == ("n02119789/x.JPEG",)


def test_an_image_of_which_nothing_is_said_is_named(root: Path) -> None:
    matlab(root)
    (root / "val" / f"{NAMES[0]}.JPEG").rename(root / "val" / "ILSVRC2012_val_00000009.JPEG")
    with pytest.raises(DataError, match=r"doesn't say the class of 1 of the 4 images(.|\n)*seen: +ILSVRC2012_val_00000009"):
        imageset.read(root, "val")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda kit: None, "nothing says of what"),
        (lambda kit: lines(kit / "synsets.txt", *sorted(CLASSES.values())), "synsets in alphabetical order"),
        (lambda kit: lines(kit / "synsets.txt", "cat", "dog", "eel"), "can't read the synsets"),
        (lambda kit: lines(kit / "synsets.txt", "n02119789", "n01440764"), "seen: +3 of 2 synsets"),
        (lambda kit: lines(kit / "meta.mat", "no matlab"), "can't read the synsets"),
    ],
    ids=["none", "sorted", "no synsets", "too few", "broken"],
)
def test_numbers_whose_synsets_are_not_known_are_refused(root: Path, make: Callable[[Path], None], said: str) -> None:
    make(kit(root))
    with pytest.raises(DataError, match=said):
        imageset.read(root, "val")
