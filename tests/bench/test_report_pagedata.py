"""What the page holds: the data of its scripts, its links, and nothing from elsewhere."""

import base64
import gzip
import io
import json
import re
import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from bench.report import page, report
from bench.report.content import Content
from bench.report.gather import gather
from transfer.board.claims.judge import Evidence
from transfer.board.leaderboard import leaderboard

_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, entries, lay, sample, sweep = (_shared[name] for name in ("made", "entries", "lay", "sample", "sweep"))


def _data(text):
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found)


def test_the_data_holds_every_run_with_its_command_and_a_relative_link(tmp_path):
    command = "bench transfer --task linear --seed 3 --set a='<b>'"
    paths = lay([made(command=command), made(aug="cutmix", metrics={"top1": 3.0})], tmp_path / "out" / "runs")
    report([tmp_path / "out" / "runs"], tmp_path / "out", Console(file=io.StringIO()))
    data = _data((tmp_path / "out" / "leaderboard.html").read_text(encoding="utf-8"))
    assert [tmp_path / "out" / run["link"] for run in data["runs"]] == [path.parent for path in paths]
    assert [run["command"] for run in data["runs"]] == [command, "bench transfer --task linear"]
    assert [[cell["runs"] for cell in row["cells"]] for row in data["rows"]] == [[[0]], [[1]]]


def test_a_column_holds_what_the_page_reads_and_no_more(tmp_path):
    data = _data(page.render(Content(leaderboard(entries(sample()))), tmp_path))
    assert {tuple(column) for column in data["columns"]} == {("name", "unit", "meaning", "sign")}


def test_a_hostile_folder_is_a_relative_link(tmp_path):
    folder = tmp_path / 'javascript:alert(1) "x'
    lay([made()], folder)
    entry, _ = gather([folder])
    assert page.link(entry[0], tmp_path) == "javascript%3Aalert%281%29%20%22x/r00/"


def test_the_page_names_no_address_and_forbids_every_request(tmp_path):
    text = page.render(Content(leaderboard(entries(sample()))), tmp_path)
    assert "default-src 'none'" in text
    own = re.sub(r'<script type="text/plain" id="plotly">.*?</script>', "", text, flags=re.S)
    assert not re.findall(r"https?://", own)
    assert not re.findall(r"<(?:link|img|iframe|script[^>]* src)", own)


def test_the_plotting_library_is_the_packages_own_and_absent_where_nothing_is_plotted(tmp_path):
    text = page.render(Content(leaderboard(entries(sample()))), tmp_path)
    (packed,) = re.findall(r'id="plotly">(.*?)</script>', text, re.S)
    assert b"plotly.js v" in gzip.decompress(base64.b64decode(packed))[:200]
    assert len(page.render(Content(leaderboard(entries([made()]))), tmp_path)) < 100_000


def test_the_points_of_a_plot_are_the_means_of_their_columns(tmp_path):
    board = leaderboard(entries(sample()))
    data = _data(page.render(Content(board), tmp_path))
    (pareto,) = [one for one in data["pareto"] if data["titles"][str(one["column"])] == "linear top1 (%)"]
    assert {row: hours * 3600 for row, hours in pareto["hours"].items()} == {
        "1": pytest.approx(90),
        "2": pytest.approx(92.5, 1e-4),
    }
    assert pareto["fronts"] == [{"hardware": "a processor", "rows": [1, 2]}]
    for place, values in data["values"].items():
        cells = [board.cells.get((row, int(place))) for row in range(3)]
        assert values == [cell and pytest.approx(cell.mean, 1e-5) for cell in cells]


def test_costs_of_different_hardware_never_share_a_front(tmp_path):
    records = []
    for place, aug in enumerate(("none", "cutout", "cutmix", "mixup")):
        hardware = {"versions": {}, "commit": None, "hardware": f"device {place % 2}", "threads": 1}
        of = {"aug": aug, "environment": hardware}
        records.append(made("linear", {"top1": 60.0 - place}, **of))
        records.append(made("pretrain", {"loss": 1.0}, kind="pretrain", wall_seconds=3600.0 * (place + 1), **of))
    data = _data(page.render(Content(leaderboard(entries(records))), tmp_path))
    names = [row["label"].split(" · ")[1] for row in data["rows"]]
    fronts = {one["hardware"]: [names[row] for row in one["rows"]] for one in data["pareto"][0]["fronts"]}
    assert fronts == {"device 0": ["none"], "device 1": ["cutout"]}


def test_the_curves_of_a_sweep_are_the_means_with_the_distances_to_the_ends_of_their_intervals(tmp_path):
    (found,) = _data(page.render(Content(leaderboard(entries(sweep()))), tmp_path))["sweeps"]
    assert (found["title"], found["x"]) == ("cutout side (fill = zero) on shapes", "cutout side (share of the shorter side)")
    assert [panel["title"] for panel in found["panels"]] == ["Linv (cosine, ↑ invariant)", "Ldiv (cosine, ↓ diverse)"]
    assert found["panels"][1]["lines"] == [
        {"row": 0, "strengths": [0.1, 0.5], "means": [0.8, 0.5], "below": [0.01, 0.01], "above": [0.02, 0.02]},
        {"row": 1, "strengths": [0.1, 0.5], "means": [0.7, 0.6], "below": [0.01, 0.01], "above": [0.02, 0.02]},
    ]


def test_records_that_are_kept_alone_have_no_links_to_files_that_are_not_there(tmp_path):
    _, second = lay([made(), made(aug="cutmix")], tmp_path / "results" / "set")
    for name in ("config.yaml", "command.txt"):
        (second.parent / name).write_text("", encoding="utf-8")
    report([tmp_path / "results"], tmp_path, Console(file=io.StringIO()))
    data = _data((tmp_path / "leaderboard.html").read_text(encoding="utf-8"))
    assert [one["file"] for one in data["beside"]] == ["config.yaml", "log.txt", "command.txt"]
    there = {run["link"]: [data["beside"][index]["file"] for index in run["beside"]] for run in data["runs"]}
    assert there == {"results/set/r00/": [], "results/set/r01/": ["config.yaml", "command.txt"]}


def test_a_claims_lines_are_counted_before_they_are_listed(tmp_path, monkeypatch):
    line = partial(Evidence, "a − b", "", 0, "above 0")
    found = (
        *(line(1.0, (0.5, 1.5), "3 each", verdict="supported"), line(-1.0, (-1.5, -0.5), "3 each", verdict="contradicted")),
        *(line(0.2, (-1.0, 1.4), "3 each"), line(0.3, None, "one each"), line(None, None, "none")),
    )
    content = Content(leaderboard(entries(sample())))
    claims = (replace(content.claims[0], evidence=found), *content.claims[1:])
    monkeypatch.setattr(Content, "claims", claims)
    text = page.render(Content(content.board), tmp_path)
    assert "4 comparisons: 1 as claimed, 1 otherwise, 2 undecided (1 with too few pre-trainings)" in text
    count = len(claims)
    assert f"Of {count} claims: 0 supported, 1 contradicted, {count - 1} undecided; " in text
    assert f"{count - 1} without evidence in these runs." in text
