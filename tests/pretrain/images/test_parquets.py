"""Parquet tables of images: their columns and labels, and tables that can't be read."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from pretrain.images import imageset
from pretrain.images.stores import rowgroups

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


DATA = [png(seed) for seed in range(4)]
PATHS = ["1.png", "2.png", "3.png", "4.png"]


def structs(paths: list[str | None], data: list[bytes | None] = DATA) -> list[dict[str, object]]:
    return [{"bytes": content, "path": path} for content, path in zip(data, paths, strict=True)]


def table(root: Path, columns: dict[str, object], features: dict[str, object] | None = None, *, group: int = 2) -> Path:
    made = pa.table(columns)
    if features is not None:
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(made, root / "train.parquet", row_group_size=group, compression="none")
    return root


CLASSES = {"_type": "ClassLabel", "names": ["ant", "bee"]}
READ: dict[str, tuple[dict[str, object], dict[str, object] | None, tuple[str, ...]]] = {
    "numbers": (
        {"image": structs(PATHS), "label": [10, 9, 10, 9]},
        None,
        ("9/2.png", "9/4.png", "10/1.png", "10/3.png"),
    ),
    "names in the schema": (
        {"image": structs(PATHS), "label": [1, 0, 1, 0]},
        {"label": CLASSES},
        ("ant/2.png", "ant/4.png", "bee/1.png", "bee/3.png"),
    ),
    "texts": (
        {"image": structs(PATHS), "label": ["bee", "ant", "bee", "ant"]},
        None,
        ("ant/2.png", "ant/4.png", "bee/1.png", "bee/3.png"),
    ),
    "a dictionary of texts": (
        {"image": structs(PATHS), "label": pa.array(["bee", "ant", "bee", "ant"]).dictionary_encode()},
        None,
        ("ant/2.png", "ant/4.png", "bee/1.png", "bee/3.png"),
    ),
    "bytes alone": (
        {"image": DATA, "label": [1, 0, 1, 0]},
        None,
        ("0/00000001", "0/00000003", "1/00000000", "1/00000002"),
    ),
    "one path twice": (
        {"image": structs(["x.png", "x.png", "y.png", "y.png"]), "label": [1, 1, 0, 0]},
        None,
        ("0/00000002", "0/00000003", "1/00000000", "1/00000001"),
    ),
    "whole paths": (
        {"image": structs(["/d/bee/1.png", "train/ant/a/2.png", "x/3.png", "4.png"]), "label": [1, 0, 1, 0]},
        {"label": CLASSES},
        ("ant/4.png", "ant/a/2.png", "bee/1.png", "bee/x/3.png"),
    ),
    "columns that the schema names": (
        {"picture": structs(PATHS), "kind": [1, 0, 1, 0], "id": [1, 2, 3, 4]},
        {"picture": {"_type": "Image"}, "kind": CLASSES, "id": {"_type": "Value"}},
        ("ant/2.png", "ant/4.png", "bee/1.png", "bee/3.png"),
    ),
    "no labels": ({"img": structs(PATHS)}, None, tuple(f"unlabelled/{path}" for path in PATHS)),
    "labels of a hidden test set": (
        {"image": structs(PATHS), "label": [-1] * 4},
        None,
        tuple(f"unlabelled/{path}" for path in PATHS),
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_a_table_is_read_by_its_columns(tmp_path: Path, kind: str) -> None:
    columns, features, expected = READ[kind]
    found = imageset.read(table(tmp_path, columns, features), "train")
    assert found.names == expected
    assert sorted(found.members.read(index) for index in range(4)) == sorted(DATA)
    assert list(found.members.sizes()) == [len(found.members.read(index)) for index in range(4)]


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no image": (
        {"picture": DATA, "label": [0] * 4},
        r"no images in the table .*\n.*picture: binary, label: int64(.|\n)*rename",
    ),
    "paths": ({"image": PATHS, "label": [0] * 4}, r"no images in the table .*\n.*image: string"),
    "a struct of paths": ({"image": [{"path": path} for path in PATHS]}, r"no images in the table .*\n.*struct<path"),
    "paths without bytes": (
        {
            "image": pa.array(structs(PATHS, [None] * 4), pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            "label": [0] * 4,
        },
        r"only the paths of its images",
    ),
    "a column of nothing": ({"image": structs(PATHS, [None] * 4), "label": [0] * 4}, r"only the paths of its images"),
    "several labels": ({"image": structs(PATHS), "label": [[0, 1]] * 4}, r"labels in the table .* are no classes\n.*list"),
    "shares": ({"image": structs(PATHS), "label": [0.5] * 4}, r"labels in the table .* are no classes\n.*double"),
    "a missing label": ({"image": structs(PATHS), "label": [0, None, 1, 1]}, r"1 of the 4 images in .* have no label: 2\.png"),
    "no rows": ({"image": pa.array([], pa.binary())}, r"no images in .*\n.*without rows"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_table_without_images_or_classes_is_refused_with_its_columns(tmp_path: Path, kind: str) -> None:
    columns, message = REFUSED[kind]
    with pytest.raises(DataError, match=message):
        imageset.read(table(tmp_path, columns), "train")


def test_a_row_without_bytes_is_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    found = imageset.read(table(tmp_path, {"image": structs(PATHS, [*DATA[:3], None]), "label": [0, 0, 1, 1]}), "train")
    assert list(found.members.sizes())[3] == 0
    with pytest.raises(DataError, match=r"1/4\.png in .*train\.parquet(.|\n)*no bytes"):
        found.open(3)


def cut(data: bytes) -> bytes:
    return data[:-100]


def in_the_second_group(data: bytes) -> bytes:
    at = data.index(DATA[2])
    return data[: at - 16] + bytes(16) + data[at:]


def of_three_rows(data: bytes) -> bytes:
    """Say 3 rows in the place of 4, in the count of the whole file (thrift: field, number, field of the row groups)."""
    before, _, rest = data.rpartition(b"\x16\x08\x19")
    return before + b"\x16\x06\x19" + rest


@pytest.mark.parametrize(
    ("damage", "when"),
    [(cut, "listed"), (lambda data: b"", "listed"), (of_three_rows, "listed"), (in_the_second_group, "read")],
)
def test_a_damaged_table_is_one_message(tmp_path: Path, damage: Callable[[bytes], bytes], when: str) -> None:
    file = table(tmp_path, {"image": structs(PATHS)}) / "train.parquet"
    file.write_bytes(damage(file.read_bytes()))
    if when == "listed":
        with pytest.raises(DataError, match=r"can't read the table .*train\.parquet"):
            imageset.read(tmp_path, "train")
        return
    found = imageset.read(tmp_path, "train")
    assert found.members.read(0) == DATA[0]
    with pytest.raises(DataError, match=r"3\.png in .*train\.parquet"):
        found.open(2)
    with pytest.raises(DataError, match=r"train\.parquet"):
        found.fingerprint()


def test_row_groups_too_large_for_reading_at_random_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pretrain.images.stores.parquets.LARGEST_GROUP", 300)
    with pytest.raises(DataError, match=r"row groups of .*train\.parquet are too large(.|\n)*row_group_size"):
        imageset.read(table(tmp_path, {"image": structs(PATHS)}, group=4), "train")


def test_few_row_groups_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowgroups, "KEPT", len(DATA[0]) * 3)
    found = imageset.read(table(tmp_path, {"image": structs(PATHS)}, group=1), "train")
    for index in (0, 1, 2, 3, 0):
        assert found.members.read(index) == DATA[index]
        assert len(found.members.groups._groups) <= 3


def test_without_the_library_a_message_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path, {"image": structs(PATHS)})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs the package pyarrow(.|\n)*pip install"):
        imageset.read(tmp_path, "train")


def test_a_row_group_with_fewer_values_than_it_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = imageset.read(table(tmp_path, {"image": structs(PATHS), "label": [0, 1, 0, 1]}), "train")
    honest = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda self, *args, **how: honest(self, *args, **how).slice(1))
    with pytest.raises(DataError, match="1 values of 2"):
        found.fingerprint()
    with pytest.raises(DataError, match="1 values of 2"):
        found.picture(0).pixels()
