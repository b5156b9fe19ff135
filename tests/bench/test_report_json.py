"""`leaderboard.json`: everything that is decided, as a notebook reads it."""

import io
import json
import runpy
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench import cli
from bench.report import json as json_report
from bench.report import report
from bench.report.json import SCHEMA_VERSION

TESTS = Path(__file__).resolve().parents[1]
_shared = runpy.run_path(str(TESTS / "sample_records.py"))
made, lay, sample = _shared["made"], _shared["lay"], _shared["sample"]
_decisions = runpy.run_path(str(TESTS / "benchmarks" / "decisions.py"))


def _written(records, folder, **options):
    lay(records, folder / "runs")
    report([folder / "runs"], folder, Console(file=io.StringIO()), **options)
    return folder / "leaderboard.json"


def _runs():
    return [
        made(aug=aug, seed=seed, run_seed=run, metrics={"top1": 50 + 9 * at + 0.1 * (1 + at) * seed**2 + run})
        for at, aug in enumerate(("none", "mixup"))
        for seed in range(3)
        for run in range(2)
    ]


def test_pandas_reads_every_table_in_one_line(tmp_path):
    path = _written(sample(), tmp_path)
    read = pd.read_json(path, typ="series")
    assert read["schema_version"] == SCHEMA_VERSION
    tables = {name: pd.DataFrame(read[name]) for name in read.index.drop(["schema_version", "notice"])}
    assert {"rows", "columns", "units", "cells", "differences", "claims"} <= tables.keys()
    assert tables["differences"]["answer"].isin(["two checkpoints", "undecided", "different", "equivalent", "no control"]).all()


def test_every_unit_is_there_with_the_numbers_of_its_trials(tmp_path):
    units = json.loads(_written(_runs(), tmp_path).read_text(encoding="utf-8"))["units"]
    assert len(units) == 6
    assert [(unit["aug"], unit["seed"], unit["run_seeds"], unit["values"], unit["mean"]) for unit in units[-1:]] == [
        ("mixup", 2, [0, 1], [pytest.approx(59.8), pytest.approx(60.8)], pytest.approx(60.3))
    ]


def test_a_difference_has_its_interval_its_decision_and_what_it_counts(tmp_path):
    (found,) = json.loads(_written(_runs(), tmp_path).read_text(encoding="utf-8"))["differences"]
    assert (found["aug"], found["metric"], found["answer"], found["paired"]) == ("mixup", "top1", "different", 3)
    assert found["mine"] == {"pretrainings": 3, "fewest": 2, "most": 2}
    assert found["low"] < found["mean"] < found["high"]


def test_the_smallest_difference_of_interest_is_there_with_its_reason_and_can_be_chosen_at_the_command_line(tmp_path):
    (column,) = json.loads(_written(_runs(), tmp_path).read_text(encoding="utf-8"))["columns"]
    assert (column["smallest_difference_of_interest"], column["reason"][:12]) == (0.5, "half a point")
    words = ["report", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path), "--interest", "top1=20"]
    assert CliRunner().invoke(cli.app, words).exit_code == 0
    read = json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))
    assert read["columns"][0]["reason"] == "chosen for this report"
    assert (read["columns"][0]["smallest_difference_of_interest"], read["differences"][0]["answer"]) == (20.0, "equivalent")


def test_the_smallest_difference_of_interest_is_the_one_that_the_differences_are_judged_by(tmp_path, monkeypatch):
    monkeypatch.setattr(json_report, "smallest_interest", lambda name, chosen: 7.0)
    (column,) = json.loads(_written(_runs(), tmp_path).read_text(encoding="utf-8"))["columns"]
    assert column["smallest_difference_of_interest"] == 7.0


@pytest.mark.parametrize("text", ["top1", "top1=", "top1=x", "top1=-1", "top1=nan", "top2=1"])
def test_what_is_no_smallest_difference_of_interest_is_refused(tmp_path, text):
    lay([made()], tmp_path / "runs")
    words = ["report", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path), "--interest", text]
    assert CliRunner().invoke(cli.app, words).exit_code != 0


def test_the_error_rates_hold_from_record_files_through_the_report_alone(tmp_path):
    import numpy as np

    setting = _decisions["Setting"](3, 3, 1.0, "equal", True, 4)
    noise = _decisions["draw"](setting, 200, np.random.default_rng(0))
    path = _written([*_decisions["records"](noise, paired=True)], tmp_path)
    found = pd.DataFrame(pd.read_json(path, typ="series")["differences"])
    assert len(found) == 600
    assert (found["answer"] == "different").groupby(found["column"]).any().mean() <= 0.08
