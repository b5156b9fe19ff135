"""`bench report`: which records are read, what is said of broken ones, and which files are written."""

import io
import json
import runpy
import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench import cli
from bench.report import RENDERINGS, markdown, report
from bench.report.gather import gather
from pretrain.core.errors import RecordError

ROOT = Path(__file__).resolve().parents[2]
_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
made, lay, sample = (_shared[name] for name in ("made", "lay", "sample"))


def test_the_report_writes_five_files_into_a_new_folder_and_nothing_else(tmp_path):
    lay(sample(), tmp_path / "runs")
    screen = io.StringIO()
    result = report([tmp_path / "runs"], tmp_path / "new" / "out", Console(file=screen, width=100))
    names = ["leaderboard.csv", "leaderboard.html", "leaderboard.json", "leaderboard.md", "leaderboard.tex"]
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == names
    assert sorted(path.name for path in result.written) == names
    assert (len(result.board.rows), result.problems) == (3, ())
    assert "mocov2 · cutmix" in screen.getvalue()


@pytest.mark.parametrize("command", ["report", "demo"])
def test_the_help_names_every_file_that_is_written(command):
    shown = " ".join(CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "300"}).output.split())
    first, *others = (name.removeprefix("leaderboard") for name in RENDERINGS)
    assert f"Folder for leaderboard{first}, {', '.join(others[:-1])} and {others[-1]}" in shown


def test_make_clean_takes_every_file_of_a_report_away(tmp_path):
    report([lay([made()], tmp_path / "records")[0].parent], tmp_path, Console(file=io.StringIO()))
    subprocess.run(["make", "-f", str(ROOT / "Makefile"), "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["records"]


def test_a_broken_record_is_named_with_its_path_and_the_others_are_reported(tmp_path):
    good, broken, future = lay([made(), made(aug="a"), made(aug="b")], tmp_path / "runs")
    broken.write_text("{", encoding="utf-8")
    future.write_text(json.dumps(json.loads(future.read_text(encoding="utf-8")) | {"schema_version": 9}), encoding="utf-8")
    screen = io.StringIO()
    result = report([tmp_path / "runs"], tmp_path, Console(file=screen, width=500))
    assert [problem.path for problem in result.problems] == [broken, future]
    assert [entry.path for entry in result.board.entries] == [good]
    for text in (screen.getvalue(), (tmp_path / "leaderboard.html").read_text(encoding="utf-8")):
        assert f"can&#39;t read the record {broken}" in text or f"can't read the record {broken}" in text
        assert f"{future} has an unknown schema version" in text
    assert markdown.escape(str(future)) in (tmp_path / "leaderboard.md").read_text(encoding="utf-8")


def test_records_of_one_identity_that_disagree_are_named_and_the_newer_is_kept(tmp_path):
    new, old = lay([made(finished="2031-01-01T00:00:00+00:00"), made(metrics={"top1": 49.0})], tmp_path / "runs")
    result = report([tmp_path / "runs"], tmp_path, Console(file=io.StringIO()))
    (problem,) = result.problems
    assert problem.path == old
    assert problem.message.splitlines()[:3] == [
        f"{old} disagrees with a newer record of the same run",
        "  seen:    top1 49, newer 50",
        f"  newer:   {new}, which is kept",
    ]
    assert [cell.mean for cell in result.board.cells.values()] == [50.0]


def test_a_folder_inside_another_is_read_once(tmp_path):
    lay([made(), made(aug="a")], tmp_path / "runs")
    found, problems = gather([tmp_path / "runs", tmp_path / "runs" / "r01", tmp_path / "runs" / ".." / "runs"])
    assert (len(found), problems) == (2, ())


def test_a_run_behind_a_link_is_read_and_a_circle_of_links_ends(tmp_path):
    lay([made()], tmp_path / "runs")
    lay([made(aug="a")], tmp_path / "elsewhere")
    (tmp_path / "runs" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "runs")
    found, problems = gather([tmp_path / "runs", tmp_path / "elsewhere"])
    assert ([entry.record.checkpoint.provenance.aug for entry in found], problems) == (["a", "none"], ())


def test_an_empty_folder_beside_a_good_one_is_named(tmp_path):
    lay([made()], tmp_path / "runs")
    (tmp_path / "empty").mkdir()
    found, problems = gather([tmp_path / "runs", tmp_path / "empty", tmp_path / "missing"])
    assert len(found) == 1
    assert [problem.message.splitlines()[:2] for problem in problems] == [
        [f"no records in {tmp_path / 'empty'}", "  seen:    a folder without a result.json"],
        [f"no records in {tmp_path / 'missing'}", "  seen:    nothing: the folder does not exist"],
    ]


@pytest.mark.parametrize("exists", [True, False])
def test_no_records_at_all_is_one_message_that_says_what_to_do_and_writes_nothing(tmp_path, exists):
    runs = tmp_path / "runs"
    if exists:
        runs.mkdir()
    with pytest.raises(RecordError) as error:
        report([runs], tmp_path / "out", Console(file=io.StringIO()))
    assert f"no records in {runs}" in str(error.value)
    assert "make some with `bench pretrain` and `bench transfer`" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_nothing_but_broken_records_names_them(tmp_path):
    paths = lay([made(aug=str(number)) for number in range(7)], tmp_path / "runs")
    for path in paths:
        path.write_text("", encoding="utf-8")
    with pytest.raises(RecordError) as error:
        gather([tmp_path / "runs"])
    assert "no record is whole" in str(error.value)
    assert [str(path) in str(error.value) for path in paths] == [True] * 5 + [False] * 2
    assert "and 2 more" in str(error.value)


def test_a_file_where_the_output_folder_should_be_is_one_message(tmp_path):
    lay([made()], tmp_path / "runs")
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(RecordError, match="can't write"):
        report([tmp_path / "runs"], tmp_path / "out", Console(file=io.StringIO()))


def test_pre_trainings_alone_make_a_table_without_numbers(tmp_path):
    lay([made("pretrain", {"loss": 1.0}, kind="pretrain", wall_seconds=90.0)], tmp_path / "runs")
    result = report([tmp_path / "runs"], tmp_path, Console(file=io.StringIO()))
    assert (len(result.board.rows), result.board.columns) == (1, ())
    text = (tmp_path / "leaderboard.md").read_text(encoding="utf-8")
    assert "| mocov2 | none | full | 100 % | resnet18 | shapes | 20 | 90 |" in text
