"""What `bench transfer` passes on and records; the engine is a stand-in."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.options import Place
from bench.verbs import Finished, transfer
from bench.verbs.transfer import Transfer
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal
from transfer import datasets, engines, record
from transfer.engines import Job, Outcome
from transfer.record import Data

DATA = Data(name="tiny", layout="coco", fingerprint="f0", train=6, val=4, classes=3)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, Job]]:
    """The engine's name and the job of every run; nothing is read or trained."""
    seen: list[tuple[str, Job]] = []

    def engine(name: str) -> Any:
        def fit(job: Job) -> Outcome:
            seen.append((name, job))
            return Outcome({"AP_box": 1.0}, {"tensors": 120.0})

        return SimpleNamespace(fit=fit)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "read", lambda *_: SimpleNamespace(ref=DATA))
    monkeypatch.setattr(engines, "get", engine)
    monkeypatch.setattr(engines, "missing", lambda name: None)
    return seen


def run(task: str, **more: Any) -> Finished:
    asked = Transfer(task=task, checkpoint="random:resnet18", **more)
    return transfer.run(asked, here(), silent)


def here(**more: Any) -> Place:
    return Place(data=str(Path.cwd()), device="cpu", **more)


def silent(*_: object) -> None:
    """No progress shown."""


@pytest.mark.parametrize(
    ("task", "schedule", "protocol", "iters"),
    [
        ("coco-c4", None, "coco-c4@2x", 180000),
        ("coco-c4@1x", None, "coco-c4@1x", 90000),
        ("coco-c4", "1x", "coco-c4@1x", 90000),
        ("coco-fpn", None, "coco-fpn@1x", 90000),
        ("coco-fpn@2x", "2x", "coco-fpn@2x", 180000),
    ],
)
def test_the_record_says_which_schedule_ran(
    jobs: list[tuple[str, Job]], task: str, schedule: str | None, protocol: str, iters: int
) -> None:
    done = run(task, schedule=schedule)
    assert (done.record.task, done.record.protocol, done.record.changed) == (protocol.split("@")[0], protocol, {})
    assert done.record.schedule.startswith(f"{iters} iterations")
    assert done.folder.name.startswith(f"{protocol}-random")
    assert jobs[0][1].settings.numbers()["iters"] == iters


def test_another_length_is_a_change_of_the_schedule_named(jobs: list[tuple[str, Job]]) -> None:
    changed = run("coco-c4@1x", adjustments={"iters": 900}).record.changed
    assert changed == {"iters": 900, "steps": [600, 800], "warmup": 90}


def test_the_engine_asked_for_runs_and_is_recorded(jobs: list[tuple[str, Job]]) -> None:
    assert [run("voc07").record.engine, run("voc07", engine="torchvision").record.engine] == ["detectron2", "torchvision"]
    assert [name for name, _ in jobs] == ["detectron2", "torchvision"]


def test_the_launcher_says_how_many_processes_there_are(jobs: list[tuple[str, Job]], monkeypatch: pytest.MonkeyPatch) -> None:
    launched = {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    assert here().processes == 3


def test_the_record_says_how_many_images_a_second_the_training_took(
    jobs: list[tuple[str, Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("coco-c4").record.images_per_second is None  # the stand-in trained nothing
    monkeypatch.setattr(Journal, "rate", lambda self, stage: 2.5 if stage == "train" else None)
    assert run("coco-c4@1x", adjustments={"batch": 4}).record.images_per_second == 10.0
    assert run("coco-c4@1x").record.images_per_second == 15.0  # a batch can't hold more than the 6 images there are


def test_what_a_run_goes_on_from_is_there_until_its_result_is_written(
    jobs: list[tuple[str, Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(job: Job) -> Outcome:
        state = job.folder / "last.pth"
        state.write_bytes(b"")
        return Outcome({"AP_box": 1.0}, {"tensors": 120.0}, spent=(state,))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    write = record.write
    monkeypatch.setattr(engines, "get", lambda name: SimpleNamespace(fit=fit))
    monkeypatch.setattr(record, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        run("coco-c4")
    assert len(list(Path("runs").glob("*/last.pth"))) == 1
    monkeypatch.setattr(record, "write", write)
    done = run("coco-c4")
    assert (done.folder / "result.json").is_file()
    assert not (done.folder / "last.pth").exists()


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Place(devices=2).device_name() == "cuda"
    assert Place(devices=4, device="cpu").device_name() == "cpu"
    with pytest.raises(ConfigError, match="--devices 4, 2 GPUs"):
        Place(devices=4).device_name()


@pytest.mark.parametrize("name", ["cpu:x", "cpu:0", "cuda:x", "cuda:2", "cuda:-1", "cuda:", "cuda:01", "tpu", "cudax"])
def test_a_device_that_there_is_not_is_refused_with_those_there_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [Place(device=known).device_name() for known in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]
    with pytest.raises(ConfigError, match=f"unknown device '{name}'\n  allowed: cpu, cuda, cuda:0, cuda:1"):
        Place(device=name).device_name()


def test_a_gpu_asked_for_where_there_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="CUDA was asked for and there is none"):
        Place(device="cuda:0").device_name()
