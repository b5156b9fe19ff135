"""What a step costs, against the counts of each method's passes."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from pretrain import plan
from pretrain.batch import Batch
from pretrain.config import PretrainConfig
from pretrain.core.errors import DataError
from pretrain.core.journal import Journal
from pretrain.images.imageset import read
from pretrain.plan import LOADED, Pace, as_kept, cost, loading, measure, passes
from pretrain.train import open_images
from pretrain.trainer import Trainer

SMALL_CROP = 3 * (96 / 224) ** 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"method": "mocov2"}, 4),
        ({"method": "mocov2", "aug": "cutmix", "mixed_target": "un-mix"}, 7),
        ({"method": "mocov2", "local_views": 6}, 4 + 6 * SMALL_CROP),
        ({"method": "simclr"}, 6),
        ({"method": "barlowtwins"}, 6),
        ({"method": "vicreg", "aug": "cutout"}, 6),
        ({"method": "simsiam"}, 6),
        ({"method": "simsiam", "aug": "cutout"}, 8),
        ({"method": "simsiam", "aug": "cutout", "aug_views": "both"}, 6),
        ({"method": "byol"}, 8),
        ({"method": "mocov2plus"}, 8),
        ({"method": "mocov3"}, 8),
        ({"method": "swav"}, 6 + 6 * SMALL_CROP),
        ({"method": "dino"}, 8 + 8 * SMALL_CROP),
        ({"method": "supervised"}, 3),
    ],
)
def test_a_step_costs_as_many_passes_as_its_method_makes(fields: dict[str, Any], expected: float) -> None:
    assert passes(PretrainConfig.read(fields)) == pytest.approx(expected)


def test_the_part_of_small_crops_is_said() -> None:
    assert cost(PretrainConfig.read({"method": "swav"})) == (
        "9.31 forward passes of a view of 224 pixels for each image, a backward pass as two; "
        "6 without the 6 small crops of 96 pixels"
    )
    assert "small" not in cost(PretrainConfig.read({"method": "simclr"}))


def test_the_slower_of_steps_and_loader_decides_and_is_named() -> None:
    workers, alone = Pace(0.004, 0.006, workers=2), Pace(0.004, 0.006, workers=0)
    assert (workers.seconds, alone.seconds) == (0.006, pytest.approx(0.010))
    assert workers.bound() == "4 ms an image in a step, 6 ms by 2 loader workers: the loader is the slower one"
    assert Pace(0.004, 0.001, workers=2).bound().endswith("the step is the slower one")


def test_an_estimate_says_that_it_leaves_out_what_a_gpu_takes_to_decode() -> None:
    left_out = "what the GPU takes to decode and crop JPEGs is not in it"
    for decode in ("cpu", "gpu"):
        pace = Pace.of(PretrainConfig.read({"decode": decode}), "cuda:0", step=0.004, load=0.001)
        assert (left_out in pace.bound()) == (decode == "gpu")


def test_on_a_gpu_each_process_times_its_whole_part_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    config = PretrainConfig.read({"arch": "resnet18", "size": 16, "batch": 32, "queue": 32, "precision": "fp32"})
    run = Trainer(config, 64, 2, "cpu")
    monkeypatch.setattr("pretrain.plan.TIMED_PIXELS", 2 * 16**2)
    seen: list[int] = []
    batch = run.batch

    def noted(crops: Sequence[torch.Tensor], labels: torch.Tensor, *rest: Any, **more: Any) -> Batch:
        seen.append(len(labels))
        monkeypatch.setattr(run, "device", "cpu")  # there is no other one here
        return batch(crops, labels, *rest, **more)

    monkeypatch.setattr(run, "batch", noted)
    measure(run, processes=4)
    assert seen == [2] * 3
    seen.clear()
    run.device = "cuda:0"
    empty = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape, device=None, **how: empty(*shape, **how))
    measure(run, processes=4)
    assert seen == [8] * 7


def test_loading_is_timed_on_few_images_and_shared_by_the_workers_that_cores_allow(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = read(root, "train")
    config = PretrainConfig.read({"arch": "resnet18", "size": 16, "batch": 12, "queue": 12})
    clock = iter([0.0, 1.2] * 3)
    monkeypatch.setattr("pretrain.plan.time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr("pretrain.plan.launcher.cores", lambda: 2)
    each = [loading(config.replace({"num_workers": workers}), images, images.labels) for workers in (0, 2, 4)]
    assert each == [pytest.approx(seconds) for seconds in (0.1, 0.05, 0.05)]


def test_what_the_first_image_waits_for_once_is_not_the_time_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cold:
        wait = 1.0

        def __getitems__(self, positions: Sequence[Any]) -> None:
            time.sleep(self.wait)
            self.wait = 0.0

    config, images = PretrainConfig.published("mocov2"), SimpleNamespace()
    cold = Cold()
    monkeypatch.setattr(plan, "crops", lambda *_, **__: cold)
    monkeypatch.setattr(plan, "few", lambda *_: list(range(LOADED)))
    assert loading(config, images, []) < Cold.wait / LOADED / 10  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields", [{}, {"cache_side": 16}, {"cache": "ram", "cache_side": 16}, {"cache": "jpeg", "cache_side": 16}]
)
def test_the_images_that_are_timed_are_those_that_the_cache_will_hold(
    fields: dict[str, Any], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    config = PretrainConfig.read({"arch": "resnet18", "size": 16, "batch": 12, "queue": 12, "num_workers": 0, **fields})
    for path in (root / "train").rglob("*.png"):
        Image.open(path).resize((40, 30)).save(path)
    images = read(root, "train")
    assert len(images) <= LOADED
    timed = as_kept(config, images)
    assert not (tmp_path / "cache").exists()
    kept = open_images(config, images, Journal(), "cpu")
    for index in range(len(images)):
        assert torch.equal(timed.picture(index).pixels(), kept.picture(index).pixels())
    if "cache" in fields:
        monkeypatch.setattr(type(images), "picture", None)  # no file is read while it is timed
    loading(config, timed, images.labels)


def test_an_image_that_cannot_be_read_is_told_when_it_is_timed_or_gives_its_place_away(root: Path) -> None:
    (root / "train" / "ant" / "ant_0.png").write_bytes(b"no image")
    fields = {"arch": "resnet18", "size": 16, "batch": 12, "queue": 12, "num_workers": 0, "cache": "ram"}
    images = read(root, "train")
    for where in ("stop", "skip"):
        config = PretrainConfig.read({**fields, "on_bad_image": where})
        timed = as_kept(config, images)
        if where == "skip":
            assert loading(config, timed, images.labels) > 0
        else:
            with pytest.raises(DataError, match=r"ant_0\.png"):
                loading(config, timed, images.labels)
