"""WebDataset's samples, tars of class folders, and tars that can't be read: one message that names the file."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from pretrain.images import imageset, labels
from pretrain.images.stores import tarfiles


def png(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (6 + seed, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PNG = png()


def tar(path: Path, *members: tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as opened:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return path


def names(root: Path) -> tuple[str, ...]:
    return imageset.read(root, "train").names


@pytest.mark.parametrize(
    ("fields", "classes"),
    [
        ({"cls": [b"10", b"9", b"10"]}, ("9", "10")),
        ({"cls": [b" 1\n", b"0", b"1\r\n"]}, ("0", "1")),
        ({"json": [b'{"label": 1}', b'{"label": 0, "w": 3}', b'{"label": 1}']}, ("0", "1")),
        ({"json": [b'{"label": "bee"}', b'{"label": "ant"}', b'{"label": "bee"}']}, ("ant", "bee")),
        ({"txt": [b"1", b"0", b"1"]}, ("0", "1")),
        ({"cls": [b"bee", b"ant", b"bee"], "txt": [b"a bee", b"an ant", b"one more bee"]}, ("ant", "bee")),
    ],
)
def test_a_label_is_read_from_cls_json_or_txt_and_numbers_keep_their_order(
    tmp_path: Path, fields: dict[str, list[bytes]], classes: tuple[str, str]
) -> None:
    members = [(f"k{i}.{ending}", its[i]) for i in range(3) for ending, its in {"png": [PNG] * 3, **fields}.items()]
    tar(tmp_path / "train.tar", *members)
    found = imageset.read(tmp_path, "train")
    assert found.classes == classes
    assert dict(zip(found.names, found.labels, strict=True)) == {
        f"{classes[1]}/k0.png": 1,
        f"{classes[0]}/k1.png": 0,
        f"{classes[1]}/k2.png": 1,
    }


@pytest.mark.parametrize(
    ("file", "text"),
    [("classes.txt", "bee\nant\n"), ("classes.json", '["bee", "ant"]'), ("classes.json", '{"1": "ant", "0": "bee"}')],
)
def test_a_file_beside_the_shards_names_the_classes(tmp_path: Path, file: str, text: str) -> None:
    tar(tmp_path / "train-0.tar", ("a.png", PNG), ("a.cls", b"0"), ("sub/b.png", PNG), ("sub/b.cls", b"1"))
    (tmp_path / file).write_text(text)
    assert names(tmp_path) == ("ant/sub/b.png", "bee/a.png")


@pytest.mark.parametrize("text", ["{", '{"1": "ant"}', '["ant", 3]', "3"])
def test_a_file_of_names_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    tar(tmp_path / "train-0.tar", ("a.png", PNG), ("a.cls", b"0"))
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(DataError, match=r"can't read the names of the classes in .*classes\.json"):
        names(tmp_path)


def test_names_that_occur_twice_stay_two_classes(tmp_path: Path) -> None:
    tar(tmp_path / "train-0.tar", *((f"{i}.{end}", data) for i in range(3) for end, data in (("png", PNG), ("cls", b"%d" % i))))
    (tmp_path / "classes.txt").write_text("crane\ncrane\na/c\n")
    assert imageset.read(tmp_path, "train").classes == ("a_c", "crane (0)", "crane (1)")


def test_shards_without_labels_are_read_and_refused_where_labels_are_asked_for(tmp_path: Path) -> None:
    tar(tmp_path / "00000.tar", ("1.png", PNG), ("1.json", b'{"caption": "a bee"}'), ("1.txt", b"a bee"), ("2.png", PNG))
    found = imageset.read(tmp_path, "train")
    assert (found.classes, found.names) == (("unlabelled",), ("unlabelled/1.png", "unlabelled/2.png"))
    assert labels.assign_labels(found, 0.0, None, 0) == [labels.UNLABELLED] * 2
    assert found.notes == ("1 .json, 1 .txt files in the class folders of train are not read",)
    with pytest.raises(DataError, match=r"have none\n"):
        labels.assign_labels(found, 1.0, None, 0)


def test_other_fields_of_a_sample_are_no_images(tmp_path: Path) -> None:
    tar(tmp_path / "train.tar", ("1.png", PNG), ("1.seg.png", PNG), ("1.cls", b"3"), ("1.depth.npy", b""))
    found = imageset.read(tmp_path, "train")
    assert found.names == ("3/1.png",)
    assert found.notes == ("1 .npy, 1 .seg.png files in the class folders of train are not read",)


@pytest.mark.parametrize("inside", ["", "./", "train/", "./imagenet/train/"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_of_class_folders_is_read_in_every_form_with_its_strays_counted(tmp_path: Path, inside: str, form: int) -> None:
    deep = f"{inside}bee/{'long/' * 30}1.a.b.png" if form != tarfile.USTAR_FORMAT else f"{inside}bee/1.a.b.png"
    members = [(f"{inside}ant/2.png", PNG), (deep, PNG), (f"{inside}._ant.png", b""), (f"{inside}bee/x.html", b"")]
    tar(tmp_path / "train.tar", *members, ("__MACOSX/ant/2.png", b""), form=form)
    found = imageset.read(tmp_path, "train")
    if inside.count("/") < 2:
        assert found.names == ("ant/2.png", deep.removeprefix(inside))
        assert found.classes == ("ant", "bee")
    assert found.notes == ("1 .html file in the class folders of train is not read",)
    assert found.open(0).size == (8, 6)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_header_is_read_as_pythons_own_reader_does(tmp_path: Path, form: int) -> None:
    long = "" if form == tarfile.USTAR_FORMAT else "x" * 120
    names = ["a.png", "b/c d.png", "ü.png", "n" * 100, f"p/{'q' * 60}/{'r' * 60}.png", "e" * 99, f"{long}.png"]
    file = tar(tmp_path / "train.tar", *((name, bytes(7 * number)) for number, name in enumerate(names)), form=form)
    with tarfile.open(file) as opened:
        expected = [(member.name, member.offset_data, member.size) for member in opened.getmembers()]
    assert [tuple(member) for member in tarfiles.scan(file)] == expected
    assert len(expected) == len(names)


def test_keys_that_count_from_0_in_each_shard_are_told_apart_by_the_shard(tmp_path: Path) -> None:
    for number in range(2):
        tar(tmp_path / f"train-{number}.tar", ("000.png", png(number)), ("000.cls", b"1"))
    assert names(tmp_path) == ("1/train-0/000.png", "1/train-1/000.png")


def in_a_file(path: Path) -> None:
    with tarfile.open(path) as opened:
        last = opened.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset_data + 9])


def at_a_member(path: Path) -> None:
    with tarfile.open(path) as opened:
        last = opened.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset])


def flipped(path: Path) -> None:
    with tarfile.open(path) as opened:
        last = opened.getmembers()[-1]
    data = bytearray(path.read_bytes())
    data[last.offset + 3] ^= 1
    path.write_bytes(data)


def doubled(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def zipped(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes()))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut in a file": (in_a_file, r"can't read .*train\.tar"),
    "cut between two": (at_a_member, r"can't read the tar .*\n.*no zeros at its end(.|\n)*/dev/zero"),
    "a changed header": (flipped, r"can't read the tar .*\n.*no header at byte"),
    "two in one": (doubled, r"more after its end(.|\n)*--concatenate"),
    "compressed": (zipped, r"is compressed(.|\n)*gunzip"),
    "empty": (lambda path: path.write_bytes(b""), r"can't read the tar .*train\.tar"),
    "text": (lambda path: path.write_text("<html>404" * 200), r"can't read the tar .*train\.tar"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_tar_is_refused(tmp_path: Path, kind: str) -> None:
    damage, message = DAMAGE[kind]
    damage(tar(tmp_path / "train.tar", ("ant/1.png", png(1)), ("bee/1.png", png(2)), ("bee/2.png", png(3))))
    with pytest.raises(DataError, match=message):
        names(tmp_path)


@pytest.mark.parametrize(
    ("name", "command"), [("train.tar.gz", "gunzip"), ("train.tgz", "gunzip"), ("train-0.tar.zst", "unzstd")]
)
def test_a_compressed_tar_is_refused_with_what_unpacks_it(tmp_path: Path, name: str, command: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=rf"compressed, and can only be read from its start(.|\n)*{command} .*{name}"):
        names(tmp_path)


SAMPLES: dict[str, tuple[list[tuple[str, bytes]], str]] = {
    "a missing label": (
        [("1.png", PNG), ("1.cls", b"0"), ("2.png", PNG)],
        r"1 of the 2 images in .*train\.tar have no label: 2\.png",
    ),
    "no image": (
        [("1.gif", PNG), ("1.cls", b"0"), ("2.png", PNG)],
        r"1 labels in .*train\.tar have no image.*1\.cls\n.*1 \.gif",
    ),
    "two images of one sample": (
        [("1.left.png", PNG), ("1.right.png", PNG), ("1.cls", b"0")],
        r"1\.cls\n.*2 images of that sample: 1\.left\.png, 1\.right\.png",
    ),
    "a key twice": (
        [("1.png", PNG), ("1.cls", b"0"), ("1.png", PNG), ("1.cls", b"0")],
        r"1\.png is there twice in .*train\.tar",
    ),
    "two images": ([("1.png", PNG), ("1.jpg", PNG), ("1.cls", b"0")], r"1 is there twice in .*train\.tar"),
    "no class": ([("1.png", PNG), ("1.cls", b"\x80\x02K\x00.")], r"1\.cls in .*train\.tar says no class"),
    "a class below 0": ([("1.png", PNG), ("1.cls", b"-3")], r"a label in .*train\.tar is no class\n.*-3"),
    "a long label": ([("1.png", PNG), ("1.cls", b"0" * 2**21)], r"1\.cls in .*train\.tar is too large"),
    "tars": ([("n01440764.tar", b"x" * 512)], r"no images in .*train\.tar\n.*1 \.tar(.|\n)*tar -xf .*train\.tar"),
    "nothing": ([], r"no images in .*train\.tar\n.*nothing"),
    "outside": ([("../1.png", PNG)], r"a path that leads outside"),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_samples_that_are_not_whole_are_refused(tmp_path: Path, kind: str) -> None:
    members, message = SAMPLES[kind]
    tar(tmp_path / "train.tar", *members)
    with pytest.raises(DataError, match=message):
        names(tmp_path)


def test_a_number_without_a_name_and_a_shard_that_is_there_twice_are_refused(tmp_path: Path) -> None:
    tar(tmp_path / "train-0.tar", ("1.png", PNG), ("1.cls", b"7"))
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    with pytest.raises(DataError, match=r"is no class\n.*7\n.*0 to 1"):
        names(tmp_path)
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "train-0 (1).tar").write_bytes((tmp_path / "train-0.tar").read_bytes())
    with pytest.raises(DataError, match=r"1 images in .* are there twice, the first is 7/1\.png"):
        names(tmp_path)


def test_links_to_images_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "train.tar", "w") as opened:
        link = tarfile.TarInfo("ant/1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    with pytest.raises(DataError, match=r"'ant/1\.png' in the tar(.|\n)*a link"):
        names(tmp_path)


def test_a_tar_that_has_become_shorter_is_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    file = tar(tmp_path / "train.tar", ("ant/1.png", PNG), ("bee/1.png", PNG))
    found = imageset.read(tmp_path, "train")
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(DataError, match=r"ant/1\.png in .*train\.tar(.|\n)*ends before"):
        found.open(0)
