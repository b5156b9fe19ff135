"""Kept images give the same crops as those that are decoded each time, wherever they are kept."""

import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain.core import memory
from pretrain.core.errors import DataError
from pretrain.core.journal import Journal
from pretrain.images import cache, imageset
from pretrain.images.crops import Crop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, in_order, loader

Keep = Callable[..., object]


@pytest.fixture
def found(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ImageSet:
    """Images of several sizes; the user's cache folder is below `tmp_path`."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache" / "bench-transfer"))
    rng = np.random.default_rng(1)
    for i, (height, width) in enumerate([(90, 50), (30, 200), (40, 40), (8, 5)]):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(root / "train" / "ant" / f"{i}.jpg")
    return imageset.read(root, "train")


def keep(found: ImageSet, where: str | None, side: int | None = 24, num_workers: int = 0) -> object:
    return cache.open_images(found, where, side=side, reduced=True, num_workers=num_workers, journal=Journal())


def batches(found: ImageSet, kept: object, num_workers: int = 0) -> Iterator[torch.Tensor]:
    crops = Crops(kept, found.labels, [Crop(16, (0.2, 1.0))] * 2, seed=0, reduced=True)
    for views, _, _ in loader(crops, in_order(len(found), 5), num_workers=num_workers):
        yield torch.stack(views)


def test_without_a_side_the_images_stay_as_they_are(found: ImageSet) -> None:
    assert keep(found, None, side=None) is found


def test_larger_images_are_resized_to_the_side_and_smaller_ones_untouched(found: ImageSet) -> None:
    small = keep(found, None)
    for index in range(len(found)):
        whole, shrunk = found.open(index), small.picture(index).pixels().permute(1, 2, 0).numpy()
        if min(whole.size) <= 24:
            assert np.array_equal(shrunk, np.asarray(whole))
        else:
            assert min(shrunk.shape[:2]) == 24
            width, height = (round(side * 24 / min(whole.size)) for side in whole.size)
            expected = whole.resize((width, height), Image.Resampling.BILINEAR)
            assert np.array_equal(shrunk, np.asarray(expected))


@pytest.mark.parametrize("where", ["ram", "disk"])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_where_images_are_kept_changes_no_crop(found: ImageSet, where: str, num_workers: int) -> None:
    kept = keep(found, where, num_workers=num_workers)
    pairs = zip(batches(found, keep(found, None)), batches(found, kept, num_workers), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_kept_images_are_not_decoded_again(found: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [keep(found, "ram"), keep(found, "disk")]
    expected = list(batches(found, keep(found, None)))
    monkeypatch.setattr(ImageSet, "picture", None)
    for one in [*kept, keep(found, "disk")]:  # the last is what the second left
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(batches(found, one), expected, strict=True))


def test_the_file_is_named_by_content_and_side_and_written_whole(found: ImageSet, tmp_path: Path) -> None:
    keep(found, "disk"), keep(found, "disk", side=20)
    files = sorted(path.name for path in (tmp_path / "cache" / "bench-transfer").iterdir())
    assert files == [f"{found.fingerprint()}-{side}px-reduced.v1" for side in (20, 24)]


def test_a_file_that_is_not_whole_is_made_again(found: ImageSet, tmp_path: Path) -> None:
    keep(found, "disk")
    (file,) = (tmp_path / "cache" / "bench-transfer").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    keep(found, "disk")
    assert file.read_bytes() == whole


def test_an_image_that_cannot_be_decoded_leaves_no_file(found: ImageSet, tmp_path: Path) -> None:
    broken = tmp_path / "data" / "train" / "ant" / "0.jpg"
    broken.write_bytes(broken.read_bytes()[:-900])
    with pytest.raises(DataError, match=r"ant/0\.jpg"):
        keep(found, "disk")
    assert list((tmp_path / "cache" / "bench-transfer").iterdir()) == []


@pytest.mark.parametrize(("where", "what"), [("ram", r"of memory(.|\n)*--cache disk"), ("disk", "of disk below .*cache")])
def test_what_does_not_fit_is_refused_beforehand(
    found: ImageSet, where: str, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cache.ram, "free_memory", lambda num_workers: 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(DataError, match=what):
        keep(found, where)
    assert not list(tmp_path.glob("cache/bench-transfer/*"))


def test_free_memory_is_a_part_of_this_machines() -> None:
    assert 0 < memory.free_memory(0) < 2**50
    assert memory.free_memory(2) <= memory.free_memory(0) * 1.5


def test_a_groups_limit_counts_and_files_it_has_read_do_not(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 400\nactive_file 150\n")
    assert memory._left_to_the_group(tmp_path) == 650


def test_a_process_that_inherits_nothing_opens_the_same_file(found: ImageSet) -> None:
    kept = keep(found, "disk")
    kept.picture(0)
    sent = pickle.loads(pickle.dumps(kept))
    assert torch.equal(sent.picture(3).pixels(), kept.picture(3).pixels())
