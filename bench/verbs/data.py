"""`bench data check`: list what is in a data set and what is wrong with it, before a run takes days to find out."""

import re
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from bench import places
from bench.answers import Checked, Counted, Wrong
from bench.selection import Selection
from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Journal, Progress
from pretrain.images.stores import index
from transfer import datasets, tasks
from transfer.datasets import decoding
from transfer.datasets.duplicates import duplicates
from transfer.datasets.survey import Survey, survey
from transfer.tasks import TaskSettings

IMAGE_FOLDERS = ("pretrain", "measure")
"""Commands beside the tasks that read image folders."""
LISTED = 20
"""Problems listed at most."""

_INDEX = re.compile(r"(?<=\[)\d+(?=\] )|(?<=object )\d+(?= in )|(?<=_id )-?\d+(?= )")
"""What tells apart the problems of one kind in one file: the index of an entry, the number of an object, an id."""


class Looks(Enum):
    """How far every image is looked into: decoded, its header read, or only listed."""

    DECODED = "images"
    HEADERS = "headers"
    NONE = "lists"


class Problems:
    """Collects problems: the first one of each kind, how many there are of it, and of all."""

    def __init__(self) -> None:
        self.first: dict[str, DataError] = {}
        """The first problem of each of the first kinds."""
        self.counts: Counter[str] = Counter()
        """How many there are of each of these."""
        self.count = 0

    def tell(self, problem: DataError) -> None:
        """Count a problem, and keep it if it is the first of one of the first kinds."""
        self.count += 1
        kind = _INDEX.sub("#", problem.wrong)
        if len(self.first) < LISTED:
            self.first.setdefault(kind, problem)
        if kind in self.first:
            self.counts[kind] += 1

    def listed(self) -> list[Wrong]:
        """List the first problem of each of the first kinds."""
        return [Wrong(first.wrong, str(first), self.counts[kind]) for kind, first in self.first.items()]


def looks(*, images: bool, headers: bool, duplicates: bool) -> Looks:
    """Choose how far images are looked into.

    Raises:
        ConfigError: For options that contradict each other.
    """
    given = [name for name, is_given in (("--no-images", not images), ("--headers", headers)) if is_given]
    if len(given) > 1 or (given and duplicates):
        seen = ", ".join([*given, *["--duplicates"] * duplicates])
        raise ConfigError("these options contradict each other", seen=seen, allowed="one of them")
    return Looks.NONE if not images else Looks.HEADERS if headers else Looks.DECODED


def check(
    task: str,
    data: str | None,
    selection: Selection,
    options: Mapping[str, Any],
    progress: Progress,
    *,
    looks: Looks,
    copies: bool,
    make: bool,
) -> Checked:
    """Read a data set as a task reads it, and find out what is there and what is wrong.

    Args:
        task: What `transfer.tasks.get` takes, or `pretrain` or `measure`.
        data: What `--data` says.
        selection: Classes of the data to read.
        options: Fields of the task's settings.
        progress: Called with every image.
        looks: How far every image is looked into.
        copies: Whether pictures that are there more than once are noted.
        make: Whether Cityscapes' training ids are made where they are missing.

    Raises:
        BenchError: For an unknown task or option, or if there is no folder.
    """
    layout, _ = layout_of(task, options)
    selection.require_folders(task, layout)
    if make and datasets.LAYOUTS[layout].maker is None:
        made_for = ", ".join(name for name, each in datasets.LAYOUTS.items() if each.maker)
        raise ConfigError("there is nothing to make", seen=f"--make with {task}", allowed=f"tasks of the layout {made_for}")
    root, _ = places.data_root(data, layout, Journal(progress=progress))
    problems = Problems()
    made = datasets.make(layout, root.resolve(), problems.tell, progress) if make else None
    content = read(task, root, problems, options, selection.arguments())
    copied = () if content is None else _look(content, problems, progress, looks, copies=copies)
    whose = {"task": task, "data": str(root), "layout": layout, "looked": looks.value, "made": made}
    return _answer(whose, None if content is None else survey(content), problems, copied)


def _answer(whose: Mapping[str, Any], found: Survey | None, problems: Problems, copied: tuple[str, ...]) -> Checked:
    """Say what was found; of data that could not be read at all, what is wrong with it."""
    return Checked(
        **whose,
        good=not problems.count,
        counts=[Counted(*row) for row in found.counts] if found else [],
        classes=[Counted(*row) for row in found.classes] if found else [],
        unit=found.unit if found else "",
        notes=[*found.notes, *copied] if found else [],
        problems=problems.listed(),
        problem_count=problems.count,
    )


def layout_of(task: str, options: Mapping[str, Any]) -> tuple[str, TaskSettings]:
    """Return the layout of a task's data, and its settings.

    Raises:
        ConfigError: For an unknown task or option.
    """
    if task in IMAGE_FOLDERS:
        return "imagefolder", TaskSettings().replace(options, where=f"what {task} is told of its data")
    if task.partition("@")[0] not in tasks.TASKS:
        raise ConfigError.unknown("task", task, [*tasks.TASKS, *IMAGE_FOLDERS])
    found = tasks.get(task)
    return found.layout, found.settings.replace(options, where=f"the settings of {found.name}")


def read(task: str, root: Path, problems: Problems, options: Mapping[str, Any], chosen: Mapping[str, Any]) -> Any:
    """Read all that can be read of a data set as a task does, but for its images' pixels; None where a run would find nothing.

    Args:
        task: As `check` takes it.
        root: Where the data is.
        problems: Told of all that is wrong.
        options: Fields of the task's settings.
        chosen: Classes of the data to read.
    """
    layout, settings = layout_of(task, options)
    needs = {"needs": ()} if task == "pretrain" else {}
    try:
        with index.renewed():
            return datasets.read(layout, root, settings, problems.tell, **{**chosen, **needs})
    except DataError as problem:
        problems.tell(problem)
        return None


def _look(content: Any, problems: Problems, progress: Progress, looks: Looks, *, copies: bool) -> tuple[str, ...]:
    """Look into every image, and return what there is to know of copies."""
    if looks is Looks.NONE:
        return ()
    images = decoding.listed(content)
    if looks is Looks.HEADERS:
        decoding.headers(images, problems.tell, progress)
        return ()
    seen = decoding.decoded(images, problems.tell, progress, digests=copies)
    return duplicates(images, seen) if copies else ()
