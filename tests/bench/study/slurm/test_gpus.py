"""Studies on a Slurm that gives out GPUs (files that stand for them), and takes nodes away for jobs that are more urgent."""

from pathlib import Path

import pytest

from bench.study.states import State

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1500)]
SETUP = "env > $SLURM_ARRAY_JOB_ID.$SLURM_ARRAY_TASK_ID.env"
ON_GPUS = f"\nslurm: {{gres: gpu, setup: ['{SETUP}']}}"


def seen() -> list[str]:
    """What jobs have as CUDA_VISIBLE_DEVICES."""
    lines = [line for path in Path().glob("*.env") for line in path.read_text().splitlines()]
    return sorted(line.partition("=")[2] for line in lines if line.startswith("CUDA_VISIBLE_DEVICES="))


def test_each_job_sees_the_gpus_that_it_was_given_and_no_other(study, on_gpus) -> None:
    on = on_gpus
    wide = "\nresources: [{when: {aug: cutmix}, devices: 2, cpus: 2}, {cpus: 1}]"
    plan = study.write("pretrain: {a: {grid: {aug: [none, mixup, cutmix]}}}" + wide + ON_GPUS, seconds=20)
    assert on.run(watch=True) == 0
    assert seen() == ["0", "0,1", "1"]
    assert sorted(study.ran()) == sorted(cell.folder.name for cell in plan.cells.values())


def test_what_a_more_urgent_job_drives_away_is_requeued_and_goes_on_without_a_fault(study, on_gpus) -> None:
    on = on_gpus
    plan = study.write("pretrain: {b: {seeds: 2}}\nresources: [{cpus: 2}]" + ON_GPUS, seconds=40)
    on.run()
    on.wait_begun(*plan.cells)
    urgent = on.cluster.say(
        "sbatch", "--parsable", "-p", "urgent", "--exclusive", "--output=/dev/null", "--wrap", "sleep 2"
    ).strip()
    on.cluster.wait(lambda: on.cluster.say("squeue", "-h", "-j", urgent, "-t", "R,CG,CD", "-o", "%T") != "", 120)
    assert on.run(watch=True) == 0
    assert set(on.look().states.values()) == {State.DONE}
    for cell in plan.cells:
        ended = on.attempts(cell)
        assert ended.count("begun") == 2
        assert set(ended) <= {"submitted", "begun", "stopped", "done"}
    assert sorted(study.ran()) == sorted(cell.folder.name for cell in plan.cells.values())
