"""The intrinsic dimension of features, by how the minimum spanning tree of images grows with their number.

Shapes: N images.
"""

import numpy as np
from numpy.typing import NDArray

SIZES = 5
"""Numbers of images whose trees are compared, in equal steps of the logarithm."""
SMALLEST = 1 / 8
"""The smallest of them, as a fraction of all images."""
DRAWS = 3
"""Random orders of the images over which the length of a tree is averaged."""
FEWEST = 64
"""Images below which no dimension is estimated: the smallest tree would have fewer than 8."""

Distances = NDArray[np.float64]


def dimension(distances: Distances, kept: NDArray[np.bool_] | None = None) -> float | None:
    """Estimate the dimension d from the length of the tree, which grows like n^((d − 1) / d) with n images (Steele 1988).

    It is low by some 5 to 10 % in five dimensions, and more in more, since most points lie near a border. IdEst
    (arXiv:2606.03338) relates such a dimension to transfer; the constants here are ours.

    Args:
        distances: (N, N) Euclidean distances.
        kept: (N,) images to take, all by default. Their order stays that of all, so that leaving out a few changes little else.

    Returns:
        None for too few images, or where the length doesn't grow as a dimension's would.
    """
    orders = [np.random.default_rng(draw).permutation(len(distances)) for draw in range(DRAWS)]
    if kept is not None:
        orders = [order[kept[order]] for order in orders]
    n = len(orders[0])
    if n < FEWEST:
        return None
    sizes = np.geomspace(n * SMALLEST, n, SIZES).round().astype(int)
    lengths = np.array([np.mean([length(distances, order[:size]) for order in orders]) for size in sizes])
    if lengths.min() <= 0:
        return None
    growth = float(np.polyfit(np.log(sizes), np.log(lengths), 1)[0])
    return 1 / (1 - growth) if growth < 1 else None


def length(distances: Distances, chosen: NDArray[np.int64]) -> float:
    """Compute the length of the minimum spanning tree of the images `chosen`: the merges of single linkage are its edges."""
    from scipy.cluster.hierarchy import linkage  # with all that it imports half a second, which a plan does without
    from scipy.spatial.distance import squareform

    return float(linkage(squareform(distances[np.ix_(chosen, chosen)], checks=False), "single")[:, 2].sum())
