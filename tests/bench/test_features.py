"""`--set features=...`: another reading of a backbone is another protocol, and the usual one is what it was."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pretrain.backbones.vit import VIT_SMALL
from transfer import record, sources, tasks
from transfer.board.entries import Entry
from transfer.board.leaderboard import leaderboard
from transfer.datasets import imagefolder
from transfer.representation.features import centre_features, extractor
from transfer.representation.measure import MeasureSettings
from transfer.tasks.probe import ProbeSettings

Typed = Callable[..., int]
WORDS = ("--data", "images", "--budget", "small", "--device", "cpu", "--set", "size=32")
VERBS: dict[str, tuple[str, ...]] = {
    "knn": ("transfer", "--task", "knn", "--set", "neighbours=3"),
    "linear": ("transfer", "--task", "linear", "--set", "epochs=1"),
    "linear-cached": ("transfer", "--task", "linear-cached", "--set", "epochs=1"),
    "measure": ("measure", "--set", "views=2"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path]) -> None:
    """An empty working folder with a tiny image folder in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    lay_images(tmp_path / "images", train=4, val=3)


@pytest.mark.parametrize(
    ("verb", "readings"),
    [("knn", ("mean", "last4")), ("linear", ("last4",)), ("linear-cached", ("mean",)), ("measure", ("mean",))],
)
def test_each_reading_is_a_column_and_a_record_of_its_own(typed: Typed, verb: str, readings: tuple[str, ...]) -> None:
    words = (*VERBS[verb], *WORDS, "--ckpt", "random:vit_small", "--out")
    assert typed(*words, "usual") == 0
    for reading in readings:
        assert typed(*words, reading, "--set", f"features={reading}") == 0
    usual, *others = found = [record.read(Path(name) / "result.json") for name in ("usual", *readings)]
    assert "features" not in usual.changed
    for reading, other in zip(readings, others, strict=True):
        assert other.changed == {**usual.changed, "features": reading}
        assert other.notes == (*usual.notes, f"features {reading}: {VIT_SMALL.readings[reading]}")
    assert len({each.identity for each in found}) == len(found)
    board = leaderboard([Entry(Path("result.json"), each) for each in found])
    assert (len(board.protocols), len(board.rows)) == (len(found), 1)


def test_the_usual_reading_may_be_named(typed: Typed) -> None:
    words = (*VERBS["knn"], *WORDS, "--ckpt", "random:resnet18", "--out", "run")
    assert typed(*words) == typed(*words, "--set", "features=default") == 0  # the second finds the first's record


def test_runs_and_records_of_before_are_of_the_usual_reading() -> None:
    """A field that is left out of the numbers at its default changes no identity."""
    for settings in (*(tasks.get(task).settings for task in ("linear", "linear-cached", "knn")), MeasureSettings()):
        assert "features" not in settings.numbers()
        assert settings.replace({"features": "mean"}).numbers() == {**settings.numbers(), "features": "mean"}
    assert issubclass(type(tasks.get("knn").settings), ProbeSettings)


def test_the_features_that_are_read_are_the_architecture_s(typed: Typed) -> None:
    backbone = sources.load("random:vit_small_mocov3")
    images = imagefolder.read(Path("images")).val
    how = {"size": 32, "batch": 4, "num_workers": 0, "device": "cpu"}
    usual, mean, last = (
        torch.cat(list(centre_features(extractor(backbone, "cpu", reading)[0], images, **how)))
        for reading in ("default", "mean", "last4")
    )
    assert (usual.shape, mean.shape, last.shape) == ((6, 384), (6, 384), (6, 4 * 384))
    torch.testing.assert_close(last[:, -384:], usual, rtol=1e-4, atol=1e-4)
    assert (mean - usual).abs().max() > 1e-2


@pytest.mark.parametrize("verb", VERBS)
def test_a_resnet_has_the_usual_reading_alone(typed: Typed, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*VERBS[verb], *WORDS, "--ckpt", "random:resnet18", "--set", "features=mean", "--out", "none")
    assert typed(*words) == 2
    assert "the features of resnet18 can't be read as 'mean'" in capsys.readouterr().err
    assert not Path("none").exists()


def test_a_size_that_a_vit_can_t_see_is_refused_before_anything_is_written(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*VERBS["knn"], "--data", "images", "--ckpt", "random:vit_small", "--set", "size=40", "--out", "none")
    assert typed(*words) == 2
    assert "can't see images of 40 × 40 pixels" in capsys.readouterr().err
    assert not Path("none").exists()
