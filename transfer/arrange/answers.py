"""What several annotators say of an image becomes one truth, and images with drawn objects or with one class each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pretrain.core.errors import DataError
from transfer.arrange.folder import Folder
from transfer.arrange.items import Export, Item, Thing
from transfer.arrange.joining import Said, identity, joined, split_by_files
from transfer.arrange.tables import LABELS, plain
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped

NAMES = (*LABELS, "choice", "choices", "classification", "name", "type")
"""Questions whose answer is the class of an image where there are others, too; as `tables.plain` writes them."""
DIFFER = "images whose annotations differ"


@dataclass(frozen=True)
class Answer:
    """What one annotator says of an image."""

    path: str
    """The file that has it, below the export's folder."""
    image: str
    things: Sequence[Thing]
    choices: Mapping[str, tuple[str, ...]]
    """Question about the whole image → what was chosen."""
    dropped: Dropped
    """What of it can't be carried."""
    preferred: bool = False
    """Whether the tool marks it as the one that counts, such as a ground truth."""
    given: bool = True
    """Whether the annotator said anything; if not, `dropped` tells why."""

    def key(self) -> tuple[object, ...]:
        """Return what equal answers have in common, in whatever order their objects are."""
        return sorted(map(repr, map(identity, self.things))), sorted(self.choices.items())


def agreed(folder: Folder, answers: Iterable[Answer], dropped: Dropped) -> Export:
    """Return images with objects where any has some, otherwise with the class that was chosen for each.

    Of several annotations of one image in one file, those that are marked count, or else all, and they must be equal; an image
    of which they aren't is left out. Objects that several files have count once, as `joined` says.

    Args:
        folder: The export.
        answers: What its files say, file by file.
        dropped: Counts what is left out.

    Raises:
        DataError: If files give an image different splits, or several questions could be that of the class.
    """
    groups: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        groups.setdefault((answer.path, answer.image), []).append(answer)
    chosen, overruled = list[Answer](), 0
    for (path, image), group in groups.items():
        for answer in group:
            if not answer.given:
                dropped.include(answer.dropped)
        given = [answer for answer in group if answer.given]
        counting = [answer for answer in given if answer.preferred] or given
        keys = [answer.key() for answer in counting]
        if keys != keys[:1] * len(keys):
            dropped.add(DIFFER, f"{image} in {path}")
        elif counting:
            overruled += any(answer.key() != keys[0] for answer in given)
            dropped.include(counting[0].dropped)
            chosen.append(counting[0])
    known = {image for _, image in groups}
    notes = [f"of {overruled} images the annotation counts that is marked as right; others differ"] if overruled else []
    if any(answer.choices for answer in chosen) and not any(answer.things for answer in chosen):
        return _classes(folder, chosen, known, dropped, notes)
    return _objects(folder, chosen, known, dropped, notes)


def _objects(folder: Folder, chosen: Sequence[Answer], known: set[str], dropped: Dropped, notes: list[str]) -> Export:
    export = joined(folder, [Said(answer.path, answer.image, answer.things) for answer in chosen], dropped, known)
    classified = sum(bool(answer.choices) for answer in chosen)
    empty = sum(not item.things for item in export.items)
    notes += [f"classes of {classified} images left out: objects are read"] if classified else []
    notes += [f"{empty} images have no objects; they are kept as background"] if empty else []
    return Export("objects", export.items, export.classes, dropped, (*export.notes, *notes))


def _classes(folder: Folder, chosen: Sequence[Answer], known: set[str], dropped: Dropped, notes: list[str]) -> Export:
    question = _question(chosen)
    images: dict[str, dict[str, tuple[str, ...]]] = {}
    for answer in chosen:
        images.setdefault(answer.image, {})[answer.path] = answer.choices.get(question, ())
    items = list(_labelled(images, dropped))
    for image in sorted(set(folder.images) - known):
        dropped.add("images that no file names", image)
    return Export("classes", tuple(items), tuple(sorted({str(item.label) for item in items})), dropped, tuple(notes))


def _labelled(images: Mapping[str, Mapping[str, tuple[str, ...]]], dropped: Dropped) -> Iterator[Item]:
    for image, files in images.items():
        labels = set(files.values())
        if len(labels) > 1:
            dropped.add(DIFFER, f"{image} in {', '.join(files)}")
        elif len(label := labels.pop()) != 1:
            dropped.add("images of several classes, or of none", image)
        else:
            yield Item(image, None, split_by_files(image, files), label=label[0])


def _question(chosen: Sequence[Answer]) -> str:
    """Find the question that asks for the class: the only one, or the only one that is called so.

    Raises:
        DataError: If there are several.
    """
    questions = list(dict.fromkeys(question for answer in chosen for question in answer.choices))
    named = [name for name, as_plain in zip(questions, plain(questions), strict=True) if as_plain in NAMES]
    found = questions if len(questions) == 1 else named
    if len(found) != 1:
        raise DataError(
            "several questions about the images could be that of their class",
            seen=shown(questions),
            allowed="one question, or one that is called class, label, category or choice",
            fix="leave the answers to the others out, or rename the question that asks for the class",
        )
    return found[0]
