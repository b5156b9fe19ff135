"""Every metric of a record, declared once: its range, unit, direction, digits, and where it is shown.

Adding a metric is one line of `METRICS`; the record's check, the leaderboard, the reports and the summary of a run read
everything from there. This module imports nothing of the project, so that the record's schema can ask it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


class Interest(NamedTuple):
    """The smallest difference that is of interest: two rows that differ by less are called equivalent."""

    size: float
    reason: str


class Scale(NamedTuple):
    """What the numbers of a metric are: their unit, the range they can lie in, and which differences are of interest."""

    unit: str
    """In a word; empty for a number that has none."""
    low: float
    high: float
    interest: Interest | None = None


HALF_A_POINT = Interest(
    0.5, "half a point: the smallest gaps that the papers of results/published call progress are 0.3 to 1.0 points"
)
OF_A_COSINE = Interest(0.02, "a hundredth of a cosine's range")
PERCENT = Scale("%", 0.0, 100.0, HALF_A_POINT)
COSINE = Scale("cosine", -1.0, 1.0, OF_A_COSINE)
NUMBER = Scale("", -math.inf, math.inf)
"""Any finite number, whatever its unit."""
ROUNDING = 1e-6
"""By how much a number may lie outside its range and still count as the end of it."""


@dataclass(frozen=True)
class Metric:
    """One metric: what its numbers are, how to read them, and where they are shown."""

    scale: Scale = PERCENT
    """Unit and range."""
    meaning: str = ""
    """What the name alone doesn't say: unit and direction. Empty for percentages whose name is common usage."""
    direction: str = ""
    """The direction in a word, where the name alone would mislead."""
    better: Literal["higher", "lower"] | None = "higher"
    """Which end is the better one. None: the number explains a result and is none itself, so nothing is best."""
    digits: int = 1
    """Decimals shown."""
    shown: bool = True
    """Whether it is a column of the leaderboard; every metric is in the CSV."""
    headline: bool = False
    """Whether it is a column of the terminal's table too."""
    more: str = ""
    """What a higher value means, for the measures of the representation that are asked whether they predict transfer."""
    restates: str = ""
    """The metric that it is a rescaling of, so that it is no evidence of its own."""
    swept: bool = False
    """Whether it is followed over probing augmentations, as a table and as curves over the strength of one."""
    blends_only: bool = False
    """Whether only probes that blend images have it, and its table over probes is shown from one probe on."""
    smallest: Interest | None = None
    """The smallest difference of interest, where it isn't that of the scale."""
    by_part: bool = False
    """Whether `bench measure --splits` logs what each part of the images gives for it."""

    @property
    def sign(self) -> int:
        """Return +1 or −1, times which the best value is the largest; 0 where nothing is best."""
        return {"higher": 1, "lower": -1, None: 0}[self.better]

    @property
    def interest(self) -> Interest | None:
        """Return the smallest difference of interest; None where nobody can say one, so that nothing is called equivalent."""
        return self.smallest or self.scale.interest

    @property
    def axis(self) -> str:
        """Say in brackets behind the name what an axis or a column counts: `cosine, ↑ invariant`, `%`, or the meaning."""
        if self.direction:
            return f"{self.scale.unit}, {self.direction}"
        return self.scale.unit if self.scale is PERCENT else self.meaning

    def allows(self, value: float) -> bool:
        """Whether a finite value lies in the range."""
        return self.scale.low - ROUNDING <= value <= self.scale.high + ROUNDING


_SCORE = Metric()
_HEADLINE = Metric(headline=True)


def _beside(scale: Scale, meaning: str = "", digits: int = 3, **more: Any) -> Metric:
    """Describe a number that is shown beside Linv and Ldiv in the table of the representation, and is no score."""
    return Metric(scale, meaning, better=None, digits=digits, shown=False, **more)


METRICS: dict[str, Metric] = {
    "top1": _HEADLINE,
    "top5": _SCORE,
    "knn": _HEADLINE,
    "AP": _SCORE,
    "AP50": _HEADLINE,
    "AP75": _SCORE,
    "AP_box": _SCORE,
    "AP50_box": _HEADLINE,
    "AP75_box": _SCORE,
    "AP_seg": _SCORE,
    "AP50_seg": _HEADLINE,
    "AP75_seg": _SCORE,
    "mIoU": _HEADLINE,
    "mAcc": Metric(shown=False),
    "aAcc": Metric(shown=False),
    # NOTE: Linv and Ldiv have a direction, not a better end: a backbone that maps every image to one point has Linv 1.
    "Linv": Metric(
        COSINE,
        "cosine to the original, higher is more invariant",
        "↑ invariant",
        better=None,
        digits=3,
        headline=True,
        more="more invariant",
        swept=True,
        by_part=True,
    ),
    "Ldiv": Metric(
        COSINE,
        "cosine between views, lower is more diverse",
        "↓ diverse",
        better=None,
        digits=3,
        headline=True,
        more="less diverse",
        swept=True,
        by_part=True,
    ),
    "Linv_primary": Metric(
        COSINE, "of blends, cosine to the image itself alone", better=None, digits=3, shown=False, blends_only=True
    ),
    "diversity": _beside(NUMBER, "1 − Ldiv, higher is more diverse", restates="Ldiv", smallest=OF_A_COSINE),
    "diversity_cap": _beside(NUMBER, "the most diversity that Linv allows"),
    "anisotropy": _beside(COSINE, "mean cosine between different images, which inflates both"),
    "alignment": _beside(
        NUMBER,
        "squared distance between views, lower is closer",
        restates="Ldiv",
        by_part=True,
        smallest=Interest(2 * OF_A_COSINE.size, "2 − 2 Ldiv: twice that of Ldiv"),
    ),
    "uniformity": _beside(NUMBER, "over different images, lower is more uniform", by_part=True),
    "effective_rank": _beside(NUMBER, "RankMe, directions used", digits=1, by_part=True),
    "measured_images": _beside(NUMBER, "N of the spectrum", digits=0),
    "feature_dimensions": _beside(NUMBER, "D of the features", digits=0),
    "alpha_ReQ": _beside(NUMBER, "decay of the spectrum at ranks 4 to 100, steeper is fewer directions", digits=2),
    "NESum": _beside(NUMBER, "variance over its largest direction, higher is more even", digits=1),
    "participation_ratio": _beside(NUMBER, "directions that share the variance", digits=1),
    "LiDAR": _beside(NUMBER, "directions that tell images apart beyond their views, of 128; δ 1e-4", digits=1),
    "tree_dimension": _beside(NUMBER, "intrinsic dimension by the spanning tree", digits=1),
    "whitened_distance": _beside(NUMBER, "squared distance between views after whitening 128 directions, lower is closer"),
    "CKA": _beside(COSINE, "unbiased linear CKA to the reference, 1 is equal"),
    "knn_among": Metric(meaning="%, nearest neighbours among the measured images", shown=False, by_part=True),
    "projector_Linv": _beside(COSINE, "behind the projector, higher is more invariant"),
    "projector_Ldiv": _beside(COSINE, "behind the projector, lower is more diverse"),
    "loss": _beside(NUMBER),
}
"""Metric → what it is, in the order of the columns. A metric that isn't here is a percentage, shown after these."""


def metric(name: str) -> Metric:
    """Look up a metric; a name that isn't in the table is taken for a percentage of which higher is better."""
    return METRICS.get(name, _SCORE)


def position(name: str) -> tuple[int, str]:
    """Return the sort key of the columns under one protocol: the table's order, other names after it by the alphabet."""
    order = list(METRICS)
    return (order.index(name) if name in METRICS else len(order), name)


def smallest_interest(name: str, chosen: Mapping[str, float]) -> float | None:
    """Return a metric's smallest difference of interest: the chosen one, or else the declared one; None where there is none."""
    declared = metric(name).interest
    return chosen.get(name, declared.size if declared else None)
