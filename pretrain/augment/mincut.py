"""The cheapest labelling of a grid whose neighbours want to be alike, by one minimum cut.

Each place of a grid has one of three labels, 0, 1 or 2. The energy of a labelling is the sum of every place's cost for its
label and, over all pairs of neighbours, of their weight times the square of the difference of their labels. It is convex in
that difference, so that a cut of a graph with two nodes for each place is a minimum (Ishikawa 2003, IEEE TPAMI 25, 1333).

Shapes: B places a side.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

Ints = NDArray[np.int64]
LIMIT = 2**31 - 1
"""The sum of all capacities at most: SciPy's flows are of 32 bits."""


class _Edges(NamedTuple):
    """Where the edges of the graph of a grid begin and end; the same for all grids of one size."""

    tails: Ints
    heads: Ints


def cheapest(costs: Ints, down: Ints, right: Ints) -> Ints:
    """Label a grid with the least energy; of several such labellings, with the lowest labels.

    Args:
        costs: (B, B, 3) of each label at each place, not negative.
        down: (B − 1, B) weights of a place and the one below it, not negative.
        right: (B, B − 1) weights of a place and the one right of it.

    Returns:
        (B, B) labels.
    """
    size = costs.shape[0]
    places = size * size
    weights = np.concatenate([down.ravel(), right.ravel()])
    costs = costs - costs.min(axis=2, keepdims=True)  # what a place pays anyway
    zero, one, two = costs.reshape(places, 3).T
    finite = int(costs.sum() + 8 * weights.sum())
    forbidden = np.full(places, finite + 1)
    capacities = np.concatenate([zero, one, two, forbidden, *[weights, weights, 2 * weights] * 2])
    if finite + 1 > LIMIT // 2:
        raise OverflowError(f"costs and weights add up to {finite}, more than {LIMIT // 2}")
    edges, (source, sink) = _edges(size), (2 * places, 2 * places + 1)
    graph = csr_matrix((capacities.astype(np.int32), (edges.tails, edges.heads)), shape=(sink + 1, sink + 1))
    left = graph - maximum_flow(graph, source, sink).flow
    left.eliminate_zeros()
    reached = np.zeros(sink + 1, dtype=np.int64)
    reached[breadth_first_order(left, source, return_predecessors=False)] = 1
    labels: Ints = (reached[:places] + reached[places : 2 * places]).reshape(size, size)
    return labels


@cache
def _edges(size: int) -> _Edges:
    """Make the graph. Node p is on the source's side where place p has label 1 or 2, node p + B² where it has label 2."""
    places = size * size
    first = np.arange(places)
    second, source, sink = first + places, np.full(places, 2 * places), np.full(places, 2 * places + 1)
    grid = first.reshape(size, size)
    here = np.concatenate([grid[:-1].ravel(), grid[:, :-1].ravel()])
    there = np.concatenate([grid[1:].ravel(), grid[:, 1:].ravel()])
    pairs = [(here, there), (here + places, there + places), (here + places, there)]
    pairs += [(there, here), (there + places, here + places), (there + places, here)]
    edges = [(source, first), (first, second), (second, sink), (second, first), *pairs]
    return _Edges(*(np.concatenate(ends) for ends in zip(*edges, strict=True)))
