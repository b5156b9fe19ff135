"""Images in row groups of tables, read at random: a group at a time, of which some stay in memory."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pretrain.core.errors import DataError
from pretrain.images.stores import tables

ROW = np.dtype([("file", np.int32), ("group", np.int32), ("row", np.int32)])
"""An image: its file, row group, and row in the group."""
LARGEST_GROUP = 2**29
"""Bytes of a row group at most."""
KEPT = 2**26
"""Bytes of row groups that a process keeps, beside the last one."""
OPEN = 64
"""Files that a process keeps open."""


class Groups:
    """The column of images in some files. Each process opens the files for itself; its threads read one after another."""

    def __init__(self, files: tuple[Path, ...], columns: tuple[tuple[str, str], ...]) -> None:
        """Use the files and, of each, the column of images and the field of it that has their bytes ("" if none)."""
        self.files, self.columns = files, columns
        self._forget()

    def value(self, file: int, group: int, row: int) -> bytes | None:
        """Read one value.

        Raises:
            OSError: If it can't be read.
        """
        with self._held():
            value = self._group(file, group)[row].as_py()
        return value if isinstance(value, bytes) else None

    def sizes(self, file: int) -> list[np.ndarray]:
        """Compute the bytes of each value of a file, by row groups: reads all of it.

        Raises:
            DataError: If it can't be read.
            OSError: If it is gone.
        """
        from pyarrow import compute

        try:
            with self._held():
                count = self._file(file).metadata.num_row_groups
                lengths = [compute.binary_length(self._group(file, group).cast("binary")) for group in range(count)]
        except FileNotFoundError:
            raise
        except OSError as error:
            fix = "copy it again and compare its size"
            raise DataError(f"can't read the table {self.files[file]}", seen=str(error).partition("\n")[0], fix=fix) from None
        return [each.fill_null(0).to_numpy().astype(np.int64) for each in lengths]

    def _held(self) -> threading.Lock:
        if self._process != os.getpid():  # forked: neither files nor locks can be shared
            self._forget()
        return self._lock

    def _forget(self) -> None:
        self._process, self._lock = os.getpid(), threading.Lock()
        self._opened: OrderedDict[int, Any] = OrderedDict()
        self._groups: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def _file(self, file: int) -> Any:
        if file not in self._opened:
            while len(self._opened) >= OPEN:
                self._opened.popitem(last=False)[1].close()
            try:
                self._opened[file] = tables.opened(self.files[file])
            except FileNotFoundError:
                raise
            except Exception as error:  # ArrowException, and what numbers out of range raise in it
                raise OSError(f"its table can't be opened: {error}") from None
        return self._opened[file]

    def _group(self, file: int, group: int) -> Any:
        """Read a row group's values, or take them from memory."""
        key = file, group
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        self._groups[key] = values = self._values(file, group)
        while len(self._groups) > 1 and sum(each.nbytes for each in self._groups.values()) > KEPT:
            self._groups.popitem(last=False)
        return values

    def _values(self, file: int, group: int) -> Any:
        from pyarrow import compute

        column, inside = self.columns[file]
        leaf = f"{column}.{inside}" if inside else column
        try:
            values = self._file(file).read_row_group(group, columns=[leaf], use_threads=False)[column]
            rows = self._file(file).metadata.row_group(group).num_rows
            found = compute.struct_field(values, inside) if inside else values
        except FileNotFoundError:
            raise
        except Exception as error:  # ArrowException, and what numbers out of range raise in it
            raise OSError(f"its row group can't be read: {error}") from None
        if len(found) != rows:
            raise OSError(f"its row group has {len(found)} values of {rows}")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files, "columns": self.columns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


@dataclass(frozen=True)
class Rows:
    """Images in rows."""

    groups: Groups
    """The files."""
    table: np.ndarray
    """(N,) of `ROW`."""

    def __len__(self) -> int:
        return len(self.table)

    def part(self, indices: Sequence[int]) -> "Rows":
        """Select images by their indices."""
        return Rows(self.groups, self.table[np.asarray(indices, np.int64)])

    def sizes(self) -> Iterator[int]:
        """Yield the bytes of each image.

        Raises:
            DataError: If a file can't be read.
            OSError: If it is gone.
        """
        sizes = np.zeros(len(self.table), np.int64)
        for file in np.unique(self.table["file"]).tolist():
            its = self.table["file"] == file
            by_group = self.groups.sizes(file)
            starts = np.cumsum([0, *map(len, by_group)])
            sizes[its] = np.concatenate(by_group)[starts[self.table["group"][its]] + self.table["row"][its]]
        return iter(sizes.tolist())

    def read(self, index: int) -> bytes:
        """Read one image.

        Raises:
            OSError: If it can't be read, or its row has no bytes.
        """
        value = self.groups.value(*self.table[index].item())
        if value is None:
            raise OSError("its row has no bytes, a path at most")
        return value

    def source(self, index: int) -> Path:
        """Return the file that holds an image."""
        return self.groups.files[self.table["file"][index]]
