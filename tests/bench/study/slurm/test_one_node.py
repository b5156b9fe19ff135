"""Studies on a Slurm of one node: whatever happens to their jobs, they end right, and nothing is done twice."""

import json
import os
import signal
from pathlib import Path

import pytest

from bench.study import child
from bench.study.slurm import stopping
from bench.study.states import State
from bench.verbs import study as verb
from pretrain.core.errors import EngineError

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1500)]
CPUS = "\nslurm: {gres: none}"


def test_every_cell_is_done_once_by_jobs_that_submit_what_they_make_ready(study, on_one_node) -> None:
    on = on_one_node
    plan = study.write("pretrain: {a: {seeds: 2}}\nevaluate: [{of: a, task: knn}]" + CPUS)
    assert on.run() == 0
    assert on.run() == 0  # nothing is submitted again
    assert sum("submitted" in line for line in on.said) == 1
    on.cluster.wait(lambda: set(on.look().states.values()) == {State.DONE}, 400)  # nobody gave `run` again
    assert sorted(study.ran()) == sorted(cell.folder.name for cell in plan.cells.values())


def test_a_study_ends_right_whatever_happens_to_its_jobs(study, on_one_node) -> None:
    on = on_one_node
    plan = study.write("pretrain: {a: {seeds: 5}}\nevaluate: [{of: a, task: knn}]" + CPUS, seconds=15)
    killed, requeued, *_, cancelled = [cell.id for cell in plan.pretrainings]
    on.run()
    on.cluster.say("scancel", on.jobs(cancelled))
    on.wait_begun(killed, requeued)
    os.kill(on.element(on.jobs(killed)), signal.SIGKILL)
    on.cluster.say("scontrol", "requeue", on.jobs(requeued))
    on.cluster.say("scontrol", "update", "nodename=n1", "state=drain", "reason=test")
    on.cluster.crash_control()
    on.cluster.control()
    on.cluster.wait(lambda: on.cluster.say("squeue", "-h") != "", 60)
    on.cluster.say("scontrol", "update", "nodename=n1", "state=resume")
    assert on.run(watch=True) == 1
    look = on.look()
    assert [cell.id for cell in look.having(State.FAILED)] == [cancelled]
    assert "was cancelled" in look.why[cancelled]
    assert look.counts() == {State.DONE: 8, State.FAILED: 1, State.IMPOSSIBLE: 1}
    assert on.attempts(killed).count("fault") == 1
    assert on.attempts(requeued)[-1] == "done"
    assert "fault" not in on.attempts(requeued)
    verb.retry(on.path, [cancelled], failed=False)
    assert on.run(watch=True) == 0
    assert sorted(study.ran()) == sorted(cell.folder.name for cell in plan.cells.values())


def test_a_run_longer_than_its_jobs_goes_on_from_job_to_job_and_one_that_saves_nothing_fails(study, on_one_node) -> None:
    on = on_one_node
    plan = study.write("pretrain: {a: {}}\nslurm: {gres: none, time: 1m, save: 40}", seconds=50)
    (cell,) = plan.cells.values()
    assert on.run(watch=True) == 0
    ended = on.attempts(cell.id)
    assert ended.count("begun") == ended.count("stopped") + 1 >= 2
    assert set(ended) == {"submitted", "begun", "stopped", "done"}
    log = (plan.home / "cells" / cell.id / "log.txt").read_text()
    assert log.count("going on after step 0 of") == 1
    study.write("pretrain: {a: {set: {aug: cutmix}}}\nslurm: {gres: none, time: 1m, save: 40}", seconds=90)
    says = json.loads(Path("fake.json").read_text())
    Path("fake.json").write_text(json.dumps({**says, "saves": False}))
    assert on.run(watch=True) == 1
    assert "it saved nothing within the time of a job" in next(iter(on.look().why.values()))


def test_cancelling_what_runs_is_no_stop_and_stop_is_no_cancelling(study, on_one_node) -> None:
    on = on_one_node
    plan = study.write("pretrain: {a: {seeds: 3}}" + CPUS, seconds=20)
    cancelled, stopped, waiting = plan.cells
    on.run()
    on.wait_begun(cancelled, stopped)
    on.cluster.say("scancel", on.jobs(cancelled))
    verb.stop(on.path, now=True)
    on.cluster.wait(lambda: on.cluster.say("squeue", "-h") == "", 120)
    assert {key: on.look().states[key] for key in plan.cells} == {
        cancelled: State.FAILED, stopped: State.READY, waiting: State.READY}  # fmt: skip
    assert on.run(watch=True) == 1
    assert on.look().counts() == {State.DONE: 2, State.FAILED: 1}
    assert not child.stop_file(plan.home).exists()
    assert stopping.cancel_waiting(plan.home) == 0


def test_what_sbatch_refuses_is_said_in_its_own_words_and_leaves_nothing(study, on_one_node) -> None:
    on = on_one_node
    plan = study.write("pretrain: {a: {}}\nslurm: {gres: none, partition: gpus}")
    with pytest.raises(EngineError, match="invalid partition specified: gpus"):
        on.run()
    study.write("pretrain: {a: {}}\nslurm: {gres: gpu}")
    with pytest.raises(EngineError, match="Invalid generic resource"):
        on.run()
    assert set(on.look().states.values()) == {State.READY}
    assert list((plan.home / "jobs").glob("2*")) == []
