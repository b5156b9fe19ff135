"""What the four numbers of a box could mean, and whether those of a whole file mean something else than what they are read as.

A box read as what it is not lies elsewhere: the centre for the upper left corner, half a box away. Files with that fault train
and are measured without complaint. But some of their boxes reach out of their images then, and none does in the right reading.
"""

from array import array
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pretrain.core.errors import DataError

Kind = Literal["corners", "size", "centre"]
Box = tuple[float, float, float, float]

CORNERS: dict[Kind, Callable[..., tuple[Any, Any, Any, Any]]] = {
    "corners": lambda x1, y1, x2, y2: (x1, y1, x2, y2),
    "size": lambda x, y, wide, high: (x, y, x + wide, y + high),
    "centre": lambda x, y, wide, high: (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2),
}
"""Meaning → the corners x1, y1, x2, y2 of a box so read, or of arrays of boxes."""
WORDS: dict[Kind, str] = {
    "corners": "two corners: x1, y1, x2, y2",
    "size": "the upper left corner, width and height",
    "centre": "the centre, width and height",
}
REWRITE: dict[tuple[Kind, Kind], str] = {
    ("corners", "size"): "write x1, y1, x2 - x1, y2 - y1",
    ("corners", "centre"): "write (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1",
    ("size", "corners"): "write x, y, x + width, y + height",
    ("size", "centre"): "add half of width and height to x and y",
    ("centre", "corners"): "write x - width / 2, y - height / 2, x + width / 2, y + height / 2",
    ("centre", "size"): "take half of width and height off x and y",
}
"""What a box is, and what it is to be → how it is written so."""
SLACK = 2
"""Pixels by which a box may reach out of its image for having been rounded, or counted from 1."""
FEW = 3
"""Boxes that reach out, from which on a file is doubted: fewer are slips, unless they are most of its boxes."""
TIMES = 5
"""Times as many boxes reach out as in another reading, where it is that one. docs/decisions.md has the rates of error."""


class Reading:
    """Reads boxes as one of these things, and finds what all of them are."""

    def __init__(self, taken: Kind) -> None:
        """Start without boxes.

        Args:
            taken: What they are read as.
        """
        self._taken = taken
        self._numbers = array("d")

    def corners(self, box: Box, size: tuple[int, int]) -> Box:
        """Read a box, four numbers in pixels, in an image of a width and height, as its corners."""
        self._numbers.extend((*box, *size))
        return CORNERS[self._taken](*box)

    def check(self, what: object) -> None:
        """Refuse all boxes so far where another reading puts them into their images, and this one doesn't.

        Args:
            what: Names the data in messages.

        Raises:
            DataError: With what they seem to be, and how to write them.
        """
        table = np.array(self._numbers, dtype=np.float64).reshape(-1, 6)
        error = misread(table[:, :4], table[:, 4:], self._taken, what)
        if error is not None:
            raise error


def misread(numbers: NDArray[np.float64], sizes: NDArray[np.float64], taken: Kind, what: object) -> DataError | None:
    """Find boxes (N, 4) in images of a width and height (N, 2) that fit in another reading than the one taken.

    Returns:
        An error that says what they seem to be, and how to write them; None where nothing speaks against the reading.
    """
    out = {kind: _reaching_out(numbers, sizes, kind) for kind in CORNERS}
    counts = {kind: int(each.sum()) for kind, each in out.items()}
    best = min(counts, key=counts.__getitem__)
    few = counts[taken] < FEW and 2 * counts[taken] <= len(numbers)
    if few or TIMES * counts[best] > counts[taken]:
        return None
    first = ", ".join(f"{number:g}" for number in numbers[int(out[taken].argmax())])
    return DataError(
        f"the boxes of {what} are {WORDS[best]}",
        seen=f"{counts[taken]} of {len(numbers)} reach out of their images as {WORDS[taken]}, and {counts[best] or 'none'} as "
        f"{WORDS[best]}; the first is [{first}]",
        allowed=f"{WORDS[taken]}, in pixels",
        fix=REWRITE[best, taken],
    )


def _reaching_out(numbers: NDArray[np.float64], sizes: NDArray[np.float64], kind: Kind) -> NDArray[np.bool_]:
    """Tell of each box whether it isn't one in its image: it reaches out, or its corners are exchanged."""
    left, top, right, bottom = CORNERS[kind](*numbers.T)
    width, height = sizes.T
    out = (left < -SLACK) | (top < -SLACK) | (right > width + SLACK) | (bottom > height + SLACK)
    return np.asarray(out | (right < left) | (bottom < top))
