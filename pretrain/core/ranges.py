"""Types of numbers in settings: a value out of range is refused, with its field's name, when the settings are read."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

Probability = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
"""What a moving average keeps of itself at each step."""
Fraction = Annotated[float, Field(gt=0, le=1)]
"""A fraction above 0, up to the whole."""
Positive = Annotated[float, Field(gt=0)]


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the lower bound first, then the upper one")
    return pair


FractionRange = Annotated[tuple[Fraction, Fraction], AfterValidator(_rising)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]
Count = Annotated[int, Field(ge=1)]
LARGEST = 8192
"""Pixels of the longest side that settings take."""
Side = Annotated[int, Field(ge=16, le=LARGEST)]
"""Side of images in pixels: networks see nothing in smaller ones, and larger ones fit no memory."""
Workers = Annotated[int, Field(ge=0)] | Literal["auto"]
"""Loader processes, see `pretrain.core.workers.count`."""
CountRange = Annotated[tuple[Count, Count], AfterValidator(_rising)]
