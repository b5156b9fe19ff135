"""Render the leaderboard as a LaTeX table for a paper: `\\input` it in a document that uses booktabs and amssymb."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from bench.report import coverage, differences, words
from bench.report.content import Content
from transfer.board.columns import Column

LETTERS = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
    | {
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
        "×": r"$\times$",
        "·": r"$\cdot$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "|": "$|$",
        "…": r"\dots{}",
        "○": r"$\circ$",
        "✗": r"$\otimes$",
        "∅": r"$\emptyset$",
    }
)
MARKS = {"▲": r"$^\blacktriangle$", "▼": r"$^\blacktriangledown$", "≈": r"$^\approx$", "◇": r"$^\lozenge$", "?": "$^?$", "": ""}


def render(content: Content, out: Path) -> str:
    """Write the ranking metrics as one `tabular`; what its marks and columns are stands above it as comments."""
    board = content.board
    columns = words.columns(board, headline=True)
    groups = [list(group) for _, group in groupby(columns, key=lambda column: column.protocol.key)]
    lines = [*_comments(content), rf"\begin{{tabular}}{{l{'r' * len(columns)}}}", r"\toprule"]
    lines += [*_headings(groups), r"\midrule"]
    for row, label in enumerate(words.labels(board.rows)):
        lines.append(_line([escape(label), *(_cell(content, row, column) for column in columns)]))
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Escape text so that LaTeX prints it letter by letter."""
    return text.translate(LETTERS)


def _comments(content: Content) -> list[str]:
    texts = ["Needs booktabs and amssymb.", *words.HOW_TO_READ]
    texts += [coverage.summary(content.study), coverage.LEGEND] if content.study else []
    texts += [words.GENERATED_NOTICE] if content.board.generated else []
    for protocol in content.board.protocols:
        about = "; ".join(f"{word}: {text}" for word, text in words.about(protocol))
        texts.append(f"{words.heading(protocol)}: {about}")
    return [f"% {words.clean(text)}" for text in texts]


def _headings(groups: Sequence[Sequence[Column]]) -> list[str]:
    """Write the protocols over their metrics, each with a rule below it."""
    over, rules, first = ["pre-training"], [], 2
    for group in groups:
        over.append(rf"\multicolumn{{{len(group)}}}{{c}}{{{escape(words.heading(group[0].protocol))}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + len(group) - 1}}}")
        first += len(group)
    metrics = [escape(_title(column)) for group in groups for column in group]
    return [_line(over), " ".join(rules), _line(["", *metrics])] if groups else [_line(over)]


def _title(column: Column) -> str:
    """Write a metric's name, with its direction where the name alone would mislead."""
    return " ".join(filter(None, [words.clean(column.name), column.metric.direction]))


def _cell(content: Content, row: int, column: Column) -> str:
    text = escape(coverage.cell(content, row, column.index))
    text = rf"\textbf{{{text}}}" if (row, column.index) in content.best else text
    return text + MARKS[differences.mark(content.differences.get((row, column.index)))]


def _line(parts: Sequence[str]) -> str:
    return " & ".join(parts) + r" \\"
