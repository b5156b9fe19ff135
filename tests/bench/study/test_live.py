"""What `bench study status` and `run --watch` show, of run folders made up here."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from bench.study import live, running
from bench.study.attempts import Attempts, host
from bench.study.cells import Cell
from bench.study.states import Look, Observer, State

STUDY = "pretrain: {a: {set: {supervision: self}, seeds: 3}}\nevaluate: [{of: a, task: [knn, linear]}]"


def steps(folder: Path, *rows: tuple[str, int, int, float], tail: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"stage": stage, "step": step, "of": of, "seconds": seconds}) for stage, step, of, seconds in rows]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines) + tail)


def looked(study, *going: Cell) -> tuple[Look, Observer]:
    look = study.look()
    states = {**look.states, **{cell.id: State.RUNNING for cell in going}}
    return Look(look.plan, states, look.found, look.why, look.checkpoints), Observer.of(look.plan)


def test_the_time_left_is_that_of_the_stages_own_speed(tmp_path: Path) -> None:
    assert running.read(tmp_path) is None
    steps(tmp_path, ("train", 1, 9, 70.0))
    assert running.read(tmp_path) == running.Progress("train", 1, 9, None)
    steps(tmp_path, ("train", 9, 9, 70.0), ("val", 10, 40, 80.0), ("val", 20, 40, 85.0), tail='{"stage": "val", "st')
    assert running.read(tmp_path) == running.Progress("val", 20, 40, 10.0)


def test_the_view_tells_where_runs_are_and_how_far_and_when_all_ends_in_80_columns(study) -> None:
    plan = study.write(STUDY)
    first, second = plan.pretrainings[:2]
    attempts = Attempts(plan.home)
    for cell, devices in ((first, "GPU 1"), (second, "GPU 0,2")):
        attempts.folder(cell.id).mkdir(parents=True)
        attempts.put(cell.id, devices)
    steps(first.folder, ("pretrain", 100, 1_000, 50.0), ("pretrain", 200, 1_000, 60.0))
    said = list(live.fitted(live.states(*looked(study, first, second))))
    assert max(map(len, said)) <= live.COLUMNS
    whole = " ".join(" ".join(said).split())
    assert "step 200 of 1,000, 1:20 left" in whole
    assert whole.index(f"GPU 0,2 on {host()}: {second.id}") < whole.index(f"GPU 1 on {host()}: {first.id}")
    assert "in 1:50, on the 2 devices that work now; without 8 cells whose time no record tells" in whole
    assert any(line.split()[:5] == ["pretrain", "·" * 20, "0", "of", "3,"] for line in said)


def test_a_place_is_noted_at_the_start_of_a_cell(study) -> None:
    plan = study.write(STUDY)
    study.coordinator(workers=1).run()
    assert {Attempts(plan.home).place(cell.id) for cell in plan.pretrainings} == {f"worker 0 on {host()}"}


def test_done_cells_fill_the_bars_and_failures_come_with_message_and_log(study) -> None:
    plan = study.write(STUDY, ends={"knn": (2, "DataError", "no images there " * 20)})
    study.coordinator().run()
    console = Console(file=io.StringIO(), force_terminal=True, width=200, height=200)
    screen = live.Screen(console)
    look, observer = looked(study)
    with screen:
        screen.show(look, observer)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "█" * 20 + "     3 of 3" in shown
    assert str(Attempts(plan.home).log(plan.evaluations[0].id)) in shown
    assert max(map(len, re.sub(r"\x1b\[[?\d;]*[A-Za-z]|\r", "", shown).splitlines())) <= live.COLUMNS


def test_without_a_terminal_there_is_a_line_for_a_change_and_none_without(study) -> None:
    study.write(STUDY, ends={"knn": (2, "DataError", "no images there")})
    console = Console(file=io.StringIO(), width=200)
    with live.Screen(console) as screen:
        screen.show(*looked(study))
        screen.show(*looked(study))
        study.coordinator().run()
        screen.show(*looked(study))
        screen.show(*looked(study))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in said
    assert [line[9:] for line in said.splitlines() if "study s:" in line] == [
        "study s: 9 cells: 3 ready, 6 waiting",
        "study s: 9 cells: 6 done, 3 failed",
    ]
    assert said.count("no images there") == 3


def test_status_watches_until_nothing_is_left(study, typed, capsys: pytest.CaptureFixture[str]) -> None:
    plan = study.write(STUDY)
    study.coordinator().run()
    assert typed("study", "status", "study.yaml", "--watch") == 0
    said = capsys.readouterr().out
    assert f"study s: {len(plan.cells)} cells: 9 done" in said
    assert said.count("3 of 3") == 3
