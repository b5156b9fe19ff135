"""What a report decides, as `--json` prints it: the numbers of the terminal's table, and what is said of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.answers import Changed, Compared, Judged, LeftOut, Number, Reported
from bench.report import claimed, coverage, diff, differences, predicting, words
from bench.report.content import Content
from bench.report.gather import Problem
from transfer.board.columns import Column


def reported(content: Content, written: Sequence[Path]) -> Reported:
    """Say what the report of some runs decides, and where its files are."""
    board = content.board
    return Reported(
        written=[str(path) for path in written],
        records=len(board.entries),
        notice=words.GENERATED_NOTICE if board.generated else None,
        rows=words.labels(board.rows),
        numbers=list(_numbers(content, words.columns(board, headline=True))),
        prediction=" ".join(predicting.sentence(content)),
        claims=[Judged(line.claim, line.verdict, line.standing) for line in claimed.lines(content)],
        study=None if content.study is None else coverage.plain(content.study),
        left_out=_left_out(content.problems),
    )


def compared(before: Content, after: Content) -> Compared:
    """Say what changed between two sets of runs."""
    found = diff.changes(before.board, after.board)
    return Compared(
        changes=[_changed(change, before, after) for change in found],
        same=diff.same(after.board, found),
        left_out=_left_out((*before.problems, *after.problems)),
    )


def _numbers(content: Content, columns: Iterable[Column]) -> Iterable[Number]:
    labels, board = words.labels(content.board.rows), content.board
    for column in columns:
        for row, label in enumerate(labels):
            place = row, column.index
            if place not in board.cells:
                continue
            cell, against = board.cells[place], content.differences.get(place)
            low, high = against.interval if against else (None, None)
            yield Number(
                row=label,
                task=words.heading(column.protocol),
                protocol=column.protocol.id,
                metric=column.name,
                better=column.metric.better,
                mean=cell.mean,
                std=cell.std,
                pretrainings=cell.count.pretrainings,
                trials=cell.count.fewest,
                best=place in content.best,
                mark=differences.mark(against),
                answer=against.answer if against else None,
                against=labels[against.baseline] if against else None,
                difference=against.mean if against else None,
                low=low,
                high=high,
            )


def _changed(change: diff.Change, before: Content, after: Content) -> Changed:
    row, protocol, metric = change.key
    labels = diff.labels(before.board) | diff.labels(after.board)
    column = (diff.columns(before.board) | diff.columns(after.board))[protocol, metric]
    means = [cell.mean if cell else None for cell in (change.before, change.after)]
    return Changed(labels[row], words.heading(column.protocol), column.protocol.id, metric, change.word, *means)


def _left_out(problems: Iterable[Problem]) -> list[LeftOut]:
    return [LeftOut(str(problem.path), problem.message) for problem in problems]
