"""The VOC layout: what is read, and what is said of what can't be."""

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from transfer import tasks
from transfer.datasets import voc
from transfer.datasets.objects import read_image

BCCD = Path(__file__).resolve().parents[4] / "shared/data/voc_bccd"
LAYING = runpy.run_path(str(Path(__file__).parents[1] / "conftest.py"))
voc_xml, Thing = LAYING["voc_xml"], LAYING["Thing"]
Lay = Callable[..., Path]


def annotation(root: Path, number: int = 0) -> Path:
    return root / "VOC2007/Annotations" / f"{number:06}.xml"


def test_corners_counted_from_one_and_inclusive_become_continuous(lay_voc: Lay) -> None:
    root = lay_voc()
    annotation(root).write_text(voc_xml([Thing("red", (1, 1, 96, 80)), Thing("blue", (11, 21, 30, 40))]))
    first = voc.read(root).train[0]
    assert first.boxes.tolist() == [[0, 0, 96, 80], [10, 20, 30, 40]]
    assert first.boxes.dtype == np.float32
    assert first.labels.tolist() == [2, 0]


def test_classes_are_the_sorted_names_or_the_lines_of_classes_txt(lay_voc: Lay) -> None:
    root = lay_voc()
    assert voc.read(root).classes == ("blue", "green", "red")
    (root / "classes.txt").write_text("red\ngreen\nviolet\nblue\n")
    data = voc.read(root)
    assert data.classes == ("red", "green", "violet", "blue")
    assert data.ref.classes == 4


def test_the_record_counts_images_and_the_fingerprint_follows_the_annotations(lay_voc: Lay) -> None:
    root = lay_voc(train=6, val=4)
    before = voc.read(root).ref
    assert (before.name, before.layout, before.train, before.val) == ("voc", "voc", 6, 4)
    assert voc.read(root).ref == before
    annotation(root).write_text(voc_xml([Thing("red", (2, 2, 40, 40))]))
    assert voc.read(root).ref.fingerprint != before.fingerprint


def test_several_splits_are_trained_on_together(lay_voc: Lay) -> None:
    root, other = lay_voc(train=6), lay_voc(train=5, name="other")
    (other / "VOC2007").rename(root / "VOC2012")
    data = voc.read(root, train=("VOC2007/trainval", "VOC2012/trainval"))
    assert data.ref.train == 11


def test_one_image_is_enough_and_an_empty_one_is_evaluated_but_not_trained_on(lay_voc: Lay) -> None:
    root = lay_voc(train=2, val=2)
    annotation(root, 0).write_text(voc_xml([]))
    annotation(root, 1000).write_text(voc_xml([]))
    data = voc.read(root)
    assert [len(each.labels) for each in data.train] == [2]
    assert [len(each.labels) for each in data.val] == [0, 2]
    assert data.notes == ("1 training images without objects left out",)


def test_boxes_without_area_are_dropped_and_one_pixel_wide_ones_kept_with_a_note(lay_voc: Lay) -> None:
    root = lay_voc()
    things = [Thing("red", (50, 10, 40, 30)), Thing("red", (20, 10, 20, 30)), Thing("red", (5, 5, 30, 30))]
    annotation(root).write_text(voc_xml(things))
    data = voc.read(root)
    assert data.train[0].boxes.tolist() == [[19, 9, 20, 30], [4, 4, 30, 30]]
    assert any("1 boxes without area" in note and "000000" in note for note in data.notes)
    assert any("1 boxes are one pixel thin" in note for note in data.notes)


def test_difficult_objects_are_marked_and_trained_on(lay_voc: Lay) -> None:
    root = lay_voc()
    annotation(root).write_text(voc_xml([Thing("red", (5, 5, 30, 30))], difficult=1))
    first = voc.read(root).train[0]
    assert first.difficult.tolist() == [True]
    assert first.trainable.tolist() == [True]


def test_a_size_that_is_missing_or_zero_is_read_from_the_image(lay_voc: Lay) -> None:
    root = lay_voc()
    annotation(root, 0).write_text(voc_xml([Thing("red", (5, 5, 30, 30))], size=None))
    annotation(root, 1).write_text(voc_xml([Thing("red", (5, 5, 30, 30))], size=(0, 0)))
    assert [(each.width, each.height) for each in voc.read(root).train[:2]] == [(96, 80), (96, 80)]


def test_a_limit_takes_evenly_spaced_images_and_says_so(lay_voc: Lay) -> None:
    data = voc.read(lay_voc(val=7))
    few = data.limited(3)
    assert [each.identity for each in few.val] == ["001000", "001002", "001004"]
    assert few.ref.val == 3
    assert few.notes == ("evaluated on 3 of 7 validation images",)
    assert data.limited(None) is data
    assert few.limited(3) is few


@pytest.mark.parametrize(
    "missing", ["", "VOC2007", "VOC2007/Annotations", "VOC2007/JPEGImages", "VOC2007/ImageSets/Main/test.txt"]
)
def test_a_wrong_layout_names_the_first_wrong_path(lay_voc: Lay, tmp_path: Path, missing: str) -> None:
    root = lay_voc()
    (root / missing).rename(tmp_path / "away")
    with pytest.raises(DataError) as caught:
        voc.read(root)
    assert f"{root / (missing or 'VOC2007')} is missing" in str(caught.value)
    assert "seen:" in str(caught.value)
    assert "do:" in str(caught.value)


def test_without_voc2012_the_message_offers_voc07(lay_voc: Lay) -> None:
    settings = tasks.get("voc0712").settings
    with pytest.raises(DataError, match="--task voc07"):
        voc.read(lay_voc(), **settings.splits())


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation><object><name>&b;</name></object></annotation>'

EXTERNAL = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation><object><name>&b;</name></object></annotation>'
PARAMETER = '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><annotation/>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "document type"),
        (EXTERNAL, "document type"),
        (PARAMETER, "document type"),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>', "unknown encoding"),
        ("<a>" * 50_000, "not XML"),
        ("<annotation>" + " " * 2**22 + "</annotation>", "too large"),
        (voc_xml([Thing("red", (1, 2, 3, "1e999"))]), "not finite"),
        (voc_xml([Thing("red", (1, 2, 3, "1e30"))]), "too far away"),
        ("<annotation><object>", "not XML"),
        ("", "is empty"),
        ("<annotation><object></object></annotation>", "no <name>"),
        ("<annotation><object><name>red</name></object></annotation>", "no <bndbox/xmin>"),
        (voc_xml([Thing("red", ("a", 2, 3, 4))]), "not four numbers"),
        (voc_xml([Thing("red", ("nan", 2, 3, 4))]), "not finite"),
    ],
)
def test_a_broken_annotation_is_named(lay_voc: Lay, text: str, words: str) -> None:
    root = lay_voc()
    annotation(root, 2).write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        voc.read(root)
    assert str(annotation(root, 2)) in str(caught.value)


def test_a_class_that_is_not_listed_gets_a_suggestion(lay_voc: Lay) -> None:
    root = lay_voc()
    (root / "classes.txt").write_text("blue\ngreen\nreds\n")
    with pytest.raises(DataError, match="did you mean 'reds'"):
        voc.read(root)


def test_a_missing_image_or_annotation_is_named(lay_voc: Lay) -> None:
    root = lay_voc()
    (root / "VOC2007/JPEGImages/000003.png").unlink()
    with pytest.raises(DataError, match="no image for '000003'"):
        voc.read(root)
    annotation(root, 2).unlink()
    with pytest.raises(DataError, match=r"000002\.xml is missing"):
        voc.read(root)


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "..", "x" * 5000])
def test_a_list_that_leaves_its_folder_is_refused(lay_voc: Lay, tmp_path: Path, name: str) -> None:
    root = lay_voc()
    (tmp_path / "outside.xml").write_text(voc_xml([]))
    (root / "VOC2007/ImageSets/Main/trainval.txt").write_text(f"000000\n{name}\n")
    with pytest.raises(DataError, match="outside"):
        voc.read(root)


def test_an_image_listed_twice_or_in_two_forms_is_refused(lay_voc: Lay) -> None:
    root = lay_voc()
    (root / "VOC2007/JPEGImages/000001.png").rename(root / "VOC2007/JPEGImages/000001.PNG")
    (root / "VOC2007/JPEGImages/000001.txt").write_text("not an image")
    assert len(voc.read(root).train) == 6
    (root / "VOC2007/JPEGImages/000001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="several images for '000001'"):
        voc.read(root)
    (root / "VOC2007/ImageSets/Main/trainval.txt").write_text("000000\n000000\n")
    with pytest.raises(DataError, match="lists '000000' twice"):
        voc.read(root)


def test_a_split_that_is_no_path_of_two_is_refused(lay_voc: Lay) -> None:
    for split in ("trainval", "VOC2007/../x", "../a/b"):
        with pytest.raises(DataError, match="FOLDER/NAME"):
            voc.read(lay_voc(name=str(abs(hash(split)))), train=(split,))


def test_a_check_collects_what_a_run_stops_at_and_keeps_the_rest(lay_voc: Lay) -> None:
    root = lay_voc()
    (root / "classes.txt").write_text("blue\ngreen\nred\n")
    annotation(root, 0).write_text("no")
    annotation(root, 1).write_text(voc_xml([Thing("violet", (5, 5, 30, 30))]))
    problems: list[DataError] = []
    data = voc.read(root, tell=problems.append)
    assert [str(annotation(root, number)) in problem.wrong for number, problem in enumerate(problems)] == [True, True]
    assert len(data.train) == 4


def test_a_turned_image_has_the_size_it_is_seen_with(lay_voc: Lay) -> None:
    root = lay_voc()
    path = root / "VOC2007/JPEGImages/000000.png"
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    annotation(root).write_text(voc_xml([Thing("red", (5, 5, 30, 30))], size=None))
    first = voc.read(root).train[0]
    assert (first.width, first.height) == (80, 96)
    assert read_image(first).size == (80, 96)


def test_no_object_at_all_is_an_error(lay_voc: Lay) -> None:
    root = lay_voc(train=1)
    annotation(root).write_text(voc_xml([]))
    with pytest.raises(DataError, match="no objects to train on"):
        voc.read(root)


@pytest.mark.skipif(not BCCD.is_dir(), reason="the shared data is not there")
def test_blood_cells_are_read_with_their_two_thin_boxes() -> None:
    data = voc.read(BCCD)
    assert (data.ref.train, data.ref.val, set(data.classes)) == (292, 72, {"WBC", "RBC", "Platelets"})
    assert data.notes == ("2 boxes are one pixel thin (equal corners); kept, as in Detectron2",)
    with Image.open(data.train[0].path) as image:
        assert image.size == (data.train[0].width, data.train[0].height)


def rename(root: Path, number: int, stem: str, *, xml: str = ".xml") -> None:
    image = root / f"VOC2007/JPEGImages/{number:06}.png"
    image.rename(image.with_name(f"{stem}.png"))
    annotation(root, number).rename(annotation(root).with_name(f"{stem}{xml}"))


def write_list(root: Path, *lines: str, encoding: str = "utf-8", end: str = "\n") -> None:
    text = "".join(line + end for line in lines)
    (root / "VOC2007/ImageSets/Main/trainval.txt").write_bytes(text.encode(encoding))


LINES = {
    "with blanks": ("photo 1 (2)", "photo 1 (2)", False),
    "with blanks and a flag": ("photo 1 (2)", "photo 1 (2)  1", False),
    "that ends in a number": ("photo 1", "photo 1", False),
    "with a flag": ("a", "a  1", False),
    "with numbers": ("a", "a 1 0.3", False),
    "with its ending": ("a", "a.png", True),
    "with its annotation's ending": ("a", "a.XML", True),
    "with its ending and a flag": ("a", "a.png 1", True),
    "in other case": ("Img_A", "img_a", True),
    "with URL codes": ("a b", "a%20b", True),
    "composed": ("e\u0301", "\u00e9", True),
    "with points": ("frame.0001", "frame.0001", False),
}


@pytest.mark.parametrize(("there", "line", "remark"), LINES.values(), ids=LINES)
def test_a_line_of_a_list_is_a_name_and_another_form_is_noted(lay_voc: Lay, there: str, line: str, remark: bool) -> None:
    root = lay_voc(train=2, val=2)
    rename(root, 1, there)
    write_list(root, "000000", line)
    data = voc.read(root)
    assert [each.identity for each in data.train] == ["000000", there]
    notes = [note for note in data.notes if "another form" in note]
    assert notes == ([f"1 names in lists written in another form, the first is {line!r}, which is {there!r}"] if remark else [])


def test_a_number_belongs_to_the_name_where_the_whole_line_is_one(lay_voc: Lay) -> None:
    root = lay_voc(train=2, val=2)
    rename(root, 0, "photo")
    rename(root, 1, "photo 1")
    write_list(root, "photo 1", "photo 0")
    assert [each.identity for each in voc.read(root).train] == ["photo 1", "photo"]
    write_list(root, "photo (2)", "photo")
    with pytest.raises(DataError, match=r"photo \(2\)\.xml is missing"):
        voc.read(root)


def test_annotations_with_an_ending_in_capitals_and_images_named_in_another_form_are_noted(lay_voc: Lay) -> None:
    root = lay_voc(train=2, val=2)
    rename(root, 1, "000001", xml=".XML")
    (root / "VOC2007/JPEGImages/000000.png").rename(root / "VOC2007/JPEGImages/000000.PNG")
    rename(root, 1000, "Val", xml=".xml")
    annotation(root).with_name("Val.xml").rename(annotation(root, 1000))
    (root / "VOC2007/ImageSets/Main/test.txt").write_text("001000\n001001\n")
    with pytest.raises(DataError, match="no image for '001000'"):
        voc.read(root)
    annotation(root, 1000).rename(annotation(root).with_name("val.xml"))
    (root / "VOC2007/ImageSets/Main/test.txt").write_text("val\n001001\n")
    data = voc.read(root)
    assert data.ref.val == 2
    assert "1 annotations found under a name of another form, the first is '000001.xml', which is '000001.XML'" in data.notes
    assert "1 images found under a name of another form, the first is 'val', which is 'Val.png'" in data.notes


def test_a_path_in_a_list_is_answered_with_the_name(lay_voc: Lay) -> None:
    root = lay_voc()
    write_list(root, "VOC2007/JPEGImages/000001.png")
    with pytest.raises(DataError, match=r"names a file outside[\s\S]*without its ending[\s\S]*write '000001'"):
        voc.read(root)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_classes_and_annotations_are_read_whatever_their_marks(lay_voc: Lay, encoding: str) -> None:
    root = lay_voc()
    before = voc.read(root)
    write_list(root, *[f"{number:06}" for number in range(len(before.train))], encoding=encoding, end="\r\n")
    (root / "classes.txt").write_bytes("blue\r\ngreen\r\nred\r\n".encode(encoding))
    annotation(root).write_bytes(annotation(root).read_text().encode(encoding))
    data = voc.read(root)
    assert data.classes == before.classes
    assert [each.labels.tolist() for each in data.train] == [each.labels.tolist() for each in before.train]


def test_an_annotation_is_decoded_as_it_declares(lay_voc: Lay) -> None:
    root = lay_voc(train=2, val=2)
    for number in (0, 1, 1000, 1001):
        xml = '<?xml version="1.0" encoding="gb2312"?>' + voc_xml([Thing("猫", (1, 1, 9, 9))])
        annotation(root, number).write_bytes(xml.encode("gb2312"))
    assert voc.read(root).classes == ("猫",)
    annotation(root).write_bytes(voc_xml([Thing("汽车", (1, 1, 9, 9))]).encode("gbk"))
    with pytest.raises(DataError, match="iconv -f gbk -t utf-8"):
        voc.read(root)


def test_a_link_that_leads_nowhere_is_one_wrong_image(lay_voc: Lay) -> None:
    root = lay_voc(train=3, val=2)
    for path in (root / "VOC2007/JPEGImages/000001.png", annotation(root, 2)):
        path.unlink()
        path.symlink_to("/mnt/gone")
    problems: list[DataError] = []
    assert len(voc.read(root, tell=problems.append).train) == 1
    assert ["/mnt/gone, which is not there" in str(each) for each in problems] == [True, True]


RED = voc_xml([Thing("red", (5, 5, 30, 30))])


def test_the_name_space_of_an_annotation_is_nothing(lay_voc: Lay) -> None:
    root = lay_voc()
    annotation(root).write_text(RED.replace("<annotation>", '<annotation xmlns="http://example.org/voc">'))
    assert voc.read(root).train[0].boxes.tolist() == [[4, 4, 30, 30]]


NO_OBJECTS = {
    "below another element": (
        RED.replace("<object>", "<objects><object>").replace("</object>", "</object></objects>"),
        "<objects>",
    ),
    "in capitals": (RED.replace("object>", "Object>"), "<Object>"),
    "of another tool": ('<annotations><image name="a.jpg"><box label="red" xtl="1"/></image></annotations>', "<annotations>"),
    "with two boxes": (RED.replace("</object>", RED[RED.index("<bndbox>") : RED.index("</annotation>")]), "has 2 boxes"),
    "nothing": ("\n", "is empty"),
}


@pytest.mark.parametrize(("xml", "said"), NO_OBJECTS.values(), ids=NO_OBJECTS)
def test_objects_that_would_be_passed_over_are_an_error(lay_voc: Lay, xml: str, said: str) -> None:
    root = lay_voc()
    annotation(root).write_text(xml)
    with pytest.raises(DataError, match=said):
        voc.read(root)


def test_annotations_in_folders_of_their_own_are_one_message(lay_voc: Lay) -> None:
    root = lay_voc()
    (root / "VOC2007/Annotations/part").mkdir()
    for path in (root / "VOC2007/Annotations").glob("*.xml"):
        path.rename(path.parent / "part" / path.name)
    with pytest.raises(DataError, match=r"no annotations in .*\n.*seen: *part/\n"):
        voc.read(root)
