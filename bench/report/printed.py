"""Tabulate the published numbers that stand beside no measured column, a table for each protocol."""

from bench.report import findings, words
from bench.report.content import Content
from bench.report.measures import Table
from transfer.board.published_numbers import Number

TITLE = "Published numbers of other protocols"
READ = (
    "As printed, by the names under which results/published tells protocols apart. None equals a protocol measured here "
    "on that benchmark's own data, so nothing of these runs may be compared with them."
)
HEADINGS = ("pre-training", "metric", "published", "source")


def tables(content: Content) -> list[Table]:
    """Make one table per protocol, its lines in the files' order."""
    of: dict[str, list[Number]] = {}
    for number in content.apart:
        of.setdefault(number.task, []).append(number)
    return [Table(words.clean(task), HEADINGS, [_line(number) for number in of[task]]) for task in sorted(of)]


def _line(number: Number) -> tuple[str, ...]:
    """Write one number under `HEADINGS`."""
    value = f"{number.value:g}"
    return findings.published_label(number.pretraining), words.clean(number.metric), value, words.clean(number.source)
