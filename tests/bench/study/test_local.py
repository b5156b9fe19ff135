"""The local coordinator: every cell once, in order, whatever is killed, edited or wrong meanwhile."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.study import plan as planning
from bench.study.attempts import Attempts
from bench.study.states import Observer, State

SMALL = """
pretrain: {a: {set: {supervision: self}, grid: {aug: [none, cutmix]}, seeds: 2}}
evaluate: [{of: a, task: [knn, linear]}]
"""


def test_every_cell_is_done_once_and_each_seed_before_the_next(study) -> None:
    plan = study.write(SMALL)
    assert study.coordinator().run() == 0
    assert set(study.look().states.values()) == {State.DONE}
    ran = study.ran()
    assert sorted(ran) == sorted(cell.folder.name for cell in plan.cells.values())
    ranks = {cell.folder.name: cell.rank for cell in plan.cells.values()}
    begun = [ranks[line.split()[1]] for line in study.said if line.startswith("started")]
    assert begun.index(1) >= 6 - 1  # the last of the six cells of seed 0 may wait for its backbone
    assert study.coordinator().run() == 0
    assert study.ran() == ran


def test_a_mistake_fails_a_cell_at_once_and_makes_what_needs_it_impossible_until_retry(study) -> None:
    plan = study.write(SMALL, ends={"pretrain-mocov2-cutmix": (2, "ConfigError", "no such thing")})
    assert study.coordinator().run() == 1
    look = study.look()
    failed, impossible = look.having(State.FAILED), look.having(State.IMPOSSIBLE)
    assert [cell.values["aug"] for cell in failed] == ["cutmix", "cutmix"]
    assert {cell.needs for cell in impossible} == {cell.id for cell in failed}
    assert all(failed[0].folder.name in look.why[cell.id] for cell in impossible if cell.needs == failed[0].id)
    attempts = Attempts(plan.home)
    assert [each.ended for each in attempts.of(failed[0].id)] == ["mistake"]
    attempts.retry(cell.id for cell in failed)
    study.write(SMALL)
    assert study.coordinator().run() == 0


def test_a_fault_of_the_machine_is_tried_again_and_then_fails(study) -> None:
    plan = study.write("pretrain: {a: {}}\nretries: 2", ends={"pretrain": (1, "", "")})
    assert study.coordinator().run() == 1
    (cell,) = plan.cells
    assert [each.ended for each in Attempts(plan.home).of(cell)] == ["fault"] * 3
    assert study.look().states[cell] is State.FAILED


def test_ten_failures_alike_stop_new_starts_and_nothing_else(study) -> None:
    study.write("pretrain: {a: {seeds: 30}}", ends={"pretrain": (2, "DataError", "no data at /d17")})
    assert study.coordinator(workers=1).run() == 1
    counts = study.look().counts()
    assert (counts[State.FAILED], counts[State.READY]) == (10, 20)
    assert any("failed alike" in line for line in study.said)


def test_a_run_that_another_process_holds_is_no_failure(study) -> None:
    plan = study.write("pretrain: {a: {}}", ends={"pretrain": (2, "ConfigError", "runs/x is held by another process")})
    coordinator = study.coordinator()
    threading.Timer(1.0, lambda: study.write("pretrain: {a: {}}")).start()
    assert coordinator.run() == 0
    (cell,) = plan.cells
    assert [each.ended for each in Attempts(plan.home).of(cell)] == ["done"]


def test_a_changed_file_adds_and_drops_cells_and_a_broken_one_changes_nothing(study) -> None:
    study.write("pretrain: {a: {grid: {aug: [none, cutmix, cutout]}, seeds: 2}}", seconds=0.4)
    whole: list[str] = []

    def edit() -> None:
        study.path.write_text("study: [", encoding="utf-8")
        time.sleep(0.6)
        plan = study.write("pretrain: {a: {grid: {aug: [none, mixup]}, seeds: 2}}", seconds=0.1)
        whole.extend(cell.folder.name for cell in plan.cells.values())

    threading.Timer(0.3, edit).start()
    assert study.coordinator(workers=1).run() == 0
    ran = study.ran()
    assert any("can't be used" in line for line in study.said)
    assert set(whole) <= set(ran)
    assert len(ran) == len(set(ran)) < 8  # 4 of the new file, and of the 4 that were dropped the few that had begun


def test_stop_lets_what_runs_end_and_now_does_not(study) -> None:
    plan = study.write("pretrain: {a: {seeds: 6}}", seconds=0.5)
    for content, least in (("", 1), ("now\n", 0)):
        threading.Timer(0.25, lambda content=content: (plan.home / "stop").write_text(content)).start()
        before = len(study.ran())
        assert study.coordinator(workers=1).run() == 3
        assert len(study.ran()) - before == least
    assert study.coordinator().run() == 0
    assert len(study.ran()) == 6


def test_a_backbone_of_elsewhere_that_is_not_there_is_impossible_and_says_how_it_is_made(study) -> None:
    said = "{files: {one: one.pth}, hint: bench convert --out one.pth}"
    (cell,) = study.write(f"pretrain: {{a: {said}}}\nevaluate: [{{of: a, task: knn}}]").cells.values()
    assert study.look().why[cell.id] == "no checkpoint at one.pth\nbench convert --out one.pth"
    Path("one.pth").write_text("weights", encoding="utf-8")
    assert study.coordinator().run() == 0


def test_a_backbone_that_nobody_kept_is_made_again_where_the_study_says_so_and_an_evaluation_needs_it(study) -> None:
    study.write(SMALL)
    study.coordinator().run()
    Path("runs").rename("kept")
    for path in Path("kept").glob("*/result.json"):  # two runs of one recipe end in other bytes
        found = json.loads(path.read_text())
        found["checkpoint"]["sha256"] = found["checkpoint"]["sha256"][::-1]
        path.write_text(json.dumps(found))
    for path in Path("kept").glob("*/backbone.pth"):
        path.unlink()
    more = SMALL + "  - {of: a, where: {aug: cutmix}, task: voc07}\n"

    plan = study.write(more.replace("[{of: a, task: [knn, linear]}]", "\n  - {of: a, task: [knn, linear]}"))
    kept = [Path("kept")]
    look = Observer.of(plan, kept).look(plan)
    assert look.counts() == {State.DONE: 12, State.IMPOSSIBLE: 2}
    assert "remake: true" in next(iter(look.why.values()))

    study.path.write_text(study.path.read_text() + "remake: true\n")
    plan = planning.read(study.path)
    look = Observer.of(plan, kept).look(plan)
    assert {cell.values["aug"] for cell in look.having(State.READY)} == {"cutmix"}
    assert look.counts() == {State.DONE: 10, State.READY: 2, State.WAITING: 2}
    before = study.ran()
    assert study.coordinator(found=kept).run() == 0
    again = study.ran()[len(before) :]
    assert sorted(name.split("-")[0] for name in again) == ["pretrain", "pretrain", "voc07", "voc07"]
    look = Observer.of(plan, kept).look(plan)
    assert look.counts() == {State.DONE: 14}

    for path in Path("runs").glob("*/backbone.pth"):
        path.unlink()
    for path in Path("runs").glob("voc07*/result.json"):
        path.unlink()
    look = Observer.of(plan, kept).look(plan)
    assert look.counts() == {State.DONE: 10, State.IMPOSSIBLE: 4}
    assert any("move it into a folder that --found names" in why for why in look.why.values())
    for cell in look.having(State.IMPOSSIBLE):
        if cell.subject is None:
            cell.folder.rename(Path("kept", f"once-more-{cell.folder.name}"))
    assert Observer.of(plan, kept).look(plan).counts() == {State.DONE: 10, State.READY: 2, State.WAITING: 2}


def test_a_record_of_another_run_in_a_cells_folder_is_named_and_not_waited_for(study) -> None:
    plan = study.write("pretrain: {a: {}}")
    study.coordinator().run()
    (cell,) = plan.cells.values()
    path = cell.folder / "result.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 5', 1))
    assert study.coordinator().run() == 1
    assert "another run" in study.look().why[cell.id]


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import FAKE
from bench.study.local import Coordinator, Machine
machine = Machine(("0", "1"), gpus=False)
raise SystemExit(Coordinator(Path("study.yaml"), (), machine, print, program=FAKE, poll=0.02, every=0.2).run())
"""


def coordinator(**more: object) -> "subprocess.Popen[bytes]":
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, start_new_session=True, **more)


def children(study) -> list[int]:
    """Process ids of the fakes that run in the working folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, there = (path / "cmdline").read_bytes().split(b"\0"), os.readlink(path / "cwd")
        except OSError:
            continue
        if there == str(Path.cwd()) and any(word.endswith(b"fake.py") for word in words):
            found.append(int(path.name))
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_killed_coordinators_and_children_lose_nothing_and_do_nothing_twice(study) -> None:
    plan = study.write("pretrain: {a: {seeds: 10}}\nevaluate: [{of: a, task: [knn, linear]}]", seconds=0.3)
    draw = random.Random(0)
    first, second = coordinator(), coordinator()
    for kill in range(5):
        time.sleep(1.5)
        fakes = children(study)
        if kill % 2 and fakes:
            os.kill(draw.choice(fakes), signal.SIGKILL)
        else:
            first.kill()
            first.wait()
            first = coordinator()
    assert first.wait(timeout=120) == 0
    assert second.wait(timeout=120) == 0
    assert children(study) == []
    assert sorted(study.ran()) == sorted(cell.folder.name for cell in plan.cells.values())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_coordinator_that_is_killed_takes_its_children_with_it_and_one_that_is_asked_waits_for_them(study) -> None:
    for by, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 1)):
        study.write("pretrain: {a: {seeds: 4}}", seconds=60)
        process = coordinator(stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(children(study)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(by)
        assert process.wait(timeout=30) == code  # `Interrupted`, which the command line makes 143
        time.sleep(0.3)
        assert children(study) == []
        assert study.look().counts() == {State.READY: 4}
