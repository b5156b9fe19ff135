"""What `bench data check` found, in words."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.answers import Checked, Counted
from pretrain.core.counts import counted
from pretrain.core.errors import printable

LISTED_CLASSES = 100
"""Classes listed at most."""
GOOD = {
    "images": "a run can read this",
    "headers": "the headers can be read; whether a run can decode the images is not known without their pixels",
    "lists": "the lists and annotations can be read; no image was opened",
}
"""How far every image was looked into → what can be said of data without a problem then."""
Line = tuple[str, str, str]


def show(found: Checked, console: Console) -> None:
    """Print what is in a data set, what to know of it, and what is wrong with it."""
    console.print(f"{found.task} reads {found.data} in the layout {found.layout}", soft_wrap=True)
    if found.made is not None:
        console.print(f"made {found.made} label maps of training ids")
    if found.counts:
        console.print(_table(found))
    for note in found.notes:
        console.print("to know:", printable(note, ""), soft_wrap=True)
    for line in _wrong(found):
        console.print(line, soft_wrap=True)


def _table(found: Checked) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for split in ("train", "val"):
        table.add_column(split, justify="right", no_wrap=True)
    title = f"{counted(len(found.classes), 'class', 'classes')}, {found.unit}:"
    for row in (*map(_line, found.counts), (title, "", ""), *_indented(found.classes)):
        table.add_row(*map(Text, row))
    return table


def _indented(classes: list[Counted]) -> Iterator[Line]:
    for name, train, val in map(_line, classes[:LISTED_CLASSES]):
        yield f"  {name}", train, val
    if len(classes) > LISTED_CLASSES:
        yield f"  and {len(classes) - LISTED_CLASSES} more", "", ""


def _line(row: Counted) -> Line:
    return printable(row.name, ""), _number(row.train), _number(row.val)


def _number(count: float) -> str:
    """Write a number, or a share in percent."""
    return str(count) if isinstance(count, int) else f"{count:.2f} %" if count else "–"


def _wrong(found: Checked) -> Iterator[str]:
    for number, problem in enumerate(found.problems, start=1):
        yield f"wrong {number}: {problem.message}"
        if problem.cases > 1:
            yield f"  and {problem.cases - 1} more of this kind in that file"
    more = found.problem_count - sum(problem.cases for problem in found.problems)
    if more:
        yield f"and {more} more"
    if found.good:
        yield GOOD[found.looked]
    else:
        yield f"a run would stop: {found.problem_count} problem{'s' * (found.problem_count > 1)}"
