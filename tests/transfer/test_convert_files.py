"""Converted files on a disk that fails."""

import errno
import os
from pathlib import Path

import pytest

from pretrain.core.errors import StorageError
from transfer import convert


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"can't write: .*gone/\.a\.pth"):
        convert.write(tmp_path / "gone/a.pth", b"new")


def test_a_file_that_does_not_reach_the_disk_leaves_the_old_one_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "a.pth"
    convert.write(out, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="a\\.pth"):
        convert.write(out, b"new")
    with pytest.raises(StorageError, match="a\\.pth\\.json"):
        convert.write_about(out, {"file": "a.pth"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.pth": b"old"}
