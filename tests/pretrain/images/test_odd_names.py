"""Names of files that are no UTF-8, as old archives and Western systems write them, and names of several lines."""

import hashlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from pretrain.core.errors import DataError
from pretrain.core.settings import text_lines
from pretrain.images import imageset, labels, skipping
from pretrain.images.stores import index

NAMES = sorted((b"caf\xe9 1.png", b"\xff.png", "é.png".encode(), b"plain.png"), key=os.fsdecode)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


def lay(root: Path, cls: bytes, name: bytes) -> None:
    folder = root / "train" / os.fsdecode(cls)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / os.fsdecode(name)).write_bytes(png())


@pytest.fixture
def western(tmp_path: Path) -> Path:
    """Two classes of four images each, two of them with names in Latin-1."""
    for cls in (b"ant", b"bee"):
        for name in NAMES:
            lay(tmp_path, cls, name)
    return tmp_path


@pytest.mark.parametrize("large", [False, True])
def test_images_are_read_and_known_by_the_bytes_of_their_names(
    western: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(western / "cache"))
    monkeypatch.setattr(index, "WORTH", 0 if large else 10**9)  # whether the listing is kept in a file
    expected = [cls + b"/" + name for cls in (b"ant", b"bee") for name in NAMES]
    for _ in range(2):
        images = imageset.read(western, "train")
        assert [os.fsencode(name) for name in images.names] == expected
        assert [images.open(place).getpixel((3, 3)) for place in range(8)] == [(255, 0, 0)] * 8
        lines = b"".join(name + b":%d\n" % len(png()) for name in expected)
        assert images.fingerprint() == hashlib.sha256(lines).hexdigest()[:16]


def test_lists_of_a_run_name_them_and_are_read_again(western: Path, tmp_path: Path) -> None:
    images = imageset.read(western, "train")
    labels.save(tmp_path, images, images.labels)
    written = text_lines(tmp_path / labels.LABELLED)
    assert "ant/\\udcff.png" in written
    assert "ant/é.png" in written
    assert labels.listed(images, written) == list(images.labels)
    assert labels.listed(images, ["bee/caf\\udce9 1"]).count(labels.UNLABELLED) == 7


def test_one_that_is_skipped_is_listed_once_however_often_a_run_is_resumed(western: Path, tmp_path: Path) -> None:
    images = imageset.read(western, "train")
    odd = NAMES.index(b"\xff.png")
    for _ in range(2):
        skipped = skipping.Skipped(8)
        skipped.add(odd)
        (note,) = skipping.Ledger(tmp_path, images.names, skipped).notes()
    assert (tmp_path / skipping.SKIPPED).read_text(encoding="utf-8") == "ant/\\udcff.png\n"
    assert note.endswith(": ant/\\udcff.png")


def test_a_broken_one_is_named_in_letters_that_can_be_printed(tmp_path: Path) -> None:
    lay(tmp_path, b"ant", b"\xff.png")
    (tmp_path / "train/ant" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    with pytest.raises(DataError, match=r"can't decode the image ant/\\udcff\.png"):
        imageset.read(tmp_path, "train").open(0)


def test_a_class_folder_that_is_no_utf_8_is_refused_with_what_renames_it(tmp_path: Path) -> None:
    lay(tmp_path, b"ant\xe9", b"1.png")
    with pytest.raises(
        DataError, match=r"no UTF-8\n  seen:    'ant\\udce9'(.|\n)*convmv -f latin1 -t utf8 -r --notest /.*train"
    ):
        imageset.read(tmp_path, "train")


def test_a_name_of_several_lines_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, b"ant", b"a\nb.png")
    with pytest.raises(DataError, match="has a name of several lines"):
        imageset.read(tmp_path, "train")
