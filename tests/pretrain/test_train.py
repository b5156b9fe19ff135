"""Resuming, and what a run leaves; on 16-pixel images."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain import methods
from pretrain.augment import AUGMENTATIONS
from pretrain.checkpoint import BACKBONE_FORMAT
from pretrain.config import PretrainConfig
from pretrain.core import distributed, interrupt
from pretrain.core.errors import CheckpointError, ConfigError, DataError, TrainingError
from pretrain.core.journal import Journal
from pretrain.images.imageset import ImageSet, read
from pretrain.learner import Losses
from pretrain.methods import METHODS
from pretrain.train import Trained, batches_of, training_set
from pretrain.train import train as train_on
from pretrain.trainer import Trainer
from transfer import sources

TINY = {"arch": "resnet18", "size": 16, "epochs": 2, "batch": 8, "num_workers": 0, "schedule.warmup_epochs": 0}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for cls in ("ant", "bee"):
        (root / "train" / cls).mkdir(parents=True)
        for i in range(12):
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(root / "train" / cls / f"{i}.png")
    return read(root, "train")


def config(**fields: object) -> PretrainConfig:
    own = {"queue": 16, "feature_dim": 8, "hidden": 32, "prototypes": 8, "outputs": 16, "local_views": 0}
    method = methods.get(str(fields.get("method", methods.DEFAULT)))
    return PretrainConfig.read({**TINY, **{name: own[name] for name in own.keys() & method.model_fields.keys()}, **fields})


def train(wanted: PretrainConfig, images: ImageSet, folder: Path, journal: Journal, **more: object) -> Trained:
    return train_on(wanted, training_set(wanted, images), folder, journal, name="noise", **more)


def losses(folder: Path) -> list[str]:
    return [line for line in (folder / "metrics.jsonl").read_text().splitlines() if "loss" in line]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


REGIMES = [
    (aug, supervision, {}) for aug, listed in AUGMENTATIONS.items() for supervision in ("self", "semi", "full")
    if listed.asks != "class activation"
]  # fmt: skip
CLASSIFIED = [
    (aug, supervision, {"method": "supervised"}) for aug, listed in AUGMENTATIONS.items() for supervision in ("semi", "full")
    if listed.kind == "blend"
]  # fmt: skip


@pytest.mark.parametrize(("aug", "supervision", "fields"), [*REGIMES, *CLASSIFIED, ("cutmix+fmix", "self", {})])
def test_every_augmentation_trains_under_every_regime(
    images: ImageSet, tmp_path: Path, aug: str, supervision: str, fields: dict[str, object]
) -> None:
    trained = train(config(aug=aug, supervision=supervision, epochs=1, **fields), images, tmp_path, Journal(tmp_path))
    assert np.isfinite(trained.loss)
    kept = (tmp_path / "labelled.txt").read_text().splitlines()
    assert len(kept) == {"self": 0, "semi": 12, "full": 24}[supervision]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_leaves_a_whole_backbone(images: ImageSet, tmp_path: Path, method: str) -> None:
    labels = methods.get(method).labels
    wanted = config(method=method, supervision="self" if labels == "unused" else "full")
    trained = train(wanted, images, tmp_path, Journal())
    payload = torch.load(tmp_path / "backbone.pth", weights_only=True)
    assert payload["format"] == BACKBONE_FORMAT
    assert len(payload["state_dict"]) == 120  # a ResNet-18 without its classifier
    assert not any(name.startswith("fc.") for name in payload["state_dict"])
    read = sources.load(str(tmp_path / "backbone.pth"))
    assert (read.provenance, read.provenance.method) == (trained.provenance, method)
    exported = wanted.method.learner(wanted.shape(classes=2)).export()
    assert (read.projector is None) == (exported.projector is None)
    if read.projector is not None:
        assert torch.isfinite(read.projector(torch.zeros(2, 512))).all()


def test_label_fraction_zero_is_moco_v2_to_the_last_bit(images: ImageSet, tmp_path: Path) -> None:
    for name, fields in {"self": {}, "zero": {"supervision": "semi", "label_fraction": 0.0}}.items():
        (tmp_path / name).mkdir()
        train(config(**fields), images, tmp_path / name, Journal(tmp_path / name))
    ours, theirs = (weights(tmp_path / name / "backbone.pth") for name in ("self", "zero"))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_filling_the_queue_moves_no_parameter(images: ImageSet, tmp_path: Path) -> None:
    wanted = config(fill_queue=True, epochs=1, queue=24, batch=8)  # three steps fill it, and there are three
    train(wanted, images, tmp_path, Journal())
    torch.manual_seed(wanted.seed)
    start = wanted.method.learner(wanted.shape(classes=2)).export().backbone
    left = weights(tmp_path / "backbone.pth")
    parameters = [key for key in start if key.endswith(("weight", "bias"))]
    assert all(torch.equal(start[key], left[key]) for key in parameters)


@pytest.mark.parametrize(
    "fields",
    [
        {"aug": "cutmix", "supervision": "semi"},
        {"aug": "puzzlemix+cutout"},
        {"aug": "snapmix", "method": "supervised", "supervision": "semi"},
    ],
)
def test_a_run_cut_after_an_epoch_ends_bit_for_bit_as_one_that_was_not(
    images: ImageSet, tmp_path: Path, fields: dict[str, object]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(), cut.mkdir()
    wanted = config(epochs=3, **fields)
    train(wanted, images, whole, Journal(whole))

    class Cut(Exception):  # noqa: N818
        pass

    def progress(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if stage == "pretrain" and done == 5:  # in the middle of the second of three epochs
            raise Cut

    with pytest.raises(Cut):
        train(wanted, images, cut, Journal(cut, progress))
    train(wanted, images, cut, Journal(cut))
    ours, theirs = weights(whole / "backbone.pth"), weights(cut / "backbone.pth")
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def course(folder: Path) -> list[dict[str, object]]:
    """What `metrics.jsonl` says, but for the time."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in ("seconds", "images_per_second")} for row in rows]


def test_a_run_stopped_after_any_step_ends_as_one_that_was_not(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of epochs of three steps, at the end of one, and after the last: files, losses and course are equal."""
    monkeypatch.setattr("pretrain.train.LOG_EVERY", 2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(), cut.mkdir()
    wanted = config(epochs=3, aug="cutmix", supervision="semi", monitor_every=1, fill_queue=True)
    asked = {"monitor": lambda state: {"knn": float(state["conv1.weight"].sum())}}
    expected = train(wanted, images, whole, Journal(whole), **asked)
    for step in (1, 3, 5, 9):

        def progress(stage: str, done: int, total: int, values: dict[str, float], step: int = step) -> None:
            if (stage, done) == ("pretrain", step):
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(interrupt.Interrupted, match=f"step {step} of 9"), interrupt.listening():
            train(wanted, images, cut, Journal(cut, progress), **asked)
        assert not (cut / "backbone.pth").exists()
    trained = train(wanted, images, cut, Journal(cut), **asked)
    assert (trained.loss, trained.images_per_second) == (expected.loss, None)
    assert (cut / "backbone.pth").read_bytes() == (whole / "backbone.pth").read_bytes()
    assert course(cut) == course(whole)


def test_a_killed_run_loses_no_more_than_the_seconds_between_checkpoints(images: ImageSet, tmp_path: Path) -> None:
    class Killed(Exception):  # noqa: N818
        pass

    def progress(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if done == 3:  # of three, and before it is saved
            raise Killed

    for seconds, left in ((600.0, []), (0.0, [2])):
        folder = tmp_path / str(seconds)
        folder.mkdir()
        with pytest.raises(Killed):
            train(config(epochs=1, checkpoint_seconds=seconds), images, folder, Journal(folder, progress))
        assert [torch.load(path, weights_only=True)["step"] for path in folder.glob("last.pth")] == left


def test_a_checkpoint_that_is_none_is_refused_with_what_to_do(images: ImageSet, tmp_path: Path) -> None:
    for content in (b"", b"text", b"PK\x03\x04"):
        (tmp_path / "last.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"can't resume from .*last.pth(.|\n)*remove it to start again"):
            train(config(), images, tmp_path, Journal())


def test_going_on_with_other_settings_is_refused_and_with_other_loaders_it_is_not(images: ImageSet, tmp_path: Path) -> None:
    train(config(), images, tmp_path, Journal())
    with pytest.raises(ConfigError, match="temperature"):
        train(config(temperature=0.1), images, tmp_path, Journal())
    train(config(save_every=2, checkpoint_seconds=1, keep_every=1), images, tmp_path, Journal())


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="at step"):
        train(config(base_lr=1e30, epochs=4), images, tmp_path, Journal())
    assert not (tmp_path / "backbone.pth").exists()


@pytest.mark.parametrize(
    "fields",
    [{"batch": 12, "queue": 12, "bn_splits": 2}, {"method": "supervised", "supervision": "full"}, {"aug": "puzzlemix"}],
)
def test_an_estimate_is_said_first_and_changes_nothing(images: ImageSet, tmp_path: Path, fields: dict[str, object]) -> None:
    folders = []
    for announce in (True, False):
        folders.append(tmp_path / str(announce))
        folders[-1].mkdir()
        train(config(epochs=1, **fields), images, folders[-1], Journal(folders[-1]), announce_time=announce)
    assert "estimated time: about" in (folders[0] / "log.txt").read_text()
    ours, theirs = (weights(folder / "backbone.pth") for folder in folders)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_too_few_images_and_too_few_classes_are_refused(images: ImageSet, tmp_path: Path) -> None:
    few = images.part(range(4))
    with pytest.raises(DataError, match="fewer images than a batch"):
        train(config(), few, tmp_path, Journal())
    one = replace(images, classes=("ant",), labels=(0,) * len(images))
    with pytest.raises(DataError, match="one class"):
        train(config(supervision="full"), one, tmp_path, Journal())


def test_parts_that_each_process_can_not_divide_its_images_into_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(config(bn_splits=4), 24, 2, "cpu")
    monkeypatch.setattr("pretrain.core.distributed.world", lambda: 2)
    with pytest.raises(ConfigError, match="4 images of each process in 4 parts"):
        next(batches_of(trainer, [], []))


def test_a_learner_is_drawn_on_the_cpu_alone_and_leaves_its_generator_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.manual_seed_all", seeded.append)
    before, wanted = torch.get_rng_state(), config(seed=3)
    drawn = Trainer(wanted, 24, 2, "cpu").learner.export().backbone
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == []
    torch.manual_seed(3)
    expected = wanted.method.learner(wanted.shape(classes=2)).export().backbone
    assert all(torch.equal(drawn[name], expected[name]) for name in expected)


def test_backbones_are_kept_on_the_way_and_the_monitor_is_asked(images: ImageSet, tmp_path: Path) -> None:
    asked = []

    def monitor(state: dict[str, torch.Tensor]) -> dict[str, float]:
        asked.append(len(state))
        return {"knn": 10.0 * len(asked)}

    wanted = config(epochs=5, keep_every=2, monitor_every=2)
    train(wanted, images, tmp_path, Journal(tmp_path), monitor=monitor)
    kept = sorted(path.name for path in tmp_path.glob("backbone-*.pth"))
    assert kept == ["backbone-0002.pth", "backbone-0004.pth"]
    assert torch.load(tmp_path / kept[0], weights_only=True)["provenance"]["epochs"] == 2
    assert asked == [120, 120, 120]  # after epochs 2, 4 and the last
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["knn"]) for row in rows if row["stage"] == "monitor"] == [(2, 10.0), (4, 20.0), (5, 30.0)]


@pytest.mark.parametrize("processes", [1, 2])
def test_nothing_is_saved_of_a_step_whose_loss_is_not_finite(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """On a GPU a loss may be read after the steps that follow it."""
    trainer = Trainer(config(), len(images), 2, "cpu")
    monkeypatch.setattr(distributed, "world", lambda: processes)
    trainer._unread.append((trainer.progress(0), Losses({"loss": torch.tensor(float("nan"))}), 0.1))
    assert not trainer.settled
    for _ in range(2):  # a second look changes nothing
        with pytest.raises(TrainingError, match="the loss is nan at step 0"):
            trainer.save(tmp_path / "last.pth", 1, [])
    assert not list(tmp_path.iterdir())
