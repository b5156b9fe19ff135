"""Features kept in the cache folder: read once, resumed wherever they were cut, told apart by what changes them."""

import mmap
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pretrain.core import interrupt
from pretrain.core.errors import DataError
from pretrain.core.journal import Journal
from pretrain.images import imageset
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import InOrder
from transfer.engines.probe import knn
from transfer.representation import featurefile

BATCH, WIDTH = 2, 3


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    for number in range(7):
        path = tmp_path / "data" / "train" / f"class {number % 2}" / f"{number}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
    return imageset.read(tmp_path / "data", "train")


class Reader:
    """Reads features that say which image they are of, and counts the images."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.read, self.fails_at = list[int](), fails_at

    def __call__(self, batches: InOrder) -> Iterator[Tensor]:
        for batch in batches:
            indices = [index for _, index in batch]
            if self.fails_at in indices:
                raise DataError("an image can't be read")
            self.read += indices
            yield torch.tensor(indices).float()[:, None] * torch.ones(WIDTH)


def found(images: ImageSet, read: Reader, journal: Journal | None = None) -> Tensor:
    rows = featurefile.features(images, "train", "some-key", read, journal or Journal(), batch=BATCH, width=WIDTH)
    return torch.from_numpy(rows)


EXPECTED = torch.arange(7.0)[:, None] * torch.ones(WIDTH)


def test_features_are_read_once_and_mapped(images: ImageSet, own_cache: Path) -> None:
    first, second = Reader(), Reader()
    assert torch.equal(found(images, first), EXPECTED)
    again = found(images, second)
    assert torch.equal(again, EXPECTED)
    assert (first.read, second.read) == ([*range(7)], [])
    again += 1  # of this process alone
    assert torch.equal(found(images, second), EXPECTED)
    assert [path.name for path in sorted((own_cache / "features").glob("*[!k]"))] == ["some-key.npy", "some-key.npy.sums"]


@pytest.mark.parametrize("how", ["signal", "error", "kill"])
def test_what_was_read_before_a_cut_is_not_read_again(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch, own_cache: Path, how: str
) -> None:
    monkeypatch.setattr(featurefile, "COMMIT_EVERY", 1)
    stops: list[signal.Signals] = []
    monkeypatch.setattr(interrupt, "asked", lambda: stops[0] if stops else None)

    def hear(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if done == 4 and how == "signal":
            stops.append(signal.SIGTERM)
        if done == 6 and how == "kill":
            raise KeyError

    first = Reader(fails_at=4 if how == "error" else None)
    with pytest.raises((interrupt.Interrupted, DataError, KeyError)) as stopped:
        found(images, first, Journal(None, hear))
    assert how != "signal" or stopped.value.saved == "features of 4 of 7 train images"
    stops.clear()
    last = Reader()
    assert torch.equal(found(images, last), EXPECTED)
    assert last.read == [4, 5, 6]


@pytest.mark.parametrize("damage", ["cut", "other shape", "a bit", "no sums"])
def test_broken_files_are_read_anew(images: ImageSet, own_cache: Path, damage: str) -> None:
    found(images, Reader())
    path = own_cache / "features" / "some-key.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "other shape":
        np.save(path, np.zeros((7, 4), np.float32))
    elif damage == "a bit":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        path.with_name(f"{path.name}.sums").unlink()
    last = Reader()
    assert torch.equal(found(images, last), EXPECTED)
    assert last.read == [*range(7)]


def test_of_a_broken_run_only_what_reached_the_disk_is_taken(
    images: ImageSet, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(featurefile, "COMMIT_EVERY", 1)
    with pytest.raises(DataError):
        found(images, Reader(fails_at=6))
    part = own_cache / "features" / "some-key.npy.part"
    rows = np.load(part, mmap_mode="r+")
    rows[2] = 0  # as a page that was not written when the machine stopped
    rows.flush()
    last = Reader()
    assert torch.equal(found(images, last), EXPECTED)
    assert last.read == [2, 3, 6]


def test_what_another_run_is_reading_stays_and_what_was_abandoned_gives_way(
    images: ImageSet, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_cache / "features"
    folder.mkdir()
    monkeypatch.setattr(featurefile, "KEPT", 1)
    for name in ("now.npy.part", "then.npy.part", "then.npy.sums"):
        (folder / name).write_bytes(bytes(100))
    os.utime(folder / "then.npy.part", (100, 100))
    found(images, Reader())
    assert {path.name for path in folder.glob("*[!k]")} == {"now.npy.part", "some-key.npy", "some-key.npy.sums"}


def test_features_of_other_pixels_or_read_otherwise_have_another_key(images: ImageSet) -> None:
    key = featurefile.key_of(images, {"size": 32})
    assert key == featurefile.key_of(imageset.read(images.root.parent, "train"), {"size": 32})
    assert key != featurefile.key_of(images, {"size": 64})
    assert key != featurefile.key_of(images.part(range(6)), {"size": 32})
    path = images.root / images.names[3]
    before = path.stat().st_size
    Image.new("RGB", (4, 4), (9, 9, 9)).save(path)
    assert path.stat().st_size == before  # neither name nor size tells
    assert key != featurefile.key_of(imageset.read(images.root.parent, "train"), {"size": 32})


def test_the_features_that_were_not_used_for_longest_give_way(
    images: ImageSet, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_cache / "features"
    folder.mkdir()
    for name, age in (("old", 100), ("new", 200)):
        np.save(folder / f"{name}.npy", np.zeros((7, WIDTH), np.float32))
        os.utime(folder / f"{name}.npy", (age, age))
    size = (folder / "old.npy").stat().st_size
    monkeypatch.setattr(featurefile, "KEPT", 2 * size)
    found(images, Reader())
    assert {path.stem for path in folder.glob("*.npy")} == {"new", "some-key"}
    monkeypatch.setattr(featurefile.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(DataError, match="BENCH_CACHE"):
        featurefile.features(images, "train", "larger", Reader(), Journal(), batch=BATCH, width=WIDTH)


def test_neighbours_in_chunks_are_those_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(0)
    train, queries = torch.randn(97, 8, generator=rng), torch.randn(23, 8, generator=rng)
    labels = torch.randint(4, (97,), generator=rng)
    how = {"classes": 4, "temperature": 0.07}
    for k in (1, 10, 60, 97):
        whole = knn.knn_votes(train, labels, queries, k=k, **how)
        with monkeypatch.context() as chunks:
            chunks.setattr(knn, "COLUMNS", 20)
            chunks.setattr(knn, "QUERIES", 5)
            torch.testing.assert_close(knn.knn_votes(train, labels, queries, k=k, **how), whole, rtol=1e-5, atol=1e-6)


def test_stretches_are_all_rows_in_order_though_their_memory_is_given_back(images: ImageSet, own_cache: Path) -> None:
    found(images, Reader())
    rows = featurefile.features(images, "train", "some-key", Reader(), Journal(), batch=BATCH, width=WIDTH)
    assert isinstance(rows.base, mmap.mmap)  # else nothing is given back
    for size in (1, 3, 7, 8):
        assert torch.equal(torch.cat([part.clone() for part in featurefile.stretches(rows, size)]), EXPECTED)
