"""Put published numbers into words, and name columns."""

from collections.abc import Sequence

from bench.report import words
from transfer.board.columns import Column
from transfer.board.published_numbers import PublishedCell


def metric(column: Column) -> str:
    """Name a column in one line: protocol and metric, once where they are the same."""
    heading, name = words.heading(column.protocol), words.clean(column.name)
    return heading if column.protocol.key.task == name else f"{heading} {name}"


def against_published(cell: PublishedCell, digits: int, labels: Sequence[str]) -> str:
    """Write the difference of a measured number to a published one, with the name of the measured row."""
    found = cell.measured
    if found is None:
        return f"{words.ABSENT} (no such architecture measured)"
    of = "the same pre-training" if found.same else "the highest of all measured with that architecture, which flatters"
    return f"{words.signed(found.difference, digits)} ({of}: {labels[found.row]})"


def published_label(pretraining: Sequence[str]) -> str:
    """Name a published pre-training in a few words."""
    method, aug, supervision, fraction, arch, data, epochs = map(words.clean, pretraining)
    labelled = f"{100 * float(fraction):g} % labels" if supervision == "semi" and fraction else ""
    length = f"{epochs} {'epoch' if epochs == '1' else 'epochs'}" if epochs else ""
    return " · ".join(filter(None, [method, aug, supervision, labelled, arch, data, length]))
