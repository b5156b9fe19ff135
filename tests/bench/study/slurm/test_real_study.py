"""A study of real runs on a Slurm of one node, with jobs that are shorter than its pre-trainings."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bench.study import plan as planning
from bench.study import running
from bench.study.states import State

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(3600)]
WHOLE = Path(__file__).parents[4] / "studies" / "small-augmentations.yaml"
EPOCHS = 30
"""Of a step each: the runs take about twice as long as they take to start."""


def reduced(minutes: int, save: int) -> str:
    """The study of the project on images of noise, with one pre-training for each augmentation."""
    study = yaml.safe_load(WHOLE.read_text())
    study["data"] = dict.fromkeys(study["data"], "images")
    main = study["pretrain"]["main"]
    main["set"]["epochs"] = EPOCHS
    main["grid"]["supervision"] = ["self"]
    main["seeds"] = 1
    study["evaluate"][1]["measure"]["probe"] = ["none"]
    study["resources"] = [{"cpus": 1}]
    study["slurm"] = {"gres": "none", "time": f"{minutes}m", "save": save}
    return yaml.safe_dump(study)


def test_real_runs_longer_than_their_jobs_killed_and_requeued_end_as_they_do_undisturbed(
    on_one_node_really, lay_images: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on = on_one_node_really
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    lay_images(Path("images"), [f"class{number}" for number in range(10)], train=40, val=6)
    on.path.write_text(reduced(1, 1))
    killed, requeued = planning.read(on.path).pretrainings
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "bench", *killed.command()[1:-1], "alone"], check=True, capture_output=True)
    work = (time.monotonic() - began) * 0.8  # less than an undisturbed run takes, more than it takes to start
    minutes = int(work // 60) + 1
    on.path.write_text(reduced(minutes, int(60 * minutes - work)))

    on.run()
    on.wait_begun(killed.id, requeued.id)
    on.cluster.wait(lambda: all(running.read(cell.folder) is not None for cell in (killed, requeued)), 600)
    os.kill(on.element(on.jobs(killed.id)), signal.SIGKILL)
    on.cluster.say("scontrol", "requeue", on.jobs(requeued.id))
    assert on.run(watch=True) == 0
    assert set(on.look().states.values()) == {State.DONE}
    assert len(on.look().states) == 6
    fallen, back = on.attempts(killed.id), on.attempts(requeued.id)
    assert fallen.count("fault") == 1
    assert "fault" not in back
    assert [*fallen, *back].count("stopped") > 1  # by the requeue, and by the end of a job
    assert killed.path.read_bytes() == Path("alone", killed.path.name).read_bytes()
