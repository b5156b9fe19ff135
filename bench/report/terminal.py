"""The leaderboard in the terminal: the ranking metrics, in as many tables as the width needs."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.report import findings, words
from bench.report.content import Content
from transfer.board.columns import REPRESENTATION, Column
from transfer.board.leaderboard import Leaderboard

LABEL_WIDTH = 26
"""Widest name of a row; longer ones fold."""
ROWS = 60
"""Rows printed at most; the files have all."""
GAP = 2
"""Blanks beside a column."""


def show(content: Content, console: Console) -> None:
    """Print the tables, what their columns are, the claims, and what was left out."""
    board = content.board
    columns = words.columns(board, headline=True)
    texts = {
        (row, place): _cell(content, row, place, column) for row in range(len(board.rows))[:ROWS] for place, column in columns
    }
    labels = words.labels(board.rows)[:ROWS]
    room = console.width - min(LABEL_WIDTH, max(map(len, labels))) - GAP
    for chunk in _chunks(columns, texts, room):
        console.print(_table(labels, chunk, texts), "")
    if len(board.rows) > ROWS:
        console.print(f"{ROWS} of {len(board.rows)} rows; the others are in the files.")
    for line in _legend(board, columns):
        console.print(line)
    console.print("", *_claims(content), sep="\n")
    for problem in content.problems:
        console.print(Text(f"left out: {problem.message}", style="yellow"))


def _claims(content: Content) -> list[Text]:
    """The answer to the sources' question, and each claim's verdict."""
    lines = [Text(f"{findings.QUESTION} {' '.join(findings.sentence(content))}")]
    for line in findings.claim_lines(content):
        lines.append(Text.assemble((line.verdict, "bold"), f": {line.claim}"))
    return lines


def _cell(content: Content, row: int, place: int, column: Column) -> Text:
    """A cell; the spread goes below the mean, to keep the column narrow."""
    found = content.board.cells.get((row, place))
    mean, space, spread = words.cell(found, column.metric).partition(" ")
    text = Text(mean, style="bold" if found and found.best else "")
    text.append(findings.mark(content.differences.get((row, place))) or " ", style="not bold")
    return text.append(f"\n{spread.replace('± ', '±')}", style="not bold dim") if space else text


def _head(column: Column) -> str:
    """Task, metric and direction, one below the other; the metrics of a representation name themselves."""
    task = words.heading(column.protocol).removeprefix(REPRESENTATION).strip()
    return "\n".join(filter(None, [task, words.clean(column.name), column.metric.direction]))


def _width(column: tuple[int, Column], texts: dict[tuple[int, int], Text]) -> int:
    place, declared = column
    lines = _head(declared).splitlines()
    for (_, at), text in texts.items():
        if at == place:
            lines += text.plain.splitlines()
    return max(map(len, lines)) + GAP


def _chunks(
    columns: Sequence[tuple[int, Column]], texts: dict[tuple[int, int], Text], room: int
) -> list[list[tuple[int, Column]]]:
    """Columns split so that each part fits, at least one column each."""
    chunks: list[list[tuple[int, Column]]] = [[]]
    used = 0
    for column in columns:
        width = _width(column, texts)
        if chunks[-1] and used + width > room:
            chunks.append([])
            used = 0
        chunks[-1].append(column)
        used += width
    return chunks


def _table(labels: Sequence[str], columns: Sequence[tuple[int, Column]], texts: dict[tuple[int, int], Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP, 0, 0), collapse_padding=True)
    table.add_column("pre-training", max_width=LABEL_WIDTH, overflow="fold")
    for _, column in columns:
        table.add_column(Text(_head(column)), justify="right", no_wrap=True)
    for row, name in enumerate(labels):
        table.add_row(Text(name), *(texts[row, place] for place, _ in columns))
    return table


def _legend(board: Leaderboard, columns: Sequence[tuple[int, Column]]) -> list[Text]:
    lines = []
    for protocol in board.protocols:
        data = f"{protocol.key.data} ({protocol.data.val:,} images)"
        changed = f"; changed: {words.changes(protocol)}" if protocol.changed else ""
        where = f"version {protocol.key.version}, {protocol.key.engine}, {data}"
        lines.append(Text(f"{words.heading(protocol)}: {words.clean(where)}{changed}", style="dim"))
    if any(protocol.changed for protocol in board.protocols):
        lines.append(Text("* not the published protocol"))
    if board.cells:
        lines.append(Text(words.MARKS, style="dim"))
    lines += map(Text, dict.fromkeys(words.title(column) for _, column in columns if column.metric.meaning))
    if board.generated:
        lines.append(Text(words.GENERATED_NOTICE, style="bold yellow"))
    return lines
