"""The index of a large folder: the same set of images as a listing, and listed anew where anything may have changed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pretrain.images import imageset, stores
from pretrain.images.compact import Numbers, Texts
from pretrain.images.stores import index, walk

LONG_AGO = 1_600_000_000


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder; folders of any size are worth an index."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "WORTH", 1)
    return tmp_path / "cache"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was listed or looked at, one name after another."""
    found: list[str] = []

    def noting(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def noted(*arguments: Any) -> Any:
            found.append(Path(arguments[-1]).name)
            return call(*arguments)

        return noted

    monkeypatch.setattr(walk, "entries", noting(walk.entries))
    monkeypatch.setattr(index, "size", noting(index.size))
    return found


def aged(root: Path) -> None:
    """Make all folders as old as data that nobody has touched for long."""
    for folder, _, _ in os.walk(root):
        os.utime(folder, (LONG_AGO, LONG_AGO))


def described(found: imageset.ImageSet) -> Any:
    return found.classes, [*found.names], [*found.labels], [*found.members.sizes()], found.fingerprint()


def test_a_second_start_takes_names_sizes_and_fingerprint_from_the_index(
    root: Path, cache: Path, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "train" / "ant" / "words.txt").write_text("")
    aged(root)
    with monkeypatch.context() as without:
        without.setattr(index, "WORTH", 10**9)
        listed = imageset.read(root, "train")
        expected = described(listed)
    first = described(imageset.read(root, "train"))
    seen.clear()
    monkeypatch.setattr(index, "SAMPLED", 2)
    again = imageset.read(root, "train")
    assert described(again) == first == expected
    assert len(seen) == 2  # the two that are looked at again, and no folder
    assert [note for note in again.notes if "index" not in note] == [*listed.notes]
    assert any("an index of" in note for note in again.notes)
    assert [*again.part([9, 2]).members.sizes()] == [expected[3][9], expected[3][2]]
    assert again.part([9, 2]).fingerprint() == listed.part([9, 2]).fingerprint() != expected[4]
    assert not list((root).rglob("*index*"))


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "deep"])
def test_a_folder_that_changed_is_listed_again_and_no_other(
    root: Path, cache: Path, seen: list[str], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(index, "SAMPLED", 0)  # a removed file that is looked at again would have all listed
    ant = root / "train" / "ant"
    (ant / "more").mkdir()
    (ant / "ant_0.png").rename(ant / "more" / "x.png")
    aged(root)
    before = described(imageset.read(root, "train"))
    if change == "added":
        (ant / "new.png").write_bytes((ant / "ant_1.png").read_bytes())
    elif change == "removed":
        (ant / "ant_1.png").unlink()
    elif change == "renamed":
        (ant / "ant_1.png").rename(ant / "y.png")
    else:
        (ant / "more" / "x.png").rename(ant / "more" / "y.png")
    seen.clear()
    partly = imageset.read(root, "train")
    after = described(partly)
    assert any("an index of" in note for note in partly.notes)  # the other folders' sizes are
    assert "bee" not in seen
    assert "ant" in seen
    with index.renewed():
        assert described(imageset.read(root, "train")) == after != before


def test_a_release_that_reads_other_endings_lists_all_again(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "train" / "ant" / "more.zzz").write_bytes((root / "train" / "ant" / "ant_0.png").read_bytes())
    aged(root)
    before = imageset.read(root, "train")
    for module in (stores, index):
        monkeypatch.setattr(module, "SUFFIXES", stores.SUFFIXES | {".zzz"})
    after = imageset.read(root, "train")
    assert {*after.names} - {*before.names} == {"ant/more.zzz"}


def test_a_folder_that_changed_a_moment_ago_is_listed_again_until_it_is_old(root: Path, cache: Path, seen: list[str]) -> None:
    aged(root)
    os.utime(root / "train" / "bee")
    imageset.read(root, "train")
    for _ in range(2):
        seen.clear()
        imageset.read(root, "train")
        assert "bee" in seen
        assert "ant" not in seen
    aged(root)
    imageset.read(root, "train")
    seen.clear()
    imageset.read(root, "train")
    assert "bee" not in seen


def test_a_file_overwritten_in_place_is_found_by_the_sample_or_by_a_look_at_all(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(root)
    before = imageset.read(root, "train").fingerprint()
    with (root / "train" / "bee" / "bee_3.png").open("ab") as file:
        file.write(b"more")
    with monkeypatch.context() as blind:
        blind.setattr(index, "SAMPLED", 0)
        assert imageset.read(root, "train").fingerprint() == before
        with index.renewed():
            after = imageset.read(root, "train").fingerprint()
        assert after != before
        assert imageset.read(root, "train").fingerprint() == after  # what was found stays
    os.truncate(root / "train" / "bee" / "bee_4.png", 5)
    assert imageset.read(root, "train").fingerprint() not in (before, after)


def test_a_process_that_another_one_started_takes_the_index_that_was_renewed_there(
    root: Path, cache: Path, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(root)
    monkeypatch.setattr(index, "SAMPLED", 0)
    with index.renewed():
        imageset.read(root, "train")
    listed = len(seen)
    for started, more in (("1", 0), (None, listed)):
        seen.clear()
        with monkeypatch.context() as environment:
            environment.setenv("BENCH_CHILD", started) if started else environment.delenv("BENCH_CHILD", raising=False)
            with index.renewed():
                imageset.read(root, "train")
        assert len(seen) == more
    assert listed


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "other version"])
def test_an_index_that_is_not_as_it_was_written_is_made_anew(root: Path, cache: Path, damage: str) -> None:
    aged(root)
    expected = described(imageset.read(root, "train"))
    (file,) = cache.glob("index-*.v1")
    whole = file.read_bytes()
    broken = {"cut": whole[:-9], "flipped": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b"", "text": b"hello\n" * 99}
    if damage == "other version":
        file.rename(file.with_suffix(".v0"))
    else:
        file.write_bytes(broken[damage])
    found = imageset.read(root, "train")
    assert described(found) == expected
    assert not found.notes
    assert file.read_bytes()[:22] == whole[:22]


def test_where_no_index_can_be_written_the_images_are_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = described(imageset.read(root, "train"))
    monkeypatch.setattr(index, "WORTH", 1)
    monkeypatch.setenv("BENCH_CACHE", "/proc/none")
    assert described(imageset.read(root, "train")) == expected


def test_classes_and_images_without_classes_have_an_index_of_their_own(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = root / "flat" / "train"
    flat.mkdir(parents=True)
    for number in range(3):
        (flat / f"{number}.png").write_bytes((root / "train" / "ant" / "ant_0.png").read_bytes())
    aged(root)
    reads: list[Callable[[], imageset.ImageSet]] = [
        lambda: imageset.read(root, "train", ["bee"]),
        lambda: imageset.read(root, "train"),
        lambda: imageset.read(root / "flat", "train"),
    ]
    first = [described(read()) for read in reads]
    assert [described(read()) for read in reads] == first
    assert len(list(cache.glob("index-*.v1"))) == 3
    monkeypatch.setattr(index, "WORTH", 10**9)
    monkeypatch.setenv("BENCH_CACHE", str(cache / "other"))
    assert [described(read()) for read in reads] == first


def test_packed_names_are_the_names() -> None:
    names = ["a/1.png", "b/\udcff.png", "", "c/é.png", "a\nb"] * 2000
    packed = Texts.of(names)
    assert packed == names
    assert [*packed] == names
    assert packed[3] == names[3]
    assert packed[-1] == names[-1]
    assert packed[4:9] == names[4:9]
    assert packed[::3] == names[::3]
    assert packed.part([3, 1])[1] == names[1]
    assert packed.part([3, 1]) == [names[3], names[1]]
    assert packed.between(5000, 5003) == names[5000:5003]
    assert packed.beginning("x/")[0] == "x/a/1.png"
    assert packed != names[:-1]
    assert packed != [*names[:-1], "z"]
    assert not packed.are_lines()
    assert not Texts.of(["a\nb"]).are_lines()
    assert not Texts.of(["a\u2028b"]).are_lines()
    assert Texts.of(["é.png", "\udcff.png", "\udc85.png", "b.png"]).are_lines()
    with pytest.raises(IndexError):
        packed[len(names)]
    assert Texts.of([]) == ()
    assert [*Texts.of([])] == []


def test_packed_numbers_are_the_numbers() -> None:
    packed = Numbers([3, 1, 2])
    assert packed == [3, 1, 2]
    assert packed == (3, 1, 2)
    assert packed != [3, 1]
    assert type(packed[0]) is int
    assert packed.part([2, 0]) == [2, 3]
    assert packed[1:] == [1, 2]
    assert set(packed) == {1, 2, 3}
