"""COCO's segmentations: what pycocotools decodes is taken as it is, and what it must not be given is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from transfer.datasets import cocomasks
from transfer.datasets.cocomasks import usable


def runs(pixels: np.ndarray) -> list[int]:
    """The counts by their definition: column by column, background first."""
    counts, value = [0], 0
    for pixel in pixels.ravel(order="F"):
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


@given(st.integers(1, 40), st.integers(1, 300), st.integers(0, 2**32), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_compressed_counts_are_those_of_the_definition(height: int, width: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.asfortranarray((np.repeat(rng.random((height, width)), 3, axis=1) < share).astype(np.uint8))
    text = coco_mask.encode(pixels)["counts"].decode()
    assert cocomasks._compressed(text).tolist() == runs(pixels)
    encoding = {"size": list(pixels.shape), "counts": text}
    assert usable(encoding) == encoding
    assert np.array_equal(coco_mask.decode(usable({"size": list(pixels.shape), "counts": runs(pixels)})), pixels)


WHOLE = coco_mask.encode(np.ones((4, 6), dtype=np.uint8, order="F"))["counts"].decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": [4, 6]},
        {"size": [4, 7], "counts": WHOLE},
        {"size": [6, 3], "counts": WHOLE},
        {"size": [4.0, 6], "counts": WHOLE},
        {"size": [True, 24], "counts": WHOLE},
        {"size": [-4, -6], "counts": WHOLE},
        {"size": [2**40, 6], "counts": WHOLE},
        {"size": "46", "counts": WHOLE},
        {"size": [4, 6], "counts": ""},
        {"size": [4, 6], "counts": "\x00"},
        {"size": [4, 6], "counts": "é"},
        {"size": [4, 6], "counts": "o" * 50},
        {"size": [4, 6], "counts": WHOLE + "P"},
        {"size": [4, 6], "counts": [-1, 25]},
        {"size": [4, 6], "counts": [23]},
        {"size": [4, 6], "counts": [0, 24, 1]},
        {"size": [4, 6], "counts": [2**64 - 1, 25]},
        {"size": [4, 6], "counts": [10**30]},
        {"size": [4, 6], "counts": [12.0, 12.0]},
        {"size": [4, 6], "counts": [[24]]},
        {"size": [4, 6], "counts": []},
        {"size": [4, 6], "counts": None},
        "polygon",
        7,
        [1, 2, 3, 4, 5, 6],
        [[1, 2, 3, 4, 5, "6"]],
        [[1, 2, 3, 4, 5, None]],
        [[[1, 2], [3, 4], [5, 6]]],
        [[1, 2, [3], 4, 5, 6]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 3, 4, 5, float("inf")]],
        [[1, 2, 3, 4, 5, 1e9]],
        [[1, 2, 3, 4, 5, 10**400]],
        [[0, 0, 600, 600] * 2000],
    ],
)
def test_what_would_mislead_the_c_code_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"polygon|run-length|list|array|not"):
        usable(wrong)


def test_polygons_of_two_points_and_odd_numbers_of_coordinates_are_left_out() -> None:
    kept = usable([[1, 2, 3, 4], [], [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6.5]])
    assert isinstance(kept, tuple)
    assert [each.tolist() for each in kept] == [[1, 2, 3, 4, 5, 6.5]]
    assert usable([[1, 2, 3, 4]]) is None
    assert usable({}) is None
    assert usable([]) is None
    assert usable(None) is None


def test_a_long_outline_of_many_near_points_is_taken() -> None:
    angles = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    circle = (3000 + 2500 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).ravel().tolist()
    kept = usable([circle])
    assert isinstance(kept, tuple)
    assert kept[0].tolist() == circle
