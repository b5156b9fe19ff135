import json
import math
import os
import runpy
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain.core import interrupt
from pretrain.core.errors import CheckpointError, EngineError, ProofError, TrainingError
from pretrain.core.journal import Journal
from transfer import sources
from transfer.convert import mmseg_payload
from transfer.datasets import cityscapes
from transfer.datasets.segmentation import SegmentationData
from transfer.engines import Job, Outcome
from transfer.engines.mmseg import checkpoint, engine
from transfer.segmentation.label_maps import Sample
from transfer.tasks.cityscapes import CITYSCAPES
from transfer.tasks.linear import LINEAR

pytest.importorskip("mmseg", reason="MMSegmentation is not installed")

TINY = runpy.run_path(str(Path(__file__).parents[2] / "tiny_scenes.py"))
ITERS = 24
QUICK = {"iters": ITERS, "batch": 4, "lr": 0.02, "crop": 64, "head_dilation": 1, "num_workers": 0}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SegmentationData:
    return cityscapes.read(TINY["lay"](tmp_path_factory.mktemp("scenes")))


@pytest.fixture(scope="module")
def make(data: SegmentationData) -> Callable[..., Job]:
    def make(folder: Path, arch: str = "resnet18", journal: Journal | None = None, **changes: Any) -> Job:
        settings = CITYSCAPES.settings.replace(QUICK | changes)
        return Job(CITYSCAPES, settings, sources.load(f"random:{arch}"), data, folder, 0, "cpu", journal or Journal(folder))

    return make


@pytest.fixture(scope="module")
def trained(make: Callable[..., Job], tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path, Sequence[Sample]]:
    """A finished run, its folder, and what it predicted for each of the four validation images."""
    folder, drawn, draw = tmp_path_factory.mktemp("trained"), [], engine.draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "draw", lambda path, samples, classes: (drawn.extend(samples), draw(path, samples, classes)))
        outcome = engine.MMSegmentation.fit(make(folder))
    return outcome, folder, drawn


def test_the_model_is_exactly_the_backbone_it_was_given(trained: Any) -> None:
    assert trained[0].proof == {"tensors": 120.0, "max_feature_difference": 0.0}


def test_training_beats_the_untrained_model_and_any_single_class(
    trained: Any, make: Callable[..., Job], tmp_path: Path
) -> None:
    untrained = engine.MMSegmentation.fit(make(tmp_path, iters=0))
    assert [path.name for path in tmp_path.rglob("*.pth")] == ["backbone.pth"]
    labels = np.concatenate([sample.truth[sample.truth != 255] for sample in trained[2]])
    constant = 100 * np.bincount(labels).max() / labels.size / len(TINY["CLASSES"])  # mIoU of the best single class
    assert trained[0].metrics["mIoU"] > constant + 5
    assert trained[0].metrics["mIoU"] > untrained.metrics["mIoU"] + 5


def test_the_metrics_are_those_of_the_confusion_matrix(trained: Any, data: SegmentationData) -> None:
    outcome, _, samples = trained
    count = len(data.classes)
    confusion = np.zeros((count, count))
    for pair, sample in zip(data.val, samples, strict=True):
        truth = np.array(Image.open(pair.label))
        np.testing.assert_array_equal(truth, sample.truth)
        for label in range(count):
            for guess in range(count):
                confusion[label, guess] += ((truth == label) & (sample.prediction == guess)).sum()
    hits, union = confusion.diagonal(), confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    seen = union > 0  # a class in neither truth nor predictions has no part in the mean
    assert not seen.all(), "the scenes should leave a class out"
    assert outcome.metrics["mIoU"] == pytest.approx(100 * (hits[seen] / union[seen]).mean(), abs=0.006)
    assert outcome.metrics["aAcc"] == pytest.approx(100 * hits.sum() / confusion.sum(), abs=0.006)


def test_every_step_is_noted_with_loss_and_learning_rate(trained: Any) -> None:
    rows = [json.loads(line) for line in (trained[1] / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["stage"] == "train"]
    assert [row["step"] for row in steps] == list(range(1, ITERS + 1))
    assert [row["lr"] for row in steps[:: ITERS - 1]] == pytest.approx([0.02, 0.0002])
    assert np.mean([row["loss"] for row in steps[-5:]]) < np.mean([row["loss"] for row in steps[:5]])
    assert rows[-1]["mIoU"] == trained[0].metrics["mIoU"]


def test_the_notes_tell_which_normalisation_ran(trained: Any) -> None:
    assert any("batch normalisation" in note and "one process" in note for note in trained[0].notes)


def test_the_picture_has_a_row_for_each_of_four_images(trained: Any) -> None:
    with Image.open(trained[1] / "predictions.png") as picture:
        assert picture.height > 4 * 256  # 320 pixels wide, from images of 80 × 64


def test_the_same_seed_gives_the_same_numbers_in_silence_and_only_in_its_folder(
    trained: Any,
    make: Callable[..., Job],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    said: list[str] = []
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "run").mkdir()
    job = make(Path(os.path.relpath(tmp_path / "run")), journal=Journal(progress=lambda stage, *_: said.append(stage)))
    again = engine.MMSegmentation.fit(replace(job, announce_time=True))
    assert again == trained[0]
    assert list((tmp_path / "here").iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert sum("estimated time" in text for text in said) == 1


def stopping(at: int, *, stage: str = "train") -> Journal:
    """A journal that asks for a stop at that step, as a signal does."""

    def hear(said: str, done: int, total: int, values: dict[str, float]) -> None:
        if (said, done) == (stage, at):
            interrupt._mark = signal.SIGTERM

    return Journal(progress=hear)


@pytest.fixture(autouse=True)
def _unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "_mark", None)


def test_a_stopped_run_goes_on_to_the_same_numbers(
    trained: Any, make: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(interrupt.Interrupted, match="iteration 13 of 24"):
        engine.MMSegmentation.fit(make(tmp_path, journal=stopping(13)))
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    monkeypatch.setattr(interrupt, "_mark", None)
    seen: list[int] = []
    journal = Journal(progress=lambda stage, done, *_: seen.append(done) if stage == "train" else None)
    again = engine.MMSegmentation.fit(make(moved, journal=journal))
    assert again.metrics == trained[0].metrics
    assert seen == list(range(14, ITERS + 1))
    assert again.notes[-1].startswith("resumed at iteration 13: mmengine reads the batches before once more")
    ours, theirs = (torch.load(folder / "mmseg/last.pth", weights_only=True) for folder in (moved, trained[1]))
    assert all(torch.equal(ours["state_dict"][name], theirs["state_dict"][name]) for name in theirs["state_dict"])
    # Finished: the same call evaluates the last checkpoint again, and can be stopped, too.
    with pytest.raises(interrupt.Interrupted, match="all 24 iterations"):
        engine.MMSegmentation.fit(make(moved, journal=stopping(1, stage="evaluate")))


def killed_after(job: Job, saves: int) -> int:
    """Start the job in a process of its own that is killed in the middle of that save; returns how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        replace_file, left = os.replace, [saves]

        def die(source: Path, target: Path) -> None:
            left[0] -= target.name == checkpoint.LAST
            if not left[0]:
                os.truncate(source, 1000)
                os.kill(os.getpid(), signal.SIGKILL)
            replace_file(source, target)

        os.replace = die  # type: ignore[assignment]
        engine.MMSegmentation.fit(job)
    finally:
        os._exit(1)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_run_killed_while_it_saves_goes_on_from_the_whole_checkpoint_before(
    trained: Any, make: Callable[..., Job], tmp_path: Path
) -> None:
    job = make(tmp_path, journal=Journal(), checkpoint_every=5)
    reached = []
    for saves in (1, 2, 2):
        assert killed_after(job, saves) == -signal.SIGKILL
        assert (tmp_path / "mmseg" / checkpoint.PARTIAL).stat().st_size == 1000
        reached.append(checkpoint.saved(tmp_path / "mmseg", job.identity))
    assert reached == [0, 5, 10]
    assert engine.MMSegmentation.fit(job).metrics == trained[0].metrics
    assert not (tmp_path / "mmseg" / checkpoint.PARTIAL).exists()


def test_a_broken_checkpoint_or_that_of_another_run_is_refused(
    trained: Any, make: Callable[..., Job], data: Any, tmp_path: Path
) -> None:
    (tmp_path / "mmseg").mkdir()
    last = tmp_path / "mmseg/last.pth"
    last.write_bytes((trained[1] / "mmseg/last.pth").read_bytes())
    with pytest.raises(CheckpointError, match="is of another run"):
        engine.MMSegmentation.fit(make(tmp_path, lr=0.01))
    for size in (last.stat().st_size // 2, 100, 0):
        os.truncate(last, size)
        with pytest.raises(CheckpointError, match=r"can't resume from(.|\n)*remove it to start again"):
            engine.MMSegmentation.fit(make(tmp_path))
    torch.save({"state_dict": {}}, last)
    with pytest.raises(CheckpointError, match="not a training checkpoint"):
        engine.MMSegmentation.fit(make(tmp_path))


def test_another_task_is_refused(make: Callable[..., Job], tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="can't run 'linear'"):
        engine.MMSegmentation.fit(replace(make(tmp_path), task=LINEAR, settings=LINEAR.settings))


def test_the_native_configuration_repeats_the_run_without_us(trained: Any, tmp_path: Path) -> None:
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner

    config = Config.fromfile(trained[1] / "mmseg_config.py")
    config.work_dir, config.experiment_name, config.log_level = str(tmp_path), "without-us", "ERROR"
    init_default_scope("mmseg")
    runner = Runner.from_cfg(config)
    runner.train()
    assert float(runner.message_hub.log_scalars["val/mIoU"].current()) == pytest.approx(trained[0].metrics["mIoU"], abs=1e-4)


def test_a_backbone_with_bottlenecks_is_exact_too(make: Callable[..., Job], tmp_path: Path) -> None:
    outcome = engine.MMSegmentation.fit(make(tmp_path, "resnet50", iters=0, max_val_images=1))
    assert outcome.proof["max_feature_difference"] == 0.0
    assert "evaluated on 1 of 4 validation images" in outcome.notes


WRONG = {
    "another stem": ("backbone", {"type": "ResNetV1c"}, r"6 not loaded: (.|\n)*expected-new: \d+, decode_head"),
    "the stride in the wrong convolution": ("backbone", {"style": "caffe"}, "computes other features"),
    "the first block not dilated": ("backbone", {"contract_dilation": True}, "computes other features"),
    "output stride 32": ("backbone", {"strides": (1, 2, 2, 2), "dilations": (1, 1, 1, 1)}, "computes other features"),
    "nothing loaded": ("backbone", {"init_cfg": None}, "different"),
    "BGR": ("data_preprocessor", {"bgr_to_rgb": False}, "the order BGR"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_model_that_is_another_backbone_is_refused(
    case: str, make: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, changes, words = WRONG[case]
    native_config = engine.native_config

    def spoiled(*args: Any, **named: Any) -> dict[str, Any]:
        config = native_config(*args, **named)
        config["model"][part] |= changes
        return config

    monkeypatch.setattr(engine, "native_config", spoiled)
    with pytest.raises(ProofError, match=words):
        engine.MMSegmentation.fit(make(tmp_path, "resnet50", iters=0))


def test_two_norms_swapped_in_the_conversion_are_refused(
    make: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(state: dict[str, torch.Tensor]) -> dict[str, Any]:
        first, second = "layer3.0.bn1.weight", "layer3.0.bn2.weight"
        return mmseg_payload(state | {first: state[second], second: state[first]})

    job = make(tmp_path, iters=0)
    state = {key: value + torch.rand_like(value) if ".bn" in key else value for key, value in _floats(job).items()}
    job = replace(job, backbone=replace(job.backbone, state=job.backbone.state | state))
    monkeypatch.setattr(engine, "mmseg_payload", swapped)
    with pytest.raises(ProofError, match=r"fatal: 2 different: layer3.0.bn1.weight, layer3.0.bn2.weight\n"):
        engine.MMSegmentation.fit(job)


def _floats(job: Job) -> dict[str, torch.Tensor]:
    return {key: value for key, value in job.backbone.state.items() if value.is_floating_point()}


def test_a_loss_that_is_not_finite_stops_the_run(make: Callable[..., Job], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lower it"):
        engine.MMSegmentation.fit(make(tmp_path, lr=1e20))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] is None
    assert all(math.isfinite(row["loss"]) for row in rows[:-1])
    assert [path.name for path in tmp_path.rglob("*.pth")] == ["backbone.pth"]
