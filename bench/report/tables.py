"""Records and leaderboards as tables for notebooks: what the report computes, without a rendering."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from bench import report
from bench.report import json
from bench.report.gather import Problem, gather

PLACE = ["row", "column"]


def records(folders: Sequence[Path]) -> pd.DataFrame:
    """Return one line per record: its fields by the names of its schema, nested ones joined by points.

    Raises:
        RecordError: If there is no good record.
    """
    entries, problems = gather(folders)
    _warn(problems)
    lines = [{"path": str(entry.path)} | entry.record.model_dump(mode="json") for entry in entries]
    return pd.json_normalize(lines)


def leaderboard(folders: Sequence[Path], interests: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Return one line per cell, with its row's settings, its column, and its difference to the row's baseline.

    Raises:
        RecordError: If there is no good record.
    """
    content = report.read(folders, interests)
    _warn(content.problems)
    rows, differences = pd.DataFrame(json.rows(content)), pd.DataFrame(json.differences(content))
    cells = pd.DataFrame(json.cells(content)).drop(columns=["method", "aug", "arch"])
    wanted = [*PLACE, "answer", "mean", "low", "high"]
    against = differences.reindex(columns=wanted).rename(columns={"mean": "difference"})
    whole = cells.merge(rows, on="row").merge(against, on=PLACE, how="left")
    return whole[[*rows.columns, *(name for name in whole.columns if name not in rows.columns)]]


def _warn(problems: Iterable[Problem]) -> None:
    """Say what was left out."""
    for problem in problems:
        warnings.warn(f"left out: {problem.message}", stacklevel=4)
