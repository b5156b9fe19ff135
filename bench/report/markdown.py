"""Render the leaderboard as GitHub-flavoured Markdown."""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.report import claimed, costs, coverage, differences, findings, measures, predicting, words
from bench.report.content import Content, Study
from bench.report.measures import Table
from transfer.board.leaderboard import Leaderboard

SPECIAL = re.compile(r"([\\`*\[\]<>|~&#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""What Markdown or HTML would read as more than the letter itself; `_` within a word is a letter."""


def render(content: Content, out: Path) -> str:
    """Write the whole document."""
    board = content.board
    parts = [f"# {words.TITLE}"]
    if board.generated:
        parts.append(f"> **{words.GENERATED_NOTICE}**")
    legend = [] if content.study is None else [coverage.LEGEND]
    parts += ["\n".join(board_table(content)), "\n".join(f"- {escape(line)}" for line in (*words.HOW_TO_READ, *legend))]
    parts += _coverage(content.study) if content.study else []
    if unmatched := differences.without_control(content):
        parts += ["## Rows without a control", "\n".join(f"- {escape(line)}" for line in unmatched)]
    if board.protocols:
        parts += ["## Columns", "\n".join(protocols(board))]
    if content.published:
        parts += ["## Published numbers under the same protocols", "\n".join(_published(content))]
    parts += [f"## {predicting.QUESTION}", escape(" ".join(predicting.sentence(content)))]
    if pairs := predicting.lines(content):
        parts.append("\n".join(table(predicting.HEADINGS, pairs)))
    claims = [(escape(line.claim), "<br>".join(map(escape, line.evidence)), line.decided) for line in claimed.lines(content)]
    parts += [f"## {claimed.TITLE}", *map(escape, claimed.read(content)), "\n".join(lay(claimed.HEADINGS, claims))]
    parts += _section(measures.FEATURES, measures.FEATURES_READ, measures.features(content))
    parts += _section(measures.PROBES, measures.PROBES_READ, measures.matrices(content))
    parts += _section(measures.SWEEPS, measures.SWEEPS_READ, measures.sweeps(content))
    parts += [f"## {costs.TITLE}", "\n".join(table(costs.HEADINGS, costs.lines(content)))]
    if board.protocols:
        parts.append("\n".join(table(costs.PROTOCOL_HEADINGS, costs.protocol_lines(content))))
    if content.problems:
        lines = (f"- {escape(words.one_line(problem.message))}" for problem in content.problems)
        parts += ["## Left out", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _coverage(study: Study) -> list[str]:
    """Write how much of a study is done, and what failed."""
    parts = [f"## {coverage.TITLE}", escape(f"{coverage.summary(study)}. {coverage.READ}")]
    parts.append("\n".join(table(coverage.HEADINGS, coverage.lines(study))))
    if study.troubles:
        lines = (f"{one.what}: {words.one_line(one.why)} ({one.cells})" for one in coverage.troubles(study))
        parts.append("\n".join(f"- {escape(line)}" for line in lines))
    return [*parts, *filter(None, [escape(coverage.strangers(study))])]


def escape(text: str) -> str:
    """Escape text so that Markdown shows it letter by letter."""
    return SPECIAL.sub(r"\\\1", text)


def table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Write the lines of a table of plain texts."""
    return lay(list(map(escape, headings)), [list(map(escape, line)) for line in lines])


def lay(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Write the lines of a table of Markdown texts."""
    return [f"| {' | '.join(line)} |" for line in [headings, [":--"] * len(headings), *lines]]


def _section(title: str, read: str, tables: Sequence[Table]) -> list[str]:
    """Write a title, how to read it, and its tables; nothing without a table."""
    parts = [f"## {title}", escape(read)] if tables else []
    for one in tables:
        parts += [f"### {escape(one.title)}", "\n".join(table(one.headings, one.lines))]
    return parts


def _published(content: Content) -> list[str]:
    """Write one line per published number, with the difference of a measured one."""
    labels, lines = words.labels(content.board.rows), []
    for row in content.published:
        for column_index, cell in row.cells.items():
            column = content.board.columns[column_index]
            difference = findings.against_published(cell, column.metric.digits, labels)
            name = f"{words.heading(column.protocol)} {column.name}"
            lines.append(
                (findings.published_label(row.pretraining), name, f"{cell.value:g}", difference, words.clean(row.source))
            )
    return table(("published pre-training", "column", "published", "measured − published", "source"), lines)


def board_table(content: Content) -> list[str]:
    """Write the lines of the leaderboard; a heading is the protocol over the metric."""
    board = content.board
    described, columns = coverage.descriptions(content), words.columns(board)
    headings = [escape(field.heading) for field in described]
    headings += [f"{escape(words.heading(column.protocol))}<br>{escape(words.title(column))}" for column in columns]
    lines = [headings, [":--"] * len(described) + ["--:"] * len(columns)]
    for row in range(len(board.rows)):
        line = [escape(field.texts[row]) for field in described]
        for column in columns:
            text = coverage.cell(content, row, column.index)
            text = f"**{text}**" if (row, column.index) in content.best else text
            line.append(" ".join(filter(None, [text, differences.mark(content.differences.get((row, column.index)))])))
        lines.append(line)
    return [f"| {' | '.join(line)} |" for line in lines]


def protocols(board: Leaderboard) -> list[str]:
    """Write one line per group of columns: what it is."""
    lines = []
    for protocol in board.protocols:
        star = f"{words.starred(protocol)}; " if protocol.changed else ""
        texts = "; ".join(f"{word}: {escape(text)}" for word, text in words.about(protocol))
        lines.append(f"- **{escape(words.heading(protocol))}**: {star}{texts}")
    return lines
