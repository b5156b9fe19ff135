"""Which view predicts which: pairs (online view, target view) of the views of an image, counted from 0."""

Pairs = tuple[tuple[int, int], ...]

ONE_WAY: Pairs = ((0, 1),)
"""The first view against the second (MoCo v1 and v2)."""
SWAPPED: Pairs = ((0, 1), (1, 0))
"""Both directions (BYOL, SimSiam, MoCo v3)."""


def crossed(views: int, targets: int) -> Pairs:
    """Pair every view with each of the first `targets` views but itself (SwAV, DINO)."""
    return tuple((view, target) for target in range(targets) for view in range(views) if view != target)
