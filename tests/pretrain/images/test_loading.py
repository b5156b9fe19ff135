"""Batches of crops: what they depend on, their order, and that loader processes change nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain.images import imageset, loading
from pretrain.images.crops import CentreCrop, Crop
from pretrain.images.loading import Crops


@pytest.fixture
def crops(root: Path) -> Crops:
    found = imageset.read(root, "train")
    return Crops(found, found.labels, [Crop(8, (0.2, 1.0))] * 2, seed=5)


def test_crops_depend_on_seed_epoch_and_image_alone(crops: Crops) -> None:
    views, labels, indices = crops.__getitems__([(0, 3), (0, 9), (1, 9), (0, 2)])
    assert [view.shape for view in views] == [(4, 3, 8, 8)] * 2
    assert (labels.tolist(), indices.tolist()) == ([0, 1, 1, 0], [3, 9, 9, 2])
    for row, position in enumerate([(0, 3), (0, 9), (1, 9), (0, 2)]):
        fresh = Crops(crops.images, crops.labels, crops.crops, seed=5)
        alone, _, _ = fresh.__getitems__([position])
        assert all(torch.equal(view[row], one[0]) for view, one in zip(views, alone, strict=True))


def test_views_images_epochs_and_seeds_have_crops_of_their_own(crops: Crops) -> None:
    views, _, _ = crops.__getitems__([(0, 9), (1, 9)])
    other, _, _ = Crops(crops.images, crops.labels, crops.crops, seed=6).__getitems__([(0, 9)])
    seen = [views[0][0], views[0][1], views[1][0], views[1][1], other[0][0]]
    assert len({tuple(one.flatten().tolist()) for one in seen}) == 5


def test_a_views_random_numbers_are_uniform_and_unrelated_to_the_next_images() -> None:
    draws = loading._Draws(seed=0, shape=(2, 3))([(0, index) for index in range(5000)]).reshape(5000, 6)
    assert draws.mean(axis=0) == pytest.approx(np.full(6, 0.5), abs=0.02)
    assert draws.var(axis=0) == pytest.approx(np.full(6, 1 / 12), rel=0.06)
    following = np.hstack([draws[:-1], draws[1:]])
    assert np.abs(np.corrcoef(following.T) - np.eye(12)).max() < 0.06


def test_views_may_differ_in_size_and_in_kind(crops: Crops) -> None:
    kinds = [Crop(8, (0.2, 1.0)), Crop(12, (0.05, 0.2)), CentreCrop(10)]
    views, _, _ = Crops(crops.images, crops.labels, kinds, seed=5).__getitems__([(0, 0), (0, 1)])
    assert [view.shape for view in views] == [(2, 3, 8, 8), (2, 3, 12, 12), (2, 3, 10, 10)]
    assert all(view.is_contiguous(memory_format=torch.channels_last) for view in views)


@pytest.mark.parametrize(
    ("side", "suffix", "untouched"), [(300, "png", True), (60, "jpg", True), (300, "jpg", False), (1200, "jpg", False)]
)
def test_only_large_jpegs_are_decoded_smaller(root: Path, side: int, suffix: str, untouched: bool) -> None:
    y, x = np.mgrid[:side, :side] * 6 / side
    waves = np.stack([np.sin(x * y), np.sin(x + y), np.cos(y)], axis=-1) * 90 + 128
    for i in range(4):
        Image.fromarray((waves + i).astype(np.uint8)).save(root / "train" / "ant" / f"large_{i}.{suffix}")
    found = imageset.read(root, "train")
    positions = [(0, i) for i, name in enumerate(found.names) if "large" in name]
    cuts = [Crop(16, (0.5, 1.0))] * 2
    (whole, *_), (reduced, *_) = (
        Crops(found, found.labels, cuts, seed=0, reduced=reduce).__getitems__(positions) for reduce in (False, True)
    )
    difference = (torch.stack(whole).int() - torch.stack(reduced).int()).abs().float()
    assert bool(difference.max() == 0) == untouched
    assert difference.mean() < 3.1


def test_loader_processes_change_nothing(crops: Crops) -> None:
    batches = loading.in_order(len(crops), 5)
    pairs = zip(loading.loader(crops, batches, num_workers=0), loading.loader(crops, batches, num_workers=1), strict=True)
    for (ours, *our_rest), (theirs, *their_rest) in pairs:
        assert all(torch.equal(a, b) for a, b in zip([*ours, *our_rest], [*theirs, *their_rest], strict=True))


def test_epochs_visit_every_image_once_and_go_on_from_any_step() -> None:
    whole = list(loading.Epochs(10, batch=5, epochs=3, seed=1))
    assert [sorted(i for _, i in whole[2 * e] + whole[2 * e + 1]) for e in range(3)] == [list(range(10))] * 3
    assert whole[:2] != whole[2:4]
    for start in range(7):
        assert list(loading.Epochs(10, batch=5, epochs=3, seed=1, start=start)) == whole[start:]
