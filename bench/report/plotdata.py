"""Collect what the page's plots read: means by row, correlations, cost against score, and invariance curves."""

from collections.abc import Sequence
from typing import Any

from bench.report import findings, measures, predicting, words
from bench.report.content import Content
from transfer.board.columns import Column
from transfer.board.cost import Cost, front
from transfer.board.probe_matrix import SWEPT, Sweep, Value


def build(content: Content) -> dict[str, Any]:
    """Build the part of the page's data that the plots read; columns and rows are named by index in the leaderboard."""
    pareto = _pareto(content)
    plotted = {column for one in content.predictions for column in (one.measure, one.metric)} | {
        one["column"] for one in pareto
    }
    columns = [content.board.columns[index] for index in sorted(plotted)]
    return {
        "values": {column.index: _values(content, column) for column in columns},
        "titles": {column.index: _title(column) for column in columns},
        "pairs": _pairs(content),
        "pareto": pareto,
        "sweeps": [_sweep(sweep) for sweep in content.sweeps],
    }


def short(value: float) -> float:
    """Round to six digits, which is all that a plot shows."""
    return float(f"{value:.6g}")


def _values(content: Content, column: Column) -> list[float | None]:
    """List the mean of each row; None where there is none."""
    cells = (content.board.cells.get((row, column.index)) for row in range(len(content.board.rows)))
    return [None if cell is None or cell.mean is None else short(cell.mean) for cell in cells]


def _title(column: Column) -> str:
    """Name a column over an axis, with its unit."""
    unit = column.metric.axis
    return findings.metric(column) + (f" ({unit})" if unit else "")


def _pairs(content: Content) -> list[dict[str, Any]]:
    """Describe each measure against each metric, where there are two backbones or more, with the stratum of each."""
    return [
        {
            "measure": one.measure,
            "metric": one.metric,
            "rows": one.rows,
            "strata": [names.index(stratum) for stratum in one.strata],
            "names": [predicting.stratum(stratum) for stratum in names],
            "spearman": words.signed(one.spearman, 2),
            "kendall": words.signed(one.kendall, 2),
            "p": words.ABSENT if one.p is None else f"{one.p:.2g}",
            "verdict": one.verdict,
        }
        for one in content.predictions
        if len(one.rows) > 1
        for names in [list(dict.fromkeys(one.strata))]
    ]


def _pareto(content: Content) -> list[dict[str, Any]]:
    """List cost and score of the rows whose pre-training was recorded, for each ranking metric that two of them have.

    Every hardware has a front of its own.
    """
    board, plots = content.board, []
    for column in words.columns(board, headline=True):
        points = [
            (row, made.cost, cell.mean)
            for row, made in enumerate(board.rows)
            if made.cost is not None and (cell := board.cells.get((row, column.index))) is not None and cell.mean is not None
        ]
        if column.metric.sign > 0 and len(points) > 1:
            hours = {row: short(cost.device_hours) for row, cost, _ in points}
            plots.append({"column": column.index, "hours": hours, "fronts": _fronts(points)})
    return plots


def _fronts(points: Sequence[tuple[int, Cost, float]]) -> list[dict[str, Any]]:
    """List for each hardware the rows that no other row beats at both cost and score, by rising cost."""
    fronts = []
    for hardware in dict.fromkeys(cost.hardware for _, cost, _ in points):
        same = [(row, cost.device_hours, mean) for row, cost, mean in points if cost.hardware == hardware]
        best = front([(hours, mean) for _, hours, mean in same])
        fronts.append({"hardware": words.clean(hardware), "rows": [same[index][0] for index in best]})
    return fronts


def _sweep(sweep: Sweep) -> dict[str, Any]:
    """Describe one sweep: a panel for each measure, in it a line for each row."""
    return {
        "title": f"{measures.sweep_title(sweep)} on {words.clean(sweep.protocol.key.data)}",
        "x": measures.swept(sweep),
        "numeric": sweep.numeric,
        "panels": [
            {
                "title": measures.measure_title(name),
                "lines": [{"row": row, **_line(sweep, line)} for row, line in lines.items()],
            }
            for name in SWEPT
            if (lines := sweep.values[name])
        ],
    }


def _line(sweep: Sweep, line: Sequence[Value | None]) -> dict[str, list[Any]]:
    """List strengths, means, and how far their intervals reach below and above them (0 where none is known)."""
    known = [(strength, found) for strength, found in zip(sweep.strengths, line, strict=True) if found is not None]
    ends = [(found.mean, *(found.interval or (found.mean, found.mean))) for _, found in known]
    return {
        "strengths": [strength if sweep.numeric else measures.strength(strength) for strength, _ in known],
        "means": [short(mean) for mean, _, _ in ends],
        "below": [short(max(mean - low, 0.0)) for mean, low, _ in ends],
        "above": [short(max(high - mean, 0.0)) for mean, _, high in ends],
    }
