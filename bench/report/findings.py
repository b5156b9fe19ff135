"""Put the findings into words: differences and published numbers."""

from collections.abc import Sequence

from bench.report import words
from transfer.board.columns import Column
from transfer.board.comparison import Difference
from transfer.board.published_numbers import PublishedCell

MARKS = {"within noise": "≈", "unknown": "?"}


def mark(difference: Difference | None) -> str:
    """Mark a difference to the baseline row: `▲` `▼` significant, `≈` within noise, `?` unknown; empty without baseline."""
    if difference is None:
        return ""
    return MARKS.get(difference.verdict) or ("▲" if difference.mean > 0 else "▼")


def difference(found: Difference | None, digits: int, labels: Sequence[str]) -> str:
    """Write a difference as a sentence, with the name of the baseline's row; empty without a baseline."""
    if found is None:
        return ""
    change, against = words.signed(found.mean, digits), labels[found.baseline]
    if found.half is None:
        return f"{change} against {against}: unknown, one pair of runs and no published noise"
    low, high = found.mean - found.half, found.mean + found.half
    how = f"paired over {found.pairs} seeds" if found.prior is None else f"published noise {found.prior:g}"
    between = f"95 % interval {words.signed(low, digits)} to {words.signed(high, digits)}"
    return f"{change} against {against}: {found.verdict} ({between}, {how})"


def metric(column: Column) -> str:
    """Name a column in one line: protocol and metric, once where they are the same."""
    heading, name = words.heading(column.protocol), words.clean(column.name)
    return heading if column.protocol.key.task == name else f"{heading} {name}"


def against_published(cell: PublishedCell, digits: int, labels: Sequence[str]) -> str:
    """Write the difference of a measured number to a published one, with the name of the measured row."""
    found = cell.measured
    if found is None:
        return f"{words.ABSENT} (no such architecture measured)"
    of = "the same pre-training" if found.same else "the best measured of that architecture"
    return f"{words.signed(found.difference, digits)} ({of}: {labels[found.row]})"


def published_label(pretraining: Sequence[str]) -> str:
    """Name a published pre-training in a few words."""
    method, aug, supervision, fraction, arch, data, epochs = map(words.clean, pretraining)
    labelled = f"{100 * float(fraction):g} % labels" if supervision == "semi" and fraction else ""
    return " · ".join(filter(None, [method, aug, supervision, labelled, arch, data, f"{epochs} epochs" if epochs else ""]))
