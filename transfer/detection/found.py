"""What a detector finds in an image, whichever engine it runs on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Found:
    """The R detections in one image, best first."""

    boxes: NDArray[np.float32]
    """(R, 4), in pixels of the image file."""
    scores: NDArray[np.float32]
    """(R,), 0 to 1."""
    labels: NDArray[np.int64]
    """(R,), indices into the classes."""
    masks: tuple[dict[str, Any], ...] | None
    """R run-length encodings of the image's size; None where no masks are predicted."""
