"""The leaderboard as GitHub-flavoured Markdown."""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.report import words
from bench.report.gather import Problem
from transfer.leaderboard import Leaderboard

SPECIAL = re.compile(r"([\\`*\[\]<>|~&#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""What Markdown or HTML would read as more than the letter itself; `_` within a word is a letter."""


def render(board: Leaderboard, problems: Sequence[Problem], out: Path) -> str:
    """The whole document."""
    parts = [f"# {words.TITLE}"]
    if board.generated:
        parts.append(f"> **{words.GENERATED_NOTICE}**")
    parts += ["\n".join(_table(board)), "\n".join(f"- {escape(line)}" for line in words.HOW_TO_READ)]
    if board.protocols:
        parts += ["## Columns", "\n".join(_protocols(board))]
    if problems:
        parts += ["## Left out", "\n".join(f"- {escape(words.one_line(problem.message))}" for problem in problems)]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows letter by letter."""
    return SPECIAL.sub(r"\\\1", text)


def _table(board: Leaderboard) -> list[str]:
    """Lines of one table; a heading is the protocol over the metric."""
    described, columns = words.descriptions(board.rows), words.columns(board)
    headings = [escape(field.heading) for field in described]
    headings += [f"{escape(words.heading(column.protocol))}<br>{escape(words.title(column))}" for _, column in columns]
    lines = [headings, [":--"] * len(described) + ["--:"] * len(columns)]
    for row in range(len(board.rows)):
        line = [escape(field.texts[row]) for field in described]
        for place, column in columns:
            found = board.cells.get((row, place))
            text = words.cell(found, column.metric)
            line.append(f"**{text}**" if found and found.best else text)
        lines.append(line)
    return [f"| {' | '.join(line)} |" for line in lines]


def _protocols(board: Leaderboard) -> list[str]:
    lines = []
    for protocol in board.protocols:
        star = "not the published protocol; " if protocol.changed else ""
        texts = "; ".join(f"{word}: {escape(text)}" for word, text in words.about(protocol))
        lines.append(f"- **{escape(words.heading(protocol))}**: {star}{texts}")
    return lines
