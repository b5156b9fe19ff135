"""Tasks in Label Studio's JSON and in its JSON-MIN: which image each is of, and what its annotations hold."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pretrain.core.errors import DataError
from pretrain.images.stores import SUFFIXES
from transfer.arrange.folder import path_in
from transfer.arrange.tables import plain
from transfer.arrange.values import any_json_of, entries, mapping
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped

LISTS = ("annotations", "completions")
"""What a task calls its annotations, now and before 2021."""
CANCELLED = ("was_cancelled", "skipped")
OWN = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")
"""Fields that JSON-MIN adds to a task's data and answers."""
IMAGES = ("image", "img", "imageurl", "url", "picture", "photo")
"""Fields of the data that name the image where others could, too; as `tables.plain` writes them."""
CHOICES = "choices"


class Result(NamedTuple):
    """One thing that an annotator did: a shape, or the answer to a question."""

    question: str
    """Name of the control that it was done with."""
    kind: str
    """Such as `rectanglelabels` or `choices`."""
    value: Mapping[str, Any]
    size: tuple[Any, Any]
    """Width and height of the image, as they are written."""
    turned: bool
    """Whether the annotator had turned the image."""
    where: str


class Annotation(NamedTuple):
    """What one annotator says of an image."""

    data: Mapping[str, Any]
    """Fields of the task, one of which names the image."""
    results: list[Result]
    ground_truth: bool
    where: str
    left_out: str | None = None
    """Why it doesn't count; None: it does."""


def annotations_in(path: Path, below: str, dropped: Dropped) -> Iterator[Annotation]:
    """Yield the annotations of a file, in either form, also those that don't count.

    Args:
        path: The file.
        below: Its path below the export's folder.
        dropped: Counts the files that have none.

    Raises:
        DataError: If the file can't be read, or something in it is no task.
    """
    content = any_json_of(path)
    listed = [content] if isinstance(content, dict) else content
    known = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    if any(map(_is_task, known)):
        for at, entry in enumerate(entries(listed, str(path))):
            yield from _of_task(entry, f"task {shown(entry.get('id', at))} of {path}")
    elif any(map(_is_short, known)):
        for at, entry in enumerate(entries(listed, str(path))):
            yield _of_short(entry, f"entry {at} of {path}")
    else:
        dropped.add("JSON files of another kind", below)


def image_name(annotation: Annotation) -> str | None:
    """Find the address of a task's image: the one that ends like an image's, or the one of that name; None if none is.

    Raises:
        DataError: If several could be it.
    """
    texts = {name: value for name, value in annotation.data.items() if isinstance(value, str) and value.strip()}
    likely = [name for name, value in texts.items() if os.path.splitext(path_in(value))[1].lower() in SUFFIXES]
    if len(likely) == 1:
        return texts[likely[0]]
    found = next((name for name in likely or texts if plain([name])[0] in IMAGES), None)
    if found is None and likely:
        raise DataError(
            f"{annotation.where} has several images", seen=shown(likely), allowed="one, or one that is called image"
        )
    return None if found is None else texts[found]


def _is_task(entry: Mapping[str, Any]) -> bool:
    alone = "result" in entry and isinstance(entry.get("task"), dict)
    return alone or (isinstance(entry.get("data"), dict) and any(isinstance(entry.get(name), list) for name in LISTS))


def _is_short(entry: Mapping[str, Any]) -> bool:
    return "annotation_id" in entry or any(
        isinstance(value, list) and any(isinstance(each, dict) and _kind(each) for each in value) for value in entry.values()
    )


def _of_task(entry: Mapping[str, Any], where: str) -> Iterator[Annotation]:
    """Yield the annotations of a task; one that its storage keeps by itself has the task inside it."""
    alone = isinstance(entry.get("task"), dict)
    data = mapping((entry["task"] if alone else entry).get("data"), f"'data' of {where}")
    given = next((entry[name] for name in LISTS if entry.get(name) is not None), None)
    every = [dict(entry)] if alone else entries(given, f"the annotations of {where}")
    if not every:
        yield Annotation(data, [], False, where, "tasks without an annotation")
    for each in every:
        cancelled = "annotations that were cancelled" if any(each.get(mark) for mark in CANCELLED) else None
        found = [] if cancelled else entries(each.get("result"), f"'result' of {where}")
        results = [_result(one, f"result {at} of {where}") for at, one in enumerate(found)]
        yield Annotation(data, results, bool(each.get("ground_truth")), where, cancelled)


def _result(entry: Mapping[str, Any], where: str) -> Result:
    value = mapping(entry.get("value") or {}, f"'value' of {where}")
    kind, question = str(entry.get("type") or _kind(value)), str(entry.get("from_name") or "")
    size = entry.get("original_width"), entry.get("original_height")
    return Result(question, kind, value, size, bool(entry.get("image_rotation")), where)


def _of_short(entry: Mapping[str, Any], where: str) -> Annotation:
    """Read an entry of JSON-MIN: answers stand between the task's `id` and its `annotator`, where it has both."""
    names = list(entry)
    begin, end = ("id" in entry and names.index("id") + 1), (names.index("annotator") if "annotator" in entry else len(names))
    answers = [name for name in (names[begin:end] if begin < end else names) if name not in OWN]
    results = [result for name in answers for result in _short_results(name, entry[name], where)]
    return Annotation(entry, results, False, where)


def _short_results(question: str, said: Any, where: str) -> Iterator[Result]:
    """Yield what stands under a question: the text of a choice, or shapes."""
    for at, each in enumerate(said if isinstance(said, list) else [said]):
        value = {CHOICES: [each]} if isinstance(each, str) else each
        if isinstance(value, dict):
            size = value.get("original_width"), value.get("original_height")
            yield Result(question, _kind(value) or "unknown", value, size, False, f"result {at} of {question!r} of {where}")


def _kind(value: Mapping[str, Any]) -> str:
    """Tell what kind of result a value is of by the name of what it lists; empty if none says it."""
    return next((name for name in value if name == CHOICES or name.endswith("labels")), "")
