"""A run on two nodes of Slurm, of real processes: it stops, and goes on in the next job."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.study import plan as planning
from bench.study.states import State
from bench.verbs import study as verb

STUDY = """
study: wide
data: {pretrain: images}
precision: fp32
budget: small
pretrain: {a: {set: {epochs: EPOCHS, size: 16, batch: 8, queue: 16, num_workers: 0}}}
slurm: {gres: none, stage: {images: $PLACE}}
resources: [{when: {kind: pretrain}, devices: 2, nodes: 2}]
"""


@pytest.mark.slurm
@pytest.mark.timeout(1500)
def test_a_run_on_two_nodes_stops_and_goes_on_in_the_next_job(
    on_two_nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path]
) -> None:
    on = on_two_nodes
    monkeypatch.setenv("PLACE", str(tmp_path / "of the node"))
    lay_images(tmp_path / "images", train=8, val=2)
    on.path.write_text(STUDY.replace("EPOCHS", "60"), encoding="utf-8")
    (cell,) = planning.read(on.path).cells.values()
    log = planning.read(on.path).home / "cells" / cell.id / "log.txt"
    metrics = cell.folder / "metrics.jsonl"
    on.run()
    on.cluster.wait(lambda: _steps(metrics) > 0 or on.attempts(cell.id)[-1] not in ("submitted", "begun"), 500)
    assert _steps(metrics) > 0, log.read_text()
    verb.stop(on.path, now=True)
    on.cluster.wait(lambda: on.cluster.say("squeue", "-h") == "", 300)
    assert on.look().states[cell.id] is State.READY, log.read_text()
    assert on.attempts(cell.id) == ["submitted", "begun", "stopped", "freed"]
    assert "saved: step" in log.read_text()
    assert on.run(watch=True) == 0, log.read_text()
    assert "resuming after step" in (cell.folder / "log.txt").read_text()
    (found,) = on.look().found[cell.id]
    assert (found.devices, found.data) == (2, "images")
    assert len(list((tmp_path / "of the node").glob("bench-*/images"))) == 1


def _steps(metrics: Path) -> int:
    return metrics.read_text().count("\n") if metrics.is_file() else 0
