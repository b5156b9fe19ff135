"""How each metric is shown: its title, direction, digits, and whether it belongs to the tables people read."""

from dataclasses import dataclass
from typing import Literal

from transfer.record import COSINES, UNBOUNDED


@dataclass(frozen=True)
class Metric:
    """How one metric is shown."""

    meaning: str = ""
    """What the name alone doesn't say: unit and direction. Empty for percentages whose name is common usage."""
    direction: str = ""
    """The direction in a word, where the name alone would mislead."""
    better: Literal["higher", "lower"] | None = "higher"
    """Which end is the better one. None: the number explains a result and is none itself, so nothing is best."""
    digits: int = 1
    """Decimals shown."""
    shown: bool = True
    """Whether it stands in the tables people read; every metric is in the CSV."""
    headline: bool = False
    """Whether it stands in the terminal's table."""

    @property
    def sign(self) -> int:
        """+1 or −1, times which the best is the largest; 0 where nothing is best."""
        return {"higher": 1, "lower": -1, None: 0}[self.better]


_SCORE = Metric()
_HEADLINE = Metric(headline=True)
_COMPANION = Metric(better=None, digits=3, shown=False)


def _beside(meaning: str, digits: int = 3) -> Metric:
    """What stands beside Linv and Ldiv, in the table of the representation."""
    return Metric(meaning, better=None, digits=digits, shown=False)


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
    "Linv": Metric("cosine to the original, higher is more invariant", "↑ invariant", None, 3, headline=True),
    "Ldiv": Metric("cosine between views, lower is more diverse", "↓ diverse", None, 3, headline=True),
    "Linv_primary": _beside("of blends, cosine to the image itself alone"),
    "diversity": _beside("1 − Ldiv, higher is more diverse"),
    "diversity_cap": _beside("the most diversity that Linv allows"),
    "anisotropy": _beside("mean cosine between different images, which inflates both"),
    "alignment": _beside("squared distance between views, lower is closer"),
    "uniformity": _beside("over different images, lower is more uniform"),
    "effective_rank": _beside("RankMe, directions used", digits=1),
    "knn_among": Metric("%, nearest neighbours among the measured images", shown=False),
    "projector_Linv": _beside("behind the projector, higher is more invariant"),
    "projector_Ldiv": _beside("behind the projector, lower is more diverse"),
}
"""Metric → how it is shown, in the order of the columns. A metric that isn't here is shown after these."""


def metric(name: str) -> Metric:
    """How to show a metric; a percentage that is not in the table is taken for a score, higher is better."""
    if name in METRICS:
        return METRICS[name]
    return _COMPANION if name in COSINES | UNBOUNDED else _SCORE


def position(name: str) -> tuple[int, str]:
    """Sort key of the columns under one protocol."""
    names = list(METRICS)
    return (names.index(name) if name in METRICS else len(names), name)
