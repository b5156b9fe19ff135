"""Tables with a row for each image, as Hugging Face's `datasets` writes them, in Parquet or Arrow. Needs `pyarrow`."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pretrain.core.errors import DataError
from pretrain.images.stores import listed, shards, tables
from pretrain.images.stores.listed import Label
from pretrain.images.stores.rowgroups import LARGEST_GROUP, ROW, Groups, Rows

ENDINGS = (".parquet", tables.ARROW)
IMAGE, LABEL = ("image", "img"), ("label",)
"""Names of the columns, the first that is there; otherwise the only one that the schema says is an image or a class."""


class Columns(NamedTuple):
    """The columns of a file that are read."""

    image: tuple[str, str]
    """Name of the images' column, and of the field of it that has their bytes; empty where the column itself has them."""
    named: bool
    """Whether the column has a field `path` besides."""
    label: str | None
    """Name of the labels; None if there are none."""
    classes: list[str] | None
    """Names of the classes 0, 1, …, where the schema has them."""


def find(root: Path, split: str) -> listed.Listed | None:
    """Find the Parquet files of a split, and list their rows.

    Raises:
        DataError: If one can't be read, holds no images or only their paths, or `pyarrow` is missing.
    """
    files = [file for file in shards.of_split(root, split, ENDINGS) if tables.is_data(file)]
    if not files:
        return None
    _require_library(files[0])
    labels, paths, rows = list[Label](), list[str](), []
    classes, columns_of = list[list[str] | None](), []
    for number, file in enumerate(files):
        opened = _opened(file)
        try:
            columns = _columns(opened, file)
            rows.append(_rows(opened, number, file))
            if number == 0:
                _require_bytes(opened, columns, file)
            its_labels, its_paths = _read(opened, columns)
            _require_one_length(rows[-1], its_labels, its_paths)
        except Exception as error:  # ArrowException, and what numbers out of range raise in it
            raise error if isinstance(error, DataError) else _broken(file, error) from None
        labels += its_labels
        paths += its_paths
        classes.append(columns.classes)
        columns_of.append(columns.image)
    source = files[0] if len(files) == 1 else files[0].parent
    if not labels:
        raise DataError(f"no images in {source}", seen="tables without rows", fix="download them again")
    if any(each != classes[0] for each in classes):
        raise DataError(f"the files in {source} name other classes", allowed="one schema", fix="write them again, together")
    names, every = _named(labels, paths, classes[0] or listed.names_beside(files[0].parent), source)
    return listed.in_order(source, every, names, Rows(Groups(tuple(files), tuple(columns_of)), np.concatenate(rows)))


def _require_library(file: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        fix = "pip install 'bench-transfer[parquet]', or pip install pyarrow"
        raise DataError(f"reading {file} needs the package pyarrow", seen="it is not installed", fix=fix) from None


def _opened(file: Path) -> Any:
    try:
        return tables.opened(file)
    except Exception as error:
        raise _broken(file, error) from None


def _columns(opened: Any, file: Path) -> Columns:
    """Find the columns of images and labels.

    Raises:
        DataError: If there is no image column, or there are several, or labels of another kind.
    """
    from pyarrow import types

    schema, features = opened.schema_arrow, _features(opened)
    image = _chosen(schema.names, IMAGE, [name for name, its in features.items() if its.get("_type") == "Image"])
    label = _chosen(schema.names, LABEL, [name for name, its in features.items() if its.get("_type") == "ClassLabel"])
    kind: Any = None if image is None else schema.field(image).type
    inside = {field.name: field.type for field in kind} if kind is not None and types.is_struct(kind) else {}
    content = inside.get("bytes", kind)
    if content is None or not any(is_(content) for is_ in (types.is_binary, types.is_large_binary, types.is_null)):
        raise DataError(
            f"no images in the table {file}",
            seen=f"columns {', '.join(f'{field.name}: {field.type}' for field in schema)}"[:400],
            allowed="a column image, of bytes or with bytes and path inside (paths alone aren't enough), and a column label",
            fix="rename the columns: datasets.load_dataset(…).rename_column('picture', 'image').to_parquet('train.parquet')",
        )
    if types.is_null(content):
        raise _paths_only(file, str(image))
    if label is not None:
        _require_labels(schema.field(label).type, label, file)
    names = features.get(label or "", {}).get("names")
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return Columns((str(image), "bytes" if inside else ""), "path" in inside, label, names if known else None)


def _chosen(names: Sequence[str], usual: Sequence[str], of_kind: Sequence[str]) -> str | None:
    found = [name for name in usual if name in names] or [name for name in of_kind if name in names]
    return found[0] if found and (found[0] in usual or len(found) == 1) else None


def _features(opened: Any) -> dict[str, dict[str, Any]]:
    """Read what Hugging Face's `datasets` noted of the columns; empty where it noted nothing."""
    try:
        noted = json.loads((opened.schema_arrow.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: its for name, its in noted.items() if isinstance(its, dict)}
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _require_labels(kind: Any, label: str, file: Path) -> None:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if not (types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind)):
        raise DataError(
            f"the labels in the table {file} are no classes",
            seen=f"the column {label} of {kind}",
            allowed="whole numbers from 0, or names",
            fix="write one class for each image",
        )


def _rows(opened: Any, number: int, file: Path) -> np.ndarray:
    """Build the table (N,) of `ROW` of a file.

    Raises:
        DataError: If a row group is too large to be read for one image.
    """
    metadata = opened.metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    for group in groups:
        if group.total_byte_size > LARGEST_GROUP:
            raise DataError(
                f"the row groups of {file} are too large for reading images at random",
                seen=f"{group.num_rows:,} rows of {group.total_byte_size:,} bytes",
                allowed=f"at most {LARGEST_GROUP:,} bytes in a row group, better some megabytes",
                fix="write it again: pyarrow.parquet.write_table(table, file, row_group_size=100)",
            )
    counts = [group.num_rows for group in groups]
    rows = np.zeros(sum(counts), ROW)
    rows["file"], rows["group"] = number, np.repeat(np.arange(len(counts)), counts)
    rows["row"] = np.concatenate([np.arange(count) for count in counts] or [np.arange(0)])
    return rows


def _require_bytes(opened: Any, columns: Columns, file: Path) -> None:
    """Refuse a table whose first row group has no bytes of any image.

    NOTE: it is read for that, since pyarrow 26 ends the process where a column's statistics are damaged.
    """
    column, inside = columns.image
    leaf = f"{column}.{inside}" if inside else column
    if opened.metadata.num_row_groups:
        values = opened.read_row_group(0, columns=[leaf], use_threads=False)[column].to_pylist()
        if values and all((value[inside] if inside and value else value) is None for value in values):
            raise _paths_only(file, leaf)


def _read(opened: Any, columns: Columns) -> tuple[list[Label], list[str]]:
    """Read the labels and the paths of all rows; an empty path where there is none."""
    column = columns.image[0]
    wanted = [columns.label] * (columns.label is not None) + [f"{column}.path"] * columns.named
    total = opened.metadata.num_rows
    table = opened.read(columns=wanted, use_threads=False)
    labels: list[Any] = [None] * total if columns.label is None else table[columns.label].to_pylist()
    if not columns.named:
        return [_label(each) for each in labels], [""] * total
    return [_label(each) for each in labels], [str((each or {}).get("path") or "") for each in table[column].to_pylist()]


def _require_one_length(*columns: Any) -> None:
    """Refuse a damaged file, whose columns, row groups and number of rows contradict each other."""
    counts = [len(column) for column in columns]
    if len({*counts}) > 1:
        raise ValueError(f"row groups, labels and paths of {counts[0]}, {counts[1]} and {counts[2]} rows")


def _label(value: Any) -> Label:
    return listed.parsed(value) if isinstance(value, str) else value


def _named(
    labels: Sequence[Label], paths: Sequence[str], given: Sequence[str] | None, source: Path
) -> tuple[list[str], list[str]]:
    """Name the images by class and path, or all by class and row where a path is missing or there twice.

    Returns:
        The names, and the classes in order.
    """
    rows = [f"{number:08d}" for number in range(len(labels))]
    classes, each = listed.classes_of(labels, [path or row for path, row in zip(paths, rows, strict=True)], given, source)
    names = [listed.image_name(cls, path) for cls, path in zip(each, paths, strict=True)]
    if not all(paths) or Counter(names).most_common(1)[0][1] > 1:
        names = [f"{cls}/{row}" for cls, row in zip(each, rows, strict=True)]
    return names, classes


def _paths_only(file: Path, column: str) -> DataError:
    return DataError(
        f"the table {file} holds only the paths of its images",
        seen=f"no bytes in any row of {column}",
        allowed="the images themselves",
        fix="write it with the bytes of the files inside, or pass the folder that holds them with --data",
    )


def _broken(file: Path, error: Exception) -> DataError:
    fix = "copy it again and compare its size"
    return DataError(f"can't read the table {file}", seen=str(error).partition("\n")[0] or type(error).__name__, fix=fix)
