"""What runs logged and drew, on the page: curves in it, pictures beside it."""

import io
import json
import runpy
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from bench.report import kept, logged, report
from pretrain.core.journal import Journal
from transfer.engines import driver

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, lay = _shared["made"], _shared["lay"]


def _log(folder, steps, **values):
    journal = Journal(folder)
    for step in range(1, steps + 1):
        journal.step("train", step, steps, **{name: value(step) for name, value in values.items()})


def test_a_short_log_is_its_own_curve(tmp_path):
    _log(tmp_path, 3, loss=lambda step: 4.0 / step, lr=lambda step: 0.1)
    assert logged.curves(tmp_path) == (
        logged.Curve("train", "loss", (1, 2, 3), (4.0, 2.0, 1.333)),
        logged.Curve("train", "lr", (1, 2, 3), (0.1, 0.1, 0.1)),
    )


def test_a_long_log_is_averaged_over_stretches_that_keep_its_course(tmp_path):
    _log(tmp_path, 480, loss=lambda step: float(step))
    (curve,) = logged.curves(tmp_path)
    assert len(curve.values) == logged.POINTS
    assert curve.steps == curve.values == tuple(10 * place + 5.5 for place in range(logged.POINTS))


def test_values_that_are_logged_seldom_are_curves_too(tmp_path):
    lines = [{"stage": "train", "step": step, "of": 9000, "seconds": 0.1, "loss": 1.0} for step in range(9000)]
    lines += [{"stage": "monitor", "step": epoch, "of": 3, "seconds": 1.0, "knn": 30.0 + epoch} for epoch in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = {curve.name: curve for curve in logged.curves(tmp_path)}
    assert found["knn"] == logged.Curve("monitor", "knn", (1, 2, 3), (31.0, 32.0, 33.0))
    assert set(found["loss"].values) == {1.0}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe no JSON\n{",
        b'{"stage": "train", "step": 1, "loss": null}\n{"stage": "train", "step": 2, "loss": "high"}',
        b'{"stage": "train", "step": "one", "loss": 1.0}\n[1]\n{"step": 1, "loss": 1.0}',
        b'{"stage": "train", "step": 1, "loss": NaN}\n{"stage": "train", "step": 2, "loss": Infinity}',
        b'{"stage": "train", "step": 1, "loss": 2.0}\n{"stage": "train", "step": 2, "lo',
        b'{"stage": "train", "step": 1, "loss": 1%s}\n{"stage": "train", "step": 1%s, "loss": 2.0}' % (b"0" * 400, b"0" * 400),
    ],
)
def test_a_log_without_two_numbers_of_one_name_has_no_curve(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_bytes(text)
    assert logged.curves(tmp_path) == ()


def test_a_log_that_grew_is_read_anew(tmp_path):
    _log(tmp_path, 2, loss=lambda step: 1.0)
    assert len(logged.curves(tmp_path)[0].values) == 2
    _log(tmp_path, 5, loss=lambda step: 1.0)
    assert len(logged.curves(tmp_path)[0].values) == 5


def test_curves_of_very_many_runs_are_thinned_to_what_a_page_holds(monkeypatch):
    curve = logged.Curve("train", "loss", tuple(range(40)), tuple(map(float, range(40))))
    whole = len(logged.pack([[curve]] * 10))
    monkeypatch.setattr(logged, "NUMBERS", 100)
    assert len(logged.thinned(curve, logged.FEWEST).values) == logged.FEWEST
    assert len(logged.pack([[curve]] * 10)) < whole
    assert logged.pack([[], []]) == ""


def test_the_picture_has_the_name_that_engines_give_it():
    assert kept.PICTURE == driver.PREDICTIONS


@pytest.fixture
def opened(browser, tmp_path):
    """A report of a run with a log and a picture, and of one without, in a folder with an odd name."""
    first, _ = lay([made(), made(aug="cutmix")], tmp_path / "my runs #1")
    _log(first.parent, 5, loss=lambda step: 5.0 - step)
    Image.new("RGB", (40, 30), "red").save(first.with_name("predictions.png"))
    report([tmp_path / "my runs #1"], tmp_path, Console(file=io.StringIO()))
    browser.size(1280, 900)
    browser.open("about:blank")
    browser.console.clear()
    browser.open(f"file://{tmp_path}/leaderboard.html")
    return browser


def _open(browser, row):
    browser.run(f"document.querySelectorAll('#board tbody tr')[{row}].querySelector('td a').focus()")
    browser.press("Enter")  # a key of the user: what scripts open by themselves closes together
    browser.wait("document.querySelector('#details').open")


def test_a_runs_curves_are_drawn_from_its_log_and_said_in_words(opened):
    _open(opened, 0)
    opened.run("document.querySelector('#details .fold').click()")
    opened.wait("document.querySelectorAll('#details .curve polyline').length === 1")
    assert opened.run("document.querySelector('#details svg').ariaLabel") == "loss of train: 4 at step 1, 0 at step 5; 0 to 4"
    points = opened.run("document.querySelector('#details polyline').getAttribute('points')")
    assert points == "0.0,0.0 75.0,22.5 150.0,45.0 225.0,67.5 300.0,90.0"
    opened.run("document.querySelector('#details .fold').click()")
    assert opened.run("document.querySelectorAll('#details .curve').length") == 0
    assert opened.console == []


def test_a_runs_picture_opens_over_the_page_and_closes_alone(opened):
    _open(opened, 0)
    opened.run("[...document.querySelectorAll('#details .links a')].find((a) => a.textContent === 'predictions').focus()")
    opened.press("Enter")
    opened.wait("document.querySelector('#picture').open && document.querySelector('#picture img').naturalWidth === 40")
    opened.press("Escape")
    opened.wait("!document.querySelector('#picture').open")
    assert opened.run("document.querySelector('#details').open")
    assert opened.console == []


def test_a_run_without_a_log_or_a_picture_has_no_button_for_them(opened):
    _open(opened, 1)
    assert opened.run("document.querySelectorAll('#details .fold').length") == 0
    assert "predictions" not in opened.run("[...document.querySelectorAll('#details .links a')].map((a) => a.textContent)")
