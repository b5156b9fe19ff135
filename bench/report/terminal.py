"""Print the leaderboard in the terminal: the ranking metrics, in as many tables as the width needs."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.report import claimed, coverage, differences, predicting, words
from bench.report.content import Content, Study
from transfer.board.columns import REPRESENTATION, Column

LABEL_WIDTH = 26
"""Widest name of a row; longer ones fold."""
ROWS = 60
"""Rows printed at most; the files have all."""
GAP = 2
"""Blanks beside a column."""


def show(content: Content, console: Console, *, claims: bool = True) -> None:
    """Print the tables, what their columns are, the claims unless they are not wanted, and what was left out."""
    board = content.board
    columns = words.columns(board, headline=True)
    shown_rows = range(len(board.rows))[:ROWS]
    texts = {(row, column.index): _cell(content, row, column) for row in shown_rows for column in columns}
    labels = words.labels(board.rows)[:ROWS]
    room = console.width - min(LABEL_WIDTH, max(map(len, labels))) - GAP
    for chunk in _chunks(columns, texts, room):
        console.print(_table(labels, chunk, texts), "")
    if len(board.rows) > ROWS:
        console.print(f"{ROWS} of {len(board.rows)} rows; the others are in the files.")
    for line in _legend(content, columns):
        console.print(line)
    if content.study is not None:
        _coverage(content.study, console)
    if claims:
        console.print("", *_claims(content), sep="\n")
    for problem in content.problems:
        console.print(Text(f"left out: {problem.message}", style="yellow"))


def _claims(content: Content) -> list[Text]:
    """Write the answer to the sources' question, and each claim's verdict; one sentence where the runs say nothing of any."""
    lines = [Text(f"{predicting.QUESTION} {' '.join(predicting.sentence(content))}")]
    made = claimed.lines(content)
    if content.study is None and not any(line.tally for line in made):
        return [*lines, Text(claimed.summed(made))]
    for line in made:
        standing = f", {line.standing}" if line.standing else ""
        lines.append(Text.assemble((line.verdict, "bold"), f"{standing}: {line.claim}"))
    return lines


def _cell(content: Content, row: int, column: Column) -> Text:
    """Write a cell; the spread goes below the mean, to keep the column narrow, and what is missing below that."""
    found = content.board.cells.get((row, column.index))
    missing = coverage.marks(content, (row, column.index))
    if found is None and missing:
        return Text(f"{missing} ", style="dim")
    mean, space, spread = words.cell(found, column.metric).partition(" ")
    text = Text(mean, style="bold" if (row, column.index) in content.best else "")
    text.append(differences.mark(content.differences.get((row, column.index))) or " ", style="not bold")
    below = [spread.replace("± ", "±").replace(" × ", "×")] if space else []
    return text.append("".join(f"\n{line}" for line in [*below, *filter(None, [missing])]), style="not bold dim")


def _heading(column: Column) -> str:
    """Write task, what tells it from others, metric and direction below each other; measures name themselves."""
    task = words.heading(column.protocol).removeprefix(REPRESENTATION).strip().replace(" ", "\n", 1)
    return "\n".join(filter(None, [task, words.clean(column.name), column.metric.direction]))


def _width(column: Column, texts: dict[tuple[int, int], Text]) -> int:
    """Return the characters that a column needs, blanks beside it included."""
    lines = _heading(column).splitlines()
    for (_, column_index), text in texts.items():
        if column_index == column.index:
            lines += text.plain.splitlines()
    return max(map(len, lines)) + GAP


def _chunks(columns: Sequence[Column], texts: dict[tuple[int, int], Text], room: int) -> list[list[Column]]:
    """Split columns so that each part fits, at least one column each."""
    chunks: list[list[Column]] = [[]]
    used = 0
    for column in columns:
        width = _width(column, texts)
        if chunks[-1] and used + width > room:
            chunks.append([])
            used = 0
        chunks[-1].append(column)
        used += width
    return chunks


def _table(labels: Sequence[str], columns: Sequence[Column], texts: dict[tuple[int, int], Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP, 0, 0), collapse_padding=True)
    table.add_column("pre-training", max_width=LABEL_WIDTH, overflow="fold")
    for column in columns:
        table.add_column(Text(_heading(column)), justify="right", no_wrap=True)
    for row, name in enumerate(labels):
        table.add_row(Text(name), *(texts[row, column.index] for column in columns))
    return table


def _coverage(study: Study, console: Console) -> None:
    """Print how much of a study is done, what failed and why."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP, 0, 0), collapse_padding=True)
    table.add_column(coverage.HEADINGS[0], overflow="fold")
    for heading in coverage.HEADINGS[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for line in coverage.lines(study):
        table.add_row(*map(Text, line))
    console.print("", Text(f"{coverage.TITLE}: {coverage.summary(study)}", style="bold"), table, sep="\n")
    for one in coverage.troubles(study):
        console.print(Text.assemble((one.what, "bold"), f": {one.why}\n  {one.cells}"))
    if more := coverage.strangers(study):
        console.print(Text(more))


def _legend(content: Content, columns: Sequence[Column]) -> list[Text]:
    """Say below the tables what the columns and the marks are."""
    board, lines = content.board, []
    for protocol in board.protocols:
        data = f"{protocol.key.data} ({words.images(protocol)})"
        changed = f"; changed: {words.changes(protocol)}" if protocol.changed else ""
        where = f"version {protocol.key.version}, {protocol.key.engine}, {data}"
        lines.append(Text(f"{words.heading(protocol)}: {words.clean(where)}{changed}", style="dim"))
    if any(protocol.changed for protocol in board.protocols):
        lines.append(Text("* not the published protocol"))
    if board.cells:
        lines += [Text(line, style="dim") for line in words.MARKS]
    lines += [Text(coverage.LEGEND, style="dim")] if content.study else []
    lines += map(Text, dict.fromkeys(words.title(column) for column in columns if column.metric.meaning))
    if board.generated:
        lines.append(Text(words.GENERATED_NOTICE, style="bold yellow"))
    return lines
