"""Read the smallest differences of interest that the command line gives."""

import math
from collections.abc import Sequence

from pretrain.core.errors import ConfigError
from transfer.metrics import METRICS


def interests(texts: Sequence[str]) -> dict[str, float]:
    """Read `METRIC=SIZE` texts: metric → smallest difference of interest, in the metric's unit.

    Raises:
        ConfigError: If a text is none, names no metric, or its size is no finite number above zero.
    """
    found = {}
    for text in texts:
        name, _, size = text.partition("=")
        value = _size(size)
        if value is None:
            raise ConfigError("no smallest difference of interest", seen=text, allowed="METRIC=SIZE, a size above zero")
        if name not in METRICS:
            raise ConfigError.unknown("metric", name, METRICS)
        found[name] = value
    return found


def _size(text: str) -> float | None:
    """Read a finite number above zero; None where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None
