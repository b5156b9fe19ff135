"""Images kept as JPEGs: right pixels, resumed where it was cut, damage found and mended."""

import io
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain.core import interrupt
from pretrain.core.errors import DataError
from pretrain.core.journal import Journal
from pretrain.images import cache, imageset
from pretrain.images.cache import jpegs
from pretrain.images.cache.jpegs import Jpegs
from pretrain.images.crops import Crop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, in_order, loader

SIDE = 24


@pytest.fixture
def found(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ImageSet:
    """Images of several sizes and formats; batches of three of them are encoded at once."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jpegs, "BATCH", 3)
    rng = np.random.default_rng(1)
    for i, (height, width) in enumerate([(90, 50), (30, 200), (40, 40), (8, 5)]):
        smooth = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize((width, height))
        smooth.save(root / "train" / "ant" / f"{i}.jpg", quality=90)
    return imageset.read(root, "train")


def keep(found: ImageSet, *, num_workers: int = 0, skip: bool = False, journal: Journal | None = None) -> Jpegs:
    options = {"reduced": True, "num_workers": num_workers, "journal": journal or Journal(), "skip": skip}
    kept = cache.open_images(found, "jpeg", side=SIDE, **options)
    assert isinstance(kept, Jpegs)
    return kept


def pixels(kept: Jpegs) -> list[torch.Tensor]:
    return [kept.picture(index).pixels() for index in range(len(kept))]


def batches(found: ImageSet, kept: Jpegs, num_workers: int) -> list[torch.Tensor]:
    crops = Crops(kept, found.labels, [Crop(16, (0.2, 1.0))] * 2, seed=0, reduced=True)
    return [torch.stack(views) for views, _, _ in loader(crops, in_order(len(found), 5), num_workers=num_workers)]


def test_an_image_is_its_jpeg_of_that_side_and_a_small_jpeg_its_own_bytes(found: ImageSet) -> None:
    kept = keep(found)
    for index, name in enumerate(found.names):
        whole, shown = found.open(index), kept.picture(index)
        if min(whole.size) <= SIDE and name.endswith(".jpg"):
            assert shown.data == found.picture(index).data
            continue
        small = cache.open_images(found, None, side=SIDE, reduced=True, num_workers=0, journal=Journal())
        plain = small.picture(index).pixels()
        file = io.BytesIO()
        Image.fromarray(plain.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=95)
        expected = np.asarray(Image.open(io.BytesIO(file.getvalue())))
        assert np.array_equal(shown.pixels().permute(1, 2, 0).numpy(), expected)
        assert shown.size == (plain.shape[2], plain.shape[1])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_are_the_same_whoever_makes_and_reads_the_file(found: ImageSet, num_workers: int, tmp_path: Path) -> None:
    kept = keep(found, num_workers=num_workers)
    first = batches(found, pickle.loads(pickle.dumps(kept)), num_workers)
    (file,) = (tmp_path / "cache").glob("*px-q95-reduced.jpegs.v1")
    file.unlink()
    again = batches(found, keep(found, num_workers=1 - num_workers), 1 - num_workers)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, again, strict=True))


def test_a_file_that_is_there_is_not_made_again(found: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = pixels(keep(found))
    monkeypatch.setattr(jpegs, "encoded", None)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(pixels(keep(found)), expected, strict=True))


@pytest.mark.parametrize("lost", [0, 1, 500, "table", "row", "both", "zeros", "nothing but zeros"])
def test_a_file_that_was_cut_short_goes_on_where_it_was(
    found: ImageSet, lost: int | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(found)
    (file,) = (tmp_path / "cache").glob("*.jpegs.v1")
    whole, made, signals = file.read_bytes(), [], [signal.SIGTERM]
    file.unlink()
    encode = jpegs.encoded

    def stopping(images: object, index: int) -> bytes:
        made.append(index)
        if len(made) == 8 and signals:
            os.kill(os.getpid(), signals.pop())
        return encode(images, index)  # type: ignore[arg-type]

    monkeypatch.setattr(jpegs, "encoded", stopping)
    with interrupt.listening(), pytest.raises(interrupt.Interrupted, match=r"9 of \d+ images"):
        keep(found)
    data, table = (tmp_path / "cache" / f".{file.name}.{end}" for end in ("part", "part.table"))
    if isinstance(lost, int):
        os.truncate(data, data.stat().st_size - lost)
    elif lost == "table":
        table.unlink()
    elif lost == "row":
        os.truncate(table, table.stat().st_size - 5)
    elif "zeros" in lost:  # as a machine leaves it that stopped before the disk had it
        there, size = 0 if lost != "zeros" else 5 * jpegs.ROW.itemsize, table.stat().st_size
        table.write_bytes(table.read_bytes()[:there].ljust(size, b"\0"))
    else:
        data.unlink()
    made.clear()
    keep(found)
    assert file.read_bytes() == whole
    expected = {0: 9, 1: 6, 500: 6, "table": 0, "row": 6, "both": 0, "zeros": 3, "nothing but zeros": 0}
    assert made[0] == expected[lost]
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, f"{file.name}.lock"]


def test_what_is_damaged_is_encoded_again_and_told(
    found: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = pixels(keep(found))
    (file,) = (tmp_path / "cache").glob("*.jpegs.v1")
    broken = bytearray(file.read_bytes())
    broken[10] ^= 255
    broken[200] ^= 255
    file.write_bytes(broken)
    monkeypatch.setattr(jpegs, "_told", False)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(pixels(keep(found)), expected, strict=True))
    assert capfd.readouterr().err.count("is damaged") == 1


def test_a_table_that_is_not_as_it_was_written_is_made_anew(found: ImageSet, tmp_path: Path) -> None:
    keep(found)
    (file,) = (tmp_path / "cache").glob("*.jpegs.v1")
    whole = file.read_bytes()
    for broken in (whole[:-1], whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:], b""):
        file.write_bytes(broken)
        keep(found)
        assert file.read_bytes() == whole


def test_an_unreadable_image_is_an_error_or_left_out(found: ImageSet, tmp_path: Path) -> None:
    spoilt = tmp_path / "data" / "train" / "ant" / "1.jpg"
    whole = spoilt.read_bytes()
    spoilt.write_bytes(whole[:200])
    with pytest.raises(DataError, match=r"ant/1\.jpg"):
        keep(found)
    kept = keep(found, skip=True)
    index = list(found.names).index("ant/1.jpg")
    with pytest.raises(DataError, match=r"ant/1\.jpg"):
        kept.picture(index).pixels()
    spoilt.write_bytes(whole)  # it could be read after all, and is then what the others are
    assert kept.picture(index).data == jpegs.encoded(kept.images, index)
    assert min(kept.picture(index).size) == SIDE


def test_a_disk_that_is_too_small_is_told_before_it_is_full(found: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpegs.shutil, "disk_usage", lambda path: jpegs.shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(DataError, match=r"more of disk(.|\n)*3 of \d+ images are kept"):
        keep(found)
