"""Values from other tools' files, checked: text, JSON, XML, YAML, CSV, numbers and points."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pretrain.core.errors import DataError
from pretrain.core.texts import read_text
from pretrain.images.decode import MAX_PIXELS
from transfer.datasets import shown
from transfer.datasets.objects import FARTHEST

LARGEST = 2**28
"""Bytes of a file at most: LabelMe's hold the image, and CVAT's all annotations of a project."""

SEVERAL = "|"
"""What stands between the classes of an image that has several."""
LINES = ".jsonl"
TABLES = (".csv", ".tsv", LINES)
"""Endings of tables."""


def text_of(path: Path) -> str:
    """Read a text file in UTF-8 or, with a byte order mark, UTF-16.

    Raises:
        DataError: If it can't be read.
    """
    return read_text(path, LARGEST)


def lines_of(path: Path) -> list[str]:
    """Read the lines of a text file that aren't empty, without blanks around them."""
    return [line.strip() for line in text_of(path).splitlines() if line.strip()]


def json_of(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        DataError: If it can't be read, or holds something else.
    """
    return mapping(any_json_of(path), str(path))


def any_json_of(path: Path) -> Any:
    """Read a JSON file, whatever it holds.

    Raises:
        DataError: If it can't be read.
    """
    try:
        return json.loads(text_of(path))
    except RecursionError:
        raise DataError(f"can't read {path} as JSON", seen="nested too deeply") from None
    except ValueError as error:
        raise DataError(f"can't read {path} as JSON", seen=error) from None


def rows_of(path: Path) -> list[list[str]]:
    """Read the rows of a table that aren't empty, its heading first, as `rows_in` does.

    Raises:
        DataError: If it can't be read.
    """
    return rows_in(text_of(path), str(path))


def rows_in(text: str, where: str) -> list[list[str]]:
    """Read the rows of a table: with commas, semicolons or tabs, or (`.jsonl`) an object a line, whose keys are the heading.

    Raises:
        DataError: If it can't be read.
    """
    if where.endswith(LINES):
        return _objects(json_lines(text, where))
    lines = text.removeprefix("\ufeff").splitlines()
    separator = max(",;\t", key=lines[0].count) if lines else ","
    try:
        return [row for row in csv.reader(lines, delimiter=separator) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(f"can't read {where} as a table", seen=error) from None


def json_lines(text: str, where: str) -> list[dict[str, Any]]:
    """Read JSON objects, one a line; empty lines are passed over.

    Raises:
        DataError: If a line can't be read, or holds something else.
    """
    found = list[dict[str, Any]]()
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):  # other line ends may stand in a text
        if line.strip():
            try:
                found.append(mapping(json.loads(line), f"line {number} of {where}"))
            except (ValueError, RecursionError) as error:
                seen = f"line {number}: {str(error) or 'nested too deeply'}"
                raise DataError(f"can't read {where} as JSON, an object a line", seen=seen) from None
    return found


def _objects(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    heading = list(dict.fromkeys(key for row in rows for key in row))
    return [heading, *([_cell(row.get(key)) for key in heading] for row in rows)] if rows else []


def _cell(value: Any) -> str:
    """Write a value of JSON as tables do."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return SEVERAL.join(value)
    return "" if value is None else str(int(value) if isinstance(value, bool) else value)


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        DataError: If it is something else.
    """
    if not isinstance(value, dict):
        raise DataError(f"{where} is not an object", seen=shown(value), allowed='{"name": value, …}')
    return value


def entries(value: Any, where: str) -> list[dict[str, Any]]:
    """Return a list of JSON objects; none where it is null.

    Raises:
        DataError: If it is something else.
    """
    if not isinstance(value, list | None):
        raise DataError(f"{where} is not a list", seen=shown(value))
    return [mapping(entry, f"{where}[{index}]") for index, entry in enumerate(value or ())]


def word(value: Any, where: str) -> str:
    """Return a name without blanks around it; a number's digits count as one.

    Raises:
        DataError: If it is no text, or empty.
    """
    found = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not found:
        raise DataError(f"{where} is not a name", seen=shown(value))
    return found


def number(value: Any, where: str) -> float:
    """Return a number, also one written as text.

    Raises:
        DataError: If it is none, or beyond every image.
    """
    try:
        found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not abs(found) <= FARTHEST:
        raise DataError(f"{where} is not a number", seen=shown(value), allowed=f"a number of at most {FARTHEST:,.0f}")
    return found


def whole(value: Any, where: str) -> int:
    """Return a whole number, also one written as text.

    Raises:
        DataError: If it is none.
    """
    found = number(value, where)
    if found != int(found):
        raise DataError(f"{where} is not a whole number", seen=shown(value))
    return int(found)


def points(value: Any, where: str) -> list[tuple[float, float]]:
    """Return points from a list of pairs.

    Raises:
        DataError: If it isn't one.
    """
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise DataError(f"{where} is not a list of points", seen=shown(value), allowed="[[x, y], …]")
    return [(number(x, where), number(y, where)) for x, y in value]


def corners(found: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Return the box around points."""
    across, down = zip(*found, strict=True)
    return min(across), min(down), max(across), max(down)


def size_of(width: Any, height: Any, where: str) -> tuple[int, int] | None:
    """Return the size of an image as its annotation says; None where it says nothing, or zero.

    Raises:
        DataError: If it is no size of an image that can be decoded.
    """
    sides = [0 if side is None or side == "" else whole(side, f"the size of {where}") for side in (width, height)]
    if min(sides) < 0 or sides[0] * sides[1] > MAX_PIXELS:
        raise DataError(
            f"{where} has no size that can be", seen=f"{sides[0]} × {sides[1]}", allowed=f"at most {MAX_PIXELS:,} pixels"
        )
    return (sides[0], sides[1]) if all(sides) else None
