"""What a command prints as its result: as wide as the terminal, and one whole line for each row where there is none."""

from collections.abc import Iterable, Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

UNBOUNDED = 100_000
"""Characters of a line where the output is no terminal: what is piped is neither wrapped nor shortened."""
GAP = 2
"""Blanks between two columns."""


def console() -> Console:
    """Make the console that results are printed on; texts are printed as they are, without markup."""
    made = Console(highlight=False, markup=False)
    return made if made.is_terminal else Console(highlight=False, markup=False, width=UNBOUNDED)


def definitions(rows: Iterable[tuple[str, str]], to: Console) -> Iterator[str]:
    """Lay out names and what they are in two columns, nothing shortened.

    A name that is wider than a third of a terminal's line has a line of its own.
    """
    rows = list(rows)
    widths = [cell_len(name) for name, _ in rows]
    widest = max(2 * GAP, to.width // 3)
    column = max((width for width in widths if width <= widest), default=GAP)
    for (name, text), width in zip(rows, widths, strict=True):
        names, texts = _wrapped(name, to.width, to), _wrapped(text, to.width - column - GAP, to)
        if width <= column:
            head = names[0] + " " * (column - width + GAP)
            names, texts = [head + texts[0]], texts[1:]
        yield from (line.rstrip() for line in (*names, *(" " * (column + GAP) + line for line in texts)))


def _wrapped(text: str, width: int, to: Console) -> list[str]:
    """Wrap at blanks, and within words that are wider than a line."""
    return [line.plain.rstrip() for line in Text(text).wrap(to, max(1, width), overflow="fold")] or [""]
