"""Two processes on a CPU: they train one model, evaluate every image once, and a stopped run goes on."""

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pretrain.core import distributed, interrupt
from pretrain.core.group import group
from pretrain.core.journal import Journal
from transfer import sources
from transfer.datasets import cityscapes
from transfer.engines import Job
from transfer.engines.mmseg import engine
from transfer.engines.mmseg.checkpoint import LAST
from transfer.tasks.cityscapes import CITYSCAPES

pytest.importorskip("mmseg", reason="MMSegmentation is not installed")

HERE = Path(__file__).resolve()
ROOT = HERE.parents[4]
ITERS = 4
QUICK = {"iters": ITERS, "batch": 4, "lr": 0.02, "crop": 64, "head_dilation": 1, "num_workers": 0, "checkpoint_every": 2}


def job(root: Path, folder: Path, journal: Journal) -> Job:
    settings = CITYSCAPES.settings.replace(QUICK)
    folder.mkdir(exist_ok=True)
    return Job(CITYSCAPES, settings, sources.load("random:resnet18"), cityscapes.read(root), folder, 0, "cpu", journal)


def run_as_one_of_two(root: str, out: str) -> None:
    """What each of two processes does: a whole run, then one that the second process is asked to stop, and its rest."""
    torch.set_num_threads(1)
    with group("cpu"):
        first = not distributed.rank()
        whole = engine.MMSegmentation.fit(
            job(Path(root), Path(out) / "whole", Journal(Path(out) / "whole") if first else Journal())
        )
        model = {name: tensor.sum().item() for name, tensor in _last(Path(out) / "whole").items()}
        sums = distributed.gather(torch.tensor(list(model.values()), dtype=torch.float64)[None])
        assert torch.equal(sums[0], sums[1])

        def stop(stage: str, done: int, total: int, values: Any) -> None:
            if distributed.rank() == 1 and done == 3:
                interrupt._mark = signal.SIGTERM

        with pytest.raises(interrupt.Interrupted, match="iteration 3 of 4"):
            engine.MMSegmentation.fit(job(Path(root), Path(out) / "cut", Journal(progress=stop)))
        interrupt._mark = None
        rest = engine.MMSegmentation.fit(job(Path(root), Path(out) / "cut", Journal()))
    if first:
        kept = {"whole": [dict(whole.metrics), whole.proof, whole.notes], "cut": [dict(rest.metrics), rest.notes]}
        (Path(out) / "outcomes.json").write_text(json.dumps(kept))


def _last(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "mmseg" / LAST, weights_only=True)["state_dict"]
    return state


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lay = runpy.run_path(str(HERE.parents[2] / "tiny_scenes.py"))["lay"]
    root: Path = lay(tmp_path_factory.mktemp("scenes"), train=6, val=3)  # three images: one process gets one twice
    return root


@pytest.fixture(scope="module")
def ran(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of both runs, and what they yielded."""
    out = tmp_path_factory.mktemp("two")
    call = f"{HERE.stem}.run_as_one_of_two({str(scenes)!r}, {str(out)!r})"
    code = f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); import {HERE.stem}; {call}"
    words = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, cwd=out, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, json.loads((out / "outcomes.json").read_text())


def test_two_processes_find_the_metric_that_one_finds_with_the_same_weights(
    ran: tuple[Path, dict[str, Any]], scenes: Path, tmp_path: Path
) -> None:
    out, outcomes = ran
    (tmp_path / "one/mmseg").mkdir(parents=True)
    (tmp_path / "one/mmseg" / LAST).write_bytes((out / "whole/mmseg" / LAST).read_bytes())
    one = engine.MMSegmentation.fit(job(scenes, tmp_path / "one", Journal()))  # nothing is left to train
    assert outcomes["whole"][0] == dict(one.metrics)


def test_the_notes_say_what_stands_in_for_synchronised_norms(ran: tuple[Path, dict[str, Any]]) -> None:
    _metrics, proof, notes = ran[1]["whole"]
    assert proof == {"tensors": 120.0, "max_feature_difference": 0.0}
    assert "in each of 2 processes over its own 2 images, in place of synchronised BN over all 4" in notes[0]


def test_one_process_writes_and_counts_the_images_of_both(ran: tuple[Path, dict[str, Any]]) -> None:
    folder = ran[0] / "whole"
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["stage"] == "train"] == list(range(1, ITERS + 1))
    assert (folder / "predictions.png").is_file()
    assert {path.name for path in (folder / "mmseg").glob("*.pth")} == {"backbone.pth", LAST}
    assert sorted(path.name for path in ran[0].iterdir()) == ["cut", "outcomes.json", "whole"]


def test_a_run_of_two_that_one_is_asked_to_stop_ends_as_one_that_was_not(ran: tuple[Path, dict[str, Any]]) -> None:
    out, outcomes = ran
    assert outcomes["cut"][0] == outcomes["whole"][0]
    assert "resumed at iteration 3" in outcomes["cut"][1][-1]
    ours, theirs = _last(out / "cut"), _last(out / "whole")
    trained = [name for name in theirs if "running" not in name]  # the statistics were averaged once more on the way
    assert all(torch.equal(ours[name], theirs[name]) for name in trained)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
