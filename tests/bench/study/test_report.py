"""`bench report --study`: what is planned stands in the leaderboard beside what is there, from records alone."""

import io
import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.report import coverage, markdown, terminal
from bench.study import plan
from bench.study.attempts import Attempt, Attempts
from bench.study.cells import Cell
from bench.study.plan import StudyPlan
from bench.verbs import study_report
from pretrain import describe
from transfer import tasks
from transfer.board.claims.blocks import MEASURES
from transfer.record import write

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made, RANDOM = _shared["made"], _shared["RANDOM"]
STUDY = """
study: s
data: {pretrain: there/images, imagefolder: there/images}
precision: fp32
pretrain:
  a: {set: {supervision: self}, grid: {aug: [none, cutout, cutmix]}, seeds: 3}
  b: {set: {supervision: self, epochs: 4}, checkpoints: [2, final]}
evaluate:
  - {of: a, task: knn, trials: 2}
  - {of: a, measure: {probe: [none, cutout]}}
  - {of: b, task: linear}
  - {of: ["random:resnet50", "random:resnet50:1"], task: knn}
"""
PLANNED = 10 + 18 + 18 + 2 + 2


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyPlan:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(STUDY, encoding="utf-8")
    return plan.read(Path("s.yaml"))


def lay(whole: StudyPlan, cells: Iterable[Cell], value: Callable[[Cell], float] = lambda cell: 50.0) -> None:
    """Write the records of some cells below `kept`, as their runs would have, and nothing else."""
    for cell in cells:
        path = Path("kept", cell.folder.name, "result.json")
        path.parent.mkdir(parents=True)
        write(record(whole, cell, value(cell)), path)


def record(whole: StudyPlan, cell: Cell, value: float) -> Any:
    said = dict(cell.says)
    names = {"pretrain": ("loss",), "measure": MEASURES}.get(cell.kind) or tasks.get(cell.values["task"]).metrics
    number = value / 100 if cell.kind == "measure" else value
    metrics = dict.fromkeys(names, number)
    maker = cell if cell.subject is None else whole.cells.get(cell.subject.pretraining or "")
    if maker is None:
        assert cell.subject is not None
        more: dict[str, Any] = {**RANDOM, "aug": "none", "arch": "resnet50", "seed": int(cell.subject.key[-1])}
    else:
        came = describe.provenance(maker.settings, data="images", fingerprint="d", labelled=1.0, processes=1)
        more = came.model_dump(exclude={"drawn"}) | (
            {"epochs": cell.subject.epoch} if cell.subject and cell.subject.epoch else {}
        )
        more = more | {"settings": more.pop("changed")}
    more["sha256"] = cell.id if cell.subject is None else f"{cell.needs or cell.subject.key}{cell.subject.epoch or ''}"
    found = made(cell.values["task"], metrics, run_seed=said.pop("seed"), of_name="images", **said, **more)
    source = "bench" if maker else "random"
    return found.model_copy(update={"checkpoint": found.checkpoint.model_copy(update={"source": source})})


def content() -> Any:
    return study_report.content(Path("s.yaml"), [Path("kept")])


def rows(text: str) -> dict[str, list[str]]:
    """Augmentation and epochs of the first table of the Markdown → its cells."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| mocov2")]
    return {f"{line[1]} {line[6]}": line for line in lines}


def test_what_is_planned_running_failed_or_missing_has_a_mark_of_its_own_and_a_legend(whole: StudyPlan) -> None:
    first = {"none": 3, "cutout": 1}
    done = {cell.id for cell in whole.pretrainings if cell.settings.seed < first.get(cell.settings.aug, 0)}
    lay(whole, [cell for cell in whole.cells.values() if cell.id in done or (cell.task == "knn" and cell.needs in done)])
    cutmix = [cell for cell in whole.pretrainings if cell.settings.aug == "cutmix"]
    Attempts(whole.home).note(cutmix[0].id, Attempt("mistake", "DataError", "no images\n  do: put them there"))
    cutmix[1].folder.mkdir(parents=True)
    hold = (
        "import sys, pathlib, bench.runs.lock as l\nwith l.held(pathlib.Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(cutmix[1].folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = content()
        holder.terminate()
    text = markdown.render(found, Path())
    table = rows(text)
    headings = next(line for line in text.splitlines() if line.startswith("| method")).strip("| ").split(" | ")
    knn, of = next(at for at, name in enumerate(headings) if name.startswith("knn")), headings.index(coverage.PRETRAININGS)
    assert table["none 200"][knn].endswith("(3 × 2)")
    assert "2/6○" in table["cutout 200"][knn]
    assert (table["cutmix 200"][knn], table["cutmix 200"][of]) == ("○∅", "○…✗")
    assert table["none 4"][knn] == "–"  # nothing of that block is planned under it
    assert all(mark in coverage.LEGEND for mark in coverage.MARK_OF.values())
    assert "no images; do: put them there" in text
    assert (
        len(found.study.troubles) == 4
    )  # the failed one; its evaluations; those of backbones that were not kept, of two names


def test_records_alone_are_enough_and_every_cell_is_counted_once(whole: StudyPlan) -> None:
    lay(whole, whole.cells.values())
    stranger = Path("kept", "other", "result.json")
    stranger.parent.mkdir()
    write(made("linear", {"top1": 1.0}), stranger)
    found = content()
    assert found.study.total == {"done": PLANNED}
    assert len(found.board.entries) == PLANNED
    assert (found.board.rows, found.board.columns) == (found.measured.rows, found.measured.columns)
    assert found.study.strangers == 1
    assert found.problems == ()
    text = markdown.render(found, Path())
    assert "1 record in the same folders is of no cell" in text


def test_without_a_record_everything_stands_where_its_record_will(whole: StudyPlan) -> None:
    empty = content()
    assert empty.study.total == {"to do": PLANNED}
    lay(whole, whole.cells.values())
    full = content()
    assert {row.key._replace(data_fingerprint="d") for row in empty.board.rows if not row.baseline} == {
        row.key for row in full.board.rows if not row.baseline
    }
    assert {column.protocol.key._replace(fingerprint="") for column in empty.board.columns} == {
        column.protocol.key._replace(fingerprint="") for column in full.board.columns
    }
    places = [len(each.study.planned.runs) for each in (empty, full)]
    assert places[0] == places[1]


def test_a_claim_says_of_how_many_of_its_planned_units_it_is(whole: StudyPlan) -> None:
    done = [cell for cell in whole.cells.values() if cell.rank == 0 and "b" not in cell.blocks]
    lay(whole, done, lambda cell: {"none": 60.0, "cutout": 50.0, "cutmix": 55.0}.get(cell.values.get("aug", ""), 10.0))
    found = content()
    by_text = dict(zip((claim.text for claim in found.claims), found.standing, strict=True))
    masking = by_text["Masking regions lowers invariance and raises diversity."]
    assert masking == (2 * 2, 2 * 2 * 3)  # none and cutout, under Linv and Ldiv; one seed of three
    assert by_text["Test-time augmentation raises accuracy by 0.5 to 1.5 points."].planned == 0
    plain = content_of(found)
    line = next(one for one in plain["claims"] if one["text"].startswith("Masking"))
    assert (line["units"], line["planned"]) == (4, 12)
    screen = io.StringIO()
    terminal.show(found, Console(file=screen, width=80))
    said = " ".join(screen.getvalue().split())
    assert "4 of 12 planned units: Masking" in said
    assert max(map(len, screen.getvalue().splitlines())) <= 80


def content_of(found: Any) -> dict[str, Any]:
    from bench.report import json as rendering

    plain: dict[str, Any] = json.loads(rendering.render(found, Path()))
    return plain


def test_the_machine_form_has_the_counts_of_blocks_tasks_and_cells(whole: StudyPlan) -> None:
    lay(whole, whole.pretrainings)
    plain = content_of(content())["coverage"]
    groups = {(line["block"], line["task"]): line for line in plain["groups"]}
    assert groups["a", "pretrain"]["done"] == groups["a", "pretrain"]["planned"] == 9
    assert (groups["a", "knn"]["planned"], groups["a", "knn"]["impossible"]) == (18, 18)  # the backbones were not kept
    assert groups["random:resnet50", "knn"]["to_do"] == 2  # of two seeds, one row of the report
    assert plain["total"]["planned"] == PLANNED
    assert sum(cell["planned"] for cell in plain["cells"]) == 18 + 9 * 2 * len(MEASURES) + 2 * 2 + 2


def test_findings_are_those_of_the_records_alone(whole: StudyPlan) -> None:
    value = {"none": 60.0, "cutout": 50.0, "cutmix": 55.0}
    lay(
        whole, [cell for cell in whole.cells.values() if cell.rank < 2], lambda cell: value.get(cell.values.get("aug", ""), 9.0)
    )
    from bench import report

    planned, plain = content(), report.read([Path("kept")])
    assert planned.differences == plain.differences
    assert planned.best == plain.best
    assert [claim.verdict for claim in planned.claims] == [claim.verdict for claim in plain.claims]
    assert len(planned.board.columns) >= len(plain.board.columns)


def test_study_and_folders_of_runs_exclude_each_other(whole: StudyPlan, capsys: pytest.CaptureFixture[str], typed: Any) -> None:
    assert typed("report", "kept", "--study", "s.yaml") == 2
    assert "--found" in capsys.readouterr().err
    assert typed("report", "--found", "kept") == 2
    assert typed("report", "--study", "s.yaml", "--out", "out") == 0
    assert "to do" in Path("out/leaderboard.md").read_text(encoding="utf-8")
