"""Opening a table: Parquet, or Arrow's stream, which `datasets.save_to_disk` writes and its cache holds."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ARROW = ".arrow"
STATE = "state.json"
"""File of a folder of `save_to_disk` that lists its data."""
SCRATCH = ("cache-", "tmp")
"""How files begin that `datasets` keeps beside the data."""


def opened(file: Path) -> Any:
    """Open a table: a `pyarrow.parquet.ParquetFile`, or an `Arrow`.

    Raises:
        Exception: Whatever a broken file makes of pyarrow.
    """
    from pyarrow import parquet

    return Arrow(file) if file.name.lower().endswith(ARROW) else parquet.ParquetFile(file)


def is_data(file: Path) -> bool:
    """Tell whether a file is a part of a data set, not a result that `datasets` keeps beside it."""
    if not file.name.lower().endswith(ARROW):
        return True
    try:
        said = json.loads((file.parent / STATE).read_text(encoding="utf-8"))
        return file.name in {each["filename"] for each in said["_data_files"]}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return not file.name.startswith(SCRATCH)


class Arrow:
    """Arrow's stream or file, mapped into memory, with what of a `ParquetFile` is used: a record batch is a row group."""

    def __init__(self, file: Path) -> None:
        """Open a file; its batches are checked, and not copied.

        Raises:
            Exception: Whatever a broken file makes of pyarrow.
        """
        import pyarrow
        from pyarrow import ipc

        mapped = pyarrow.memory_map(str(file))
        try:
            stream = ipc.open_stream(mapped)
            self._batches = list(stream)
        except pyarrow.ArrowInvalid:
            mapped.seek(0)
            stream = ipc.open_file(mapped)
            self._batches = [stream.get_batch(number) for number in range(stream.num_record_batches)]
        for batch in self._batches:
            batch.validate(full=True)
        self.schema_arrow = stream.schema
        self.metadata = SimpleNamespace(
            num_row_groups=len(self._batches),
            num_rows=sum(batch.num_rows for batch in self._batches),
            row_group=lambda number: SimpleNamespace(
                num_rows=self._batches[number].num_rows,
                total_byte_size=0,  # read in place: no size is too large
            ),
        )

    def read_row_group(self, number: int, columns: Sequence[str], use_threads: bool = False) -> Any:
        """Return a batch as a table of the columns that are named, whole ones also where a field is."""
        import pyarrow

        whole = list(
            dict.fromkeys(column if column in self.schema_arrow.names else column.partition(".")[0] for column in columns)
        )
        return pyarrow.Table.from_batches([self._batches[number]], self.schema_arrow).select(whole)

    def read(self, columns: Sequence[str], use_threads: bool = False) -> Any:
        """Return a table of the columns, or fields of them, that are named."""
        import pyarrow
        from pyarrow import compute

        table = pyarrow.Table.from_batches(self._batches, self.schema_arrow)
        found = {}
        for name in columns:
            column, _, inside = name.partition(".") if name not in table.column_names else (name, "", "")
            values = table[column]
            if inside:
                fields = compute.struct_field(values, inside).chunks
                values = pyarrow.chunked_array([pyarrow.StructArray.from_arrays([each], [inside]) for each in fields])
            found[column] = values
        return pyarrow.table(found)

    def close(self) -> None:
        """Forget the batches, which unmaps the file."""
        self._batches = []
