"""The lines of YOLO's text files: `class x y width height`, or `class x y x y …`, all as shares of the image."""

from collections.abc import Sequence

from pretrain.core.errors import DataError
from transfer.arrange.collect import Collector
from transfer.arrange.values import number, whole
from transfer.datasets import shown
from transfer.datasets.readings import Reading

BOX = 5
"""Numbers of a line with a box; more are an outline, or keypoints where `kpt_shape` says so."""
INSIDE = (-0.5, 1.5)
"""Shares of the image between which the points of an outline lie: some reach out, but a keypoint's 2 (visible) is none."""
KEYPOINTS = "if the lines hold a box and keypoints, say so in data.yaml, as in kpt_shape: [17, 3]"


class Lines:
    """Reads lines, and counts those that could mean something else."""

    def __init__(self, names: Sequence[str], keypoints: bool) -> None:
        self._names, self._keypoints = names, keypoints
        self._boxes = Reading("centre")
        self._outlines = self._doubtful = 0

    def add(self, line: str, collector: Collector, where: str, size: tuple[int, int]) -> None:
        """Add the object of a line.

        Raises:
            DataError: If it holds none.
        """
        fields = line.split()
        label = whole(fields[0], f"the class in {where}")
        values = [number(field, where) for field in fields[1:]]
        if not 0 <= label < len(self._names):
            allowed, fix = f"0 to {len(self._names) - 1}", "count the classes from 0, and name each of them"
            raise DataError(f"{where} has a class without a name", seen=label, allowed=allowed, fix=fix)
        if len(fields) < BOX or (len(fields) > BOX and not self._keypoints and len(fields) % 2 == 0):
            allowed, more = "class x y width height, or class and pairs x y", KEYPOINTS if len(fields) > BOX else None
            raise DataError(f"{where} is no object", seen=shown(line), allowed=allowed, fix=more)
        if any(not -1 <= value <= 2 for value in values[: BOX - 1]):
            raise DataError(f"{where} isn't in shares of the image", seen=shown(line), allowed="numbers from 0 to 1")
        if len(fields) == BOX or self._keypoints:
            self._box(self._names[label], values, collector, size)
            return
        if not INSIDE[0] <= min(values) <= max(values) <= INSIDE[1]:
            allowed = "an outline: pairs x y, from 0 to 1"
            raise DataError(f"{where} isn't in shares of the image", seen=shown(line), allowed=allowed, fix=KEYPOINTS)
        self._outlines += 1
        self._doubtful += _has_points_in_box(values)
        collector.shape(self._names[label], [[value * size[at % 2] for at, value in enumerate(values)]])

    def _box(self, name: str, values: Sequence[float], collector: Collector, size: tuple[int, int]) -> None:
        (x, y, wide, high), (width, height) = values[: BOX - 1], size
        collector.box(name, self._boxes.corners((x * width, y * height, wide * width, high * height), size))
        if len(values) >= BOX:
            collector.drop("sets of keypoints")

    def check(self, what: object) -> None:
        """Refuse boxes that are no centres and sizes.

        Raises:
            DataError: With what they seem to be.
        """
        self._boxes.check(what)

    def notes(self) -> tuple[str, ...]:
        """Say what all outlines could be instead."""
        if not self._outlines or self._doubtful < self._outlines:
            return ()
        return (f"all {self._outlines} outlines could as well be a box and points inside it; {KEYPOINTS}",)


def _has_points_in_box(values: Sequence[float]) -> bool:
    """Tell whether an outline's numbers could be the centre and size of a box, and then points inside it."""
    x, y, wide, high = values[: BOX - 1]
    points = zip(values[BOX - 1 :: 2], values[BOX::2], strict=True)
    return all(abs(across - x) <= wide / 2 and abs(down - y) <= high / 2 for across, down in points)
