"""What is said of files that the operating system doesn't give."""

import errno
import os
from pathlib import Path

import pytest

from pretrain.core import access
from pretrain.core.errors import DataError


def dead(folder: Path) -> Path:
    (folder / "a.jpg").symlink_to("/mnt/gone/a.jpg")
    return folder / "a.jpg"


def below_dead(folder: Path) -> Path:
    (folder / "linked").symlink_to("/mnt/gone")
    return folder / "linked/a.jpg"


def looping(folder: Path) -> Path:
    (folder / "a.jpg").symlink_to("b.jpg")
    (folder / "b.jpg").symlink_to("a.jpg")
    return folder / "a.jpg"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (dead, "a link to /mnt/gone/a.jpg, which is not there"),
        (below_dead, "linked, which leads to /mnt/gone, which is not there"),
        (looping, "a link that leads back to itself, by way of b.jpg"),
        (lambda folder: folder / "a.jpg", "nothing is there"),
        (lambda folder: folder / "a\0.jpg", "null"),
    ],
)
def test_a_path_that_leads_nowhere_is_named_with_its_reason(tmp_path: Path, make, words: str) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        access.size(path)
    assert words in str(caught.value)
    assert str(path).replace("\0", "\\x00") in str(caught.value)


@pytest.mark.parametrize("number", access.REASONS)
def test_every_refusal_says_what_it_means_and_what_to_do(tmp_path: Path, number: int) -> None:
    with pytest.raises(DataError, match="do:") as caught, access.reading(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path))
    assert access.REASONS[number][0] in str(caught.value)


def test_a_reason_without_words_of_ours_is_the_systems_own(tmp_path: Path) -> None:
    assert access.why_not(tmp_path, OSError(errno.EMFILE, "Too many open files")) == ("Too many open files", None)


def test_names_that_this_locale_can_not_write_are_answered_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.other_locale() is None
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    _, fix = access.why_not("猫.jpg", UnicodeEncodeError("ascii", "猫", 0, 1, "ordinal not in range"))
    assert fix is not None
    assert "PYTHONUTF8=1" in fix
