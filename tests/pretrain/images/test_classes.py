"""Class lists, fractions of the classes, label maps, and the epochs that keep the iterations."""

from pathlib import Path

import pytest

from pretrain.core.errors import BenchError, ConfigError, DataError
from pretrain.images import classes, imageset

FOLDERS = [f"n{i:02}" for i in range(20)]


def test_a_list_is_lines_or_yaml(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# two of them\nbee\n\n  ant \nbee\n")
    (tmp_path / "list.yaml").write_text("classes: [bee, ant]\n")
    assert classes.read_list(tmp_path / "list.txt") == classes.read_list(tmp_path / "list.yaml") == ["bee", "ant"]


@pytest.mark.parametrize("content", ["", "# nothing\n"])
def test_an_empty_list_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.txt").write_text(content)
    with pytest.raises(ConfigError, match="no classes in the list"):
        classes.read_list(tmp_path / "list.txt")


def test_a_fraction_is_seeded_and_part_of_every_larger_fraction() -> None:
    small, large = classes.draw_classes(FOLDERS, 0.2, seed=0), classes.draw_classes(FOLDERS, 0.5, seed=0)
    assert (len(small), len(large), len(classes.draw_classes(FOLDERS, 1.0, seed=0))) == (4, 10, 20)
    assert set(small) < set(large)
    assert small == classes.draw_classes(FOLDERS, 0.2, seed=0) == sorted(small)
    assert len({tuple(classes.draw_classes(FOLDERS, 0.5, seed)) for seed in range(5)}) == 5
    with pytest.raises(DataError, match="is no class"):
        classes.draw_classes(FOLDERS, 0.01, seed=0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("map.yaml", "ant: insect\nbee: insect\ncat: 3\n"),
        ("map.csv", "ant,insect\nbee, insect\ncat,3\n"),
        ("map.tsv", "ant\tinsect\nbee\tinsect\ncat\t3\n"),
    ],
)
def test_a_label_map_is_yaml_or_lines(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert classes.read_map(tmp_path / name) == {"ant": "insect", "bee": "insect", "cat": "3"}


@pytest.mark.parametrize("line", ["ant", "ant,", ",insect"])
def test_a_line_that_maps_nothing_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "map.csv").write_text(f"bee,insect\n{line}\n")
    with pytest.raises(ConfigError, match=rf"seen: +{line}"):
        classes.read_map(tmp_path / "map.csv")


@pytest.mark.parametrize("read", [classes.read_list, classes.read_map])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, read: object) -> None:
    with pytest.raises(BenchError, match="gone"):
        read(tmp_path / "gone.txt")  # type: ignore[operator]


def test_relabelled_images_have_the_labels_in_use_as_classes(root: Path) -> None:
    found = imageset.read(root, "train")
    swapped = classes.relabelled(found, {"ant": "z", "bee": "a", "cat": "unused"})
    assert swapped.classes == ("a", "z")
    assert swapped.labels == tuple(1 - label for label in found.labels)
    merged = classes.relabelled(found, {"ant": "insect", "bee": "insect"})
    assert (merged.classes, set(merged.labels)) == (("insect",), {0})
    assert swapped.names == merged.names == found.names


def test_labels_are_part_of_the_fingerprint_unless_they_are_the_folders_names(root: Path) -> None:
    found = imageset.read(root, "train")
    same = classes.relabelled(found, {"ant": "ant", "bee": "bee"})
    other = classes.relabelled(found, {"ant": "insect", "bee": "bee"})
    assert same.fingerprint() == found.fingerprint() != other.fingerprint()
    assert other.fingerprint(labels=False) == found.fingerprint()


def test_a_class_without_a_label_is_named(root: Path) -> None:
    with pytest.raises(DataError, match="1 of the 2 classes have no label in the label map: bee"):
        classes.relabelled(imageset.read(root, "train"), {"ant": "insect"})


@pytest.mark.parametrize(("used", "whole", "expected"), [(100, 100, 10), (50, 100, 20), (105, 1000, 100), (33, 100, 33)])
def test_lengthened_epochs_keep_the_iterations(used: int, whole: int, expected: int) -> None:
    epochs = classes.lengthened(10, used, whole, batch=10)
    assert epochs == expected
    steps_per_epoch = used // 10
    assert abs(epochs * steps_per_epoch - 10 * (whole // 10)) <= steps_per_epoch / 2


def test_a_label_map_may_write_a_folder_in_another_form_which_is_noted(root: Path) -> None:
    images = imageset.read(root, "train")
    found = classes.relabelled(images, {"Ant": "insect", "bee": "insect 2"})
    assert found.classes == ("insect", "insect 2")
    assert found.notes == (
        "1 class folders of the label map found under a name of another form, the first is 'ant', which is 'Ant'",
    )
    assert classes.relabelled(images, {"ant": "a", "bee": "b"}).notes == ()
