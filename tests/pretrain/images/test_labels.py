"""Which images keep their label: a balanced fraction, or a list whose every line means one image."""

from pathlib import Path

import pytest

from pretrain.core.errors import DataError
from pretrain.images import imageset, labels
from pretrain.images.imageset import ImageSet
from pretrain.images.labels import UNLABELLED


@pytest.fixture
def found(root: Path) -> ImageSet:
    return imageset.read(root, "train")


def test_kept_labels_are_balanced_seeded_and_right() -> None:
    given = [i % 4 for i in range(400)]
    kept = labels.balanced(given, 0.25, seed=3)
    assert kept == labels.balanced(given, 0.25, seed=3)
    assert kept != labels.balanced(given, 0.25, seed=4)
    assert [kept.count(cls) for cls in range(4)] == [25] * 4
    assert all(k in (label, UNLABELLED) for k, label in zip(kept, given, strict=True))


def test_a_fraction_of_none_or_all_keeps_none_or_all(found: ImageSet) -> None:
    assert set(labels.assign_labels(found, 0.0, None, seed=0)) == {UNLABELLED}
    assert labels.assign_labels(found, 1.0, None, seed=0) == list(found.labels)


@pytest.mark.parametrize(
    "form",
    ["train/ant/ant_3.png", ".\\ant\\ANT_3.PNG", "/data/train/ant/ant_3", "ant/ant_3.png", "ant/ant_3", "ant_3.png", "ant_3"],
)
def test_a_list_names_images_with_or_without_class_and_suffix(found: ImageSet, form: str) -> None:
    kept = labels.assign_labels(found, None, [form, "bee_0"], seed=0)
    assert {name: label for name, label in zip(found.names, kept, strict=True) if label != UNLABELLED} == {
        "ant/ant_3.png": 0,
        "bee/bee_0.png": 1,
    }
    assert labels.labelled_fraction(kept) == pytest.approx(2 / 12)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ant_1", "ant_9", "x"], r"^2 of 3 names .* the first is 'ant_9'(.|\n)*seen: +0 images"),
        (["bee/ant_1"], "the first is 'bee/ant_1'"),
        ([], "no image would keep its label"),
    ],
)
def test_a_list_that_does_not_match_is_refused(found: ImageSet, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels.assign_labels(found, None, names, seed=0)


def test_a_name_that_means_two_images_is_refused(root: Path) -> None:
    (root / "train" / "bee" / "bee_1.png").rename(root / "train" / "bee" / "ant_1.png")
    found = imageset.read(root, "train")
    with pytest.raises(DataError, match=r"'ant_1'(.|\n)*2 images of that name"):
        labels.assign_labels(found, None, ["ant_1"], seed=0)
    assert labels.labelled_fraction(labels.assign_labels(found, None, ["bee/ant_1"], seed=0)) == pytest.approx(1 / 12)


def test_labels_are_refused_where_there_are_none(root: Path, found: ImageSet) -> None:
    with pytest.raises(DataError, match="one class"):
        labels.assign_labels(imageset.read(root, "train", ["ant"]), 0.5, None, seed=0)
    with pytest.raises(DataError, match=r"no image would keep its label(.|\n)*0\.01 of 12 images"):
        labels.assign_labels(found, 0.01, None, seed=0)


def test_what_was_kept_is_saved_as_a_list_that_gives_the_same_labels(found: ImageSet, tmp_path: Path) -> None:
    kept = labels.assign_labels(found, 0.5, None, seed=1)
    labels.save(tmp_path, found, kept)
    names = (tmp_path / "labelled.txt").read_text().splitlines()
    assert len(names) == 6
    assert labels.assign_labels(found, None, names, seed=0) == kept
