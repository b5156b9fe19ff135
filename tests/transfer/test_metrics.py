"""The one table of metrics: what is declared there is what records, leaderboard and reports do."""

import math
import runpy
from pathlib import Path

import pytest

from bench.report import markdown
from bench.report.content import Content
from transfer import metrics, tasks
from transfer.board.leaderboard import leaderboard
from transfer.metrics import METRICS, Metric, metric

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries = _shared["made"], _shared["entries"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("top1", (0.0, 100.0, 100.0000001), (-1.0, 101.0, math.nan, math.inf)),
        ("a-metric-without-a-line", (0.0, 100.0), (-1.0, 101.0)),
        ("Ldiv", (-1.0, 0.0, 1.0), (-1.1, 1.1, math.nan)),
        ("effective_rank", (-5.0, 900.0), (math.nan, math.inf)),
        ("loss", (7000.0,), (math.nan, -math.inf)),
    ],
)
def test_a_record_holds_numbers_within_the_range_of_their_metric_only(name, good, bad):
    for value in good:
        assert made(metrics={name: value}).metrics == {name: value}
    for value in bad:
        with pytest.raises(ValueError, match=rf"metrics(\.{name})?\n  .*finite (value|number)"):
            made(metrics={name: value})


def test_one_line_adds_a_metric_with_its_range_direction_and_digits(monkeypatch):
    monkeypatch.setitem(metrics.METRICS, "ECE", Metric(meaning="%, lower is better calibrated", better="lower", digits=2))
    board = leaderboard(entries([made(metrics={"ECE": 3.14159}), made(metrics={"ECE": 2.71828}, aug="mixup")]))
    text = markdown.render(Content(board), Path())
    assert "linear<br>ECE (%, lower is better calibrated)" in text
    assert "3.14 |" in text
    assert "2.72 ◇" in text
    with pytest.raises(ValueError, match=r"metric ECE is 100\.1; finite values from 0 to 100"):
        made(metrics={"ECE": 100.1})


def test_every_metric_of_a_task_has_a_line():
    assert {name for task in tasks.TASKS for name in tasks.get(task).metrics} <= METRICS.keys()


def test_a_metric_restates_and_names_only_metrics_of_the_table():
    assert {one.restates for one in METRICS.values()} - {""} <= METRICS.keys()


def test_an_axis_says_unit_and_direction_or_else_the_meaning():
    assert [metric(name).axis for name in ("top1", "Linv", "knn_among")] == ["%", "cosine, ↑ invariant", "%"]
    assert metric("uniformity").axis == "over different images, lower is more uniform"
