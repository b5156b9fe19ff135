"""Tabulate what was measured of the features: everything beside Linv and Ldiv, the matrix of probes, and the sweeps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.report import coverage, words
from bench.report.content import Content
from transfer.board.columns import REPRESENTATION, Column
from transfer.board.probe_matrix import SWEPT, Matrix, Sweep, Value, value
from transfer.metrics import metric

FEATURES = "What the features are like"
FEATURES_READ = (
    "Views of held-out images under the base pipeline alone, with 95 % intervals over images in brackets; several runs are "
    "pooled as mean ± standard deviation (n). Diversity is 1 − Ldiv and can't exceed its cap, so that a trade-off with Linv is "
    "partly an identity; what different images have in common inflates every cosine."
)
PROBES = "What training changed, and what an augmentation does"
PROBES_READ = (
    "Down a column one fixed probe looks at every backbone: what differs is what training changed. Along a row one backbone is "
    "seen under every probe: what differs is the augmentation. Brackets are 95 % intervals over images."
)
SWEEPS = "Invariance curves"
SWEEPS_READ = (
    "One augmentation at several strengths, everything else the same: what invariance and diversity are left. Bars and "
    "brackets are 95 % intervals over images."
)


class Table(NamedTuple):
    """One table under its title."""

    title: str
    headings: tuple[str, ...]
    lines: list[tuple[str, ...]]


def features(content: Content) -> list[Table]:
    """Make one table per protocol under which representations were measured, without a probe."""
    board, labels, tables = content.board, words.labels(content.board.rows), []
    for protocol in board.protocols:
        if protocol.key.protocol == REPRESENTATION:
            columns = [column for column in board.columns if column.protocol is protocol]
            rows = [row for row in range(len(labels)) if any((row, column.index) in board.cells for column in columns)]
            lines = [(labels[row], *(_cell(content, row, column) for column in columns)) for row in rows]
            title = f"{words.heading(protocol)} on {words.clean(protocol.key.data)}"
            tables += [Table(title, ("pre-training", *map(words.title, columns)), lines)] if lines else []
    return tables


def matrices(content: Content) -> list[Table]:
    """Make one table per measure that was taken under several probes."""
    labels = words.labels(content.board.rows)
    return [
        Table(
            f"{words.title(matrix.column)} on {words.clean(matrix.column.protocol.key.data)}",
            ("pre-training", *map(words.clean, matrix.probes)),
            [(labels[row], *_probed(content, matrix, row)) for row in matrix.values],
        )
        for matrix in content.matrices
    ]


def sweeps(content: Content) -> list[Table]:
    """Make one table per swept field of an augmentation."""
    labels = words.labels(content.board.rows)
    return [
        Table(
            f"{sweep_title(sweep)} on {words.clean(sweep.protocol.key.data)}",
            ("pre-training", "measure", *map(strength, sweep.strengths)),
            [
                (labels[row], measure_title(name), *_values(values, metric(name).digits))
                for name in SWEPT
                for row, values in sweep.values[name].items()
            ],
        )
        for sweep in content.sweeps
    ]


def sweep_title(sweep: Sweep) -> str:
    """Name the swept field and its augmentation, with what was held fixed."""
    fixed = ", ".join(f"{name} = {strength(option)}" for name, option in sweep.fixed.items())
    return words.clean(f"{sweep.augmentation} {sweep.field}" + (f" ({fixed})" if fixed else ""))


def swept(sweep: Sweep) -> str:
    """Write what stands under the axis of a sweep: the field and what it is, with its unit."""
    meaning = f" ({sweep.meaning[:1].lower()}{sweep.meaning[1:]})" if sweep.meaning else ""
    return words.clean(f"{sweep.augmentation} {sweep.field}{meaning}")


def measure_title(name: str) -> str:
    """Name a swept measure with its unit and direction: `Linv (cosine, ↑ invariant)`."""
    return f"{name} ({metric(name).axis})"


def strength(option: Any) -> str:
    """Write a value of a field as a person does."""
    if isinstance(option, float):
        return f"{option:g}"
    if isinstance(option, list | tuple):
        return " to ".join(map(strength, option))
    return words.clean(str(option))


def _probed(content: Content, matrix: Matrix, row: int) -> list[str]:
    """Write the line of a row; what a study plans and isn't there has its mark."""
    texts = _values(matrix.values[row], matrix.column.metric.digits)
    missing = [coverage.marks(content, (row, column.index)) for column in matrix.columns]
    return [
        mark if found is None and mark else text for text, mark, found in zip(texts, missing, matrix.values[row], strict=True)
    ]


def _values(values: Sequence[Value | None], digits: int) -> list[str]:
    return [words.ABSENT if found is None else _number(found, digits) for found in values]


def _number(found: Value, digits: int) -> str:
    """Write a value with its interval, `0.911 [0.905, 0.917]`."""
    text = words.number(found.mean, digits)
    if found.interval is None:
        return text
    low, high = (words.number(end, digits) for end in found.interval)
    return f"{text} [{low}, {high}]"


def _cell(content: Content, row: int, column: Column) -> str:
    """Write a cell: several runs with their spread, one run with its interval over images."""
    cell = content.board.cells.get((row, column.index))
    if cell is not None and cell.std is not None:
        return words.cell(cell, column.metric)
    found = value(content.board, row, column)
    return words.ABSENT if found is None else _number(found, column.metric.digits)
