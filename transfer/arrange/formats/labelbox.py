"""Labelbox: NDJSON, or a JSON list, of data rows, each with `data_row`, `media_attributes` and the labels of its `projects`.

Boxes are their upper left corner and size, and outlines their points, in pixels. The export of before 2024, an entry for each
label with `Labeled Data` and `Label`, is read as well.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pretrain.core.errors import DataError
from transfer.arrange.answers import Answer, agreed
from transfer.arrange.collect import Collector
from transfer.arrange.folder import Folder, path_in
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export
from transfer.arrange.naming import Named
from transfer.arrange.values import any_json_of, entries, json_lines, mapping, number, size_of, text_of, word
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size

FIELDS = (('"data_row"', '"row_data"'), ('"Labeled Data"', '"Label"'))
"""What the beginning of a file has, of today's export and of the former one."""
ENDINGS = (".ndjson", ".jsonl", ".json")
PATTERNS = tuple(f"{above}*{ending}" for ending in ENDINGS for above in ("", "*/"))
NAMES = ("external_id", "row_data", "global_key")
"""Fields of a data row that may name its file: what the user called it, its address, its key."""
SIDES = ("left", "top", "width", "height")
CHOICES = ("radio_answer", "checklist_answers")
KINDS = ("bounding_box", "polygon", "mask", "composite_mask", "line", "point")
"""Fields of an object that hold its shape."""


def recognise(glance: Glance) -> bool:
    """Tell whether a file has the fields of a data row."""
    heads = (head for _, head in glance.heads(*PATTERNS, whole=False))
    return any(any(all(map(head.__contains__, each)) for each in FIELDS) for head in heads)


def read(root: Path, given: Named | None) -> Export:
    """Read the objects of every image, or the choices where nobody drew any.

    Raises:
        DataError: If a file can't be read, a shape has no numbers, several projects have labels, or an image has another size.
    """
    folder, dropped = Folder(root), Dropped()
    rows = [(path, *row) for ending in ENDINGS for path in folder.ending(ending) for row in _rows(folder, path, dropped)]
    _one_project(rows)
    return agreed(folder, (answer for row in rows for answer in _answers(folder, *row, dropped)), dropped)


def _rows(folder: Folder, path: str, dropped: Dropped) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the data rows of a file, and what names each in messages."""
    content = _content(folder.path(path))
    listed = content if isinstance(content, list) else [content]
    if not any(isinstance(each, dict) and ("data_row" in each or "Labeled Data" in each) for each in listed):
        dropped.add("JSON files of another kind", path)
        return
    for at, entry in enumerate(entries(listed, str(folder.path(path))), start=1):
        where = f"data row {at} of {folder.path(path)}"
        yield where, _former(entry, where) if "Labeled Data" in entry else entry


def _former(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Write an entry of the former export as one of today's: a data row with one label."""
    said, project = entry.get("Label"), str(entry.get("Project Name") or "")
    said = said if isinstance(said, dict) else {}  # a text where it was skipped
    annotations = {
        "objects": [
            {"name": each.get("title"), "bounding_box": each.get("bbox"), "mask": each.get("instanceURI"), **each}
            for each in entries(said.get("objects"), f"'objects' of {where}")
        ],
        "classifications": [
            _former_answer(each) for each in entries(said.get("classifications"), f"'classifications' of {where}")
        ],
    }
    skipped = bool(entry.get("Skipped")) or not isinstance(entry.get("Label"), dict)
    label = {"annotations": annotations, "performance_details": {"skipped": skipped}}
    names = {"external_id": entry.get("External ID"), "row_data": entry.get("Labeled Data")}
    return {"data_row": names, "projects": {project: {"name": project, "labels": [label]}}}


def _former_answer(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    given = entry.get("answer", entry.get("answers"))
    listed = given if isinstance(given, list) else [given]
    if not all(isinstance(each, dict) for each in listed):
        return {"name": entry.get("title")}
    return {"name": entry.get("title"), "checklist_answers": [{"name": each.get("title")} for each in listed]}


def _content(path: Path) -> Any:
    """Read a list, one object, or an object a line, whatever the file's ending is."""
    text = text_of(path).lstrip("\ufeff \t\r\n")
    first = text.partition("\n")[0].strip()
    if text.startswith("[") or (path.suffix.lower() == ".json" and not (first.startswith("{") and first.endswith("}"))):
        return any_json_of(path)
    return json_lines(text, str(path))


def _one_project(rows: list[tuple[str, str, Mapping[str, Any]]]) -> None:
    """Stop where several projects have labels: each has classes of its own."""
    found: dict[str, str] = {}
    for _, where, entry in rows:
        for key, project in _projects(entry, where):
            if project.get("labels"):
                found[key] = str(project.get("name") or key)
    if len(found) > 1:
        fix = "export one project, or leave the others out of the file"
        raise DataError("several projects have labels", seen=shown(list(found.values())), allowed="one project", fix=fix)


def _projects(entry: Mapping[str, Any], where: str) -> list[tuple[str, Mapping[str, Any]]]:
    found = mapping(entry.get("projects") or {}, f"'projects' of {where}")
    return [(key, mapping(project, f"project {key} of {where}")) for key, project in found.items()]


def _answers(folder: Folder, path: str, where: str, entry: Mapping[str, Any], dropped: Dropped) -> Iterator[Answer]:
    row = mapping(entry.get("data_row"), f"'data_row' of {where}")
    image = _image(folder, path, row, where)
    if image is None:
        dropped.add("images that aren't there", f"{shown(row.get('external_id') or row.get('row_data'))} in {path}")
        return
    labels = [label for _, each in _projects(entry, where) for label in entries(each.get("labels"), f"'labels' of {where}")]
    if not labels:
        yield _unsaid(path, image, "data rows without a label", where)
    for at, label in enumerate(labels):
        if _is_skipped(label):
            yield _unsaid(path, image, "labels that were skipped", where)
        else:
            _check_size(entry, folder.path(image), where)
            said = mapping(label.get("annotations") or {}, f"'annotations' of label {at} of {where}")
            yield _answer(path, image, said, where)


def _unsaid(path: str, image: str, why: str, where: str) -> Answer:
    dropped = Dropped()
    dropped.add(why, where)
    return Answer(path, image, (), {}, dropped, given=False)


def _image(folder: Folder, path: str, row: Mapping[str, Any], where: str) -> str | None:
    """Find the image of a data row by any of its names.

    Raises:
        DataError: If they name different ones.
    """
    near = path.rpartition("/")[0]
    names = [name for name in (row.get(field) for field in NAMES) if isinstance(name, str) and path_in(name).strip("/")]
    found = list(dict.fromkeys(image for name in names if (image := folder.image(name, near)) is not None))
    if len(found) > 1:
        raise DataError(f"{where} could be of several images", seen=", ".join(found), fix="leave one of them in the export")
    return found[0] if found else None


def _is_skipped(label: Mapping[str, Any]) -> bool:
    said = label.get("performance_details")
    return isinstance(said, dict) and bool(said.get("skipped"))


def _check_size(entry: Mapping[str, Any], image: Path, where: str) -> None:
    media = mapping(entry.get("media_attributes") or {}, f"'media_attributes' of {where}")
    said, size = size_of(media.get("width"), media.get("height"), where), image_size(image)
    if said not in (None, size):
        seen, allowed = f"{size[0]} × {size[1]}", f"{said[0]} × {said[1]}, as annotated" if said else None
        raise DataError(f"{image} has another size than {where}", seen=seen, allowed=allowed, fix="use the images as uploaded")


def _answer(path: str, image: str, said: Mapping[str, Any], where: str) -> Answer:
    dropped = Dropped()
    collector, choices = Collector(f"{image} in {path}", dropped), dict[str, tuple[str, ...]]()
    if "frames" in said or "segments" in said:
        collector.drop("frames of a video")
    for at, entry in enumerate(entries(said.get("objects"), f"'objects' of {where}")):
        _add(entry, collector, f"object {at} of {where}")
    for entry in entries(said.get("classifications"), f"'classifications' of {where}"):
        question = word(entry.get("name"), f"the name of a classification of {where}")
        if not any(field in entry for field in CHOICES):
            collector.drop("answers that are no choices")
            continue
        found = [entry[field] for field in CHOICES if entry.get(field)]
        listed = [each for answer in found for each in (answer if isinstance(answer, list) else [answer])]
        names = [word(each.get("name"), f"the answer to {question!r} of {where}") for each in entries(listed, where)]
        choices[question] = (*choices.get(question, ()), *names)
    return Answer(path, image, collector.things, choices, dropped)


def _add(entry: Mapping[str, Any], collector: Collector, where: str) -> None:
    """Add an object, or count it."""
    name = word(entry.get("name"), f"the name of {where}")
    kind = next((field for field in KINDS if entry.get(field)), None)
    if kind == "bounding_box":
        box = mapping(entry[kind], f"'bounding_box' of {where}")
        left, top, wide, high = (number(box.get(side), f"{side!r} of {where}") for side in SIDES)
        collector.box(name, (left, top, left + wide, top + high))
    elif kind == "polygon":
        found = entries(entry[kind], f"'polygon' of {where}")
        points = [number(point.get(side), f"a point of {where}") for point in found for side in ("x", "y")]
        collector.shape(name, [points])
    elif kind in ("mask", "composite_mask"):
        collector.drop("masks, of which the export has the address alone")
    else:
        collector.drop(f"shapes of the kind {shown(entry.get('annotation_kind') or kind)}")
    if entry.get("classifications"):
        collector.drop("classifications of single objects")
