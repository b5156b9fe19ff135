"""The spanning tree against Kruskal's algorithm in a loop, and the dimension of cubes."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from transfer.representation import spanning_tree


def cube(dimensions: int, within: int, n: int) -> np.ndarray:
    """Distances of n points drawn from a cube that lies askew in a space of more dimensions."""
    rng = np.random.default_rng(dimensions)
    turn = np.linalg.qr(rng.normal(size=(within, dimensions)))[0]
    points = rng.uniform(size=(n, dimensions)) @ turn.T
    return cdist(points, points)


def test_the_length_is_that_of_the_shortest_tree() -> None:
    distances = cube(3, 5, 12)
    distances[3] = distances[7]
    distances[:, 3] = distances[:, 7]  # one image twice, at no distance
    distances[3, 3] = distances[3, 7] = distances[7, 3] = 0
    edges = sorted((distances[i, j], i, j) for i in range(12) for j in range(i))
    tree, total = list(range(12)), 0.0
    for weight, i, j in edges:
        if tree[i] != tree[j]:
            total += weight
            old = tree[j]
            tree = [tree[i] if one == old else one for one in tree]
    assert spanning_tree.length(distances, np.arange(12)) == pytest.approx(total)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_a_cube_in_many_dimensions_has_its_own(dimensions: int) -> None:
    found = spanning_tree.dimension(cube(dimensions, 40, 2048))
    assert found == pytest.approx(dimensions, rel=0.1)


def test_the_scale_changes_nothing_and_images_left_out_little() -> None:
    distances = cube(2, 9, 600)
    whole = spanning_tree.dimension(distances)
    assert spanning_tree.dimension(1000 * distances) == pytest.approx(whole)
    assert spanning_tree.dimension(distances, np.arange(600) % 10 != 0) == pytest.approx(whole, rel=0.1)


def test_few_images_and_equal_ones_have_none() -> None:
    assert spanning_tree.dimension(cube(2, 9, 63)) is None
    assert spanning_tree.dimension(np.zeros((100, 100))) is None
