"""LiDAR and view distance after whitening: definitions in loops, and extremes whose value is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from transfer.representation import whitening

N, M, K = 400, 6, 12
RNG = torch.Generator().manual_seed(0)


def drawn(apart: float, n: int = N, k: int = K) -> Tensor:
    """Views (n, M, k) that differ by `apart` about images that differ by 1."""
    images = torch.randn(n, 1, k, generator=RNG, dtype=torch.float64)
    return images + apart * torch.randn(n, M, k, generator=RNG, dtype=torch.float64)


def test_lidar_is_its_definition() -> None:
    views = drawn(0.5, n=20, k=4).numpy()
    means = [sum(views[i]) / M for i in range(20)]
    overall = sum(means) / 20
    between, within = np.zeros((4, 4)), 1e-4 * np.eye(4)
    for i in range(20):
        between += np.outer(means[i] - overall, means[i] - overall) / 19
        for m in range(M):
            within += np.outer(views[i, m] - means[i], views[i, m] - means[i]) / (20 * (M - 1))
    values = np.linalg.eigvals(np.linalg.inv(within) @ between).real  # those of the symmetric product
    shares = values / values.sum() + 1e-8
    assert whitening.lidar(torch.from_numpy(views)) == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-6)


def test_lidar_of_isotropic_images_is_their_dimension_and_of_few_directions_those() -> None:
    assert whitening.lidar(drawn(0.5, n=4000)) == pytest.approx(K, rel=0.02)
    views = drawn(0.5, n=4000)
    views[..., 3:] = 0.5 * torch.randn(4000, M, K - 3, generator=RNG, dtype=torch.float64)  # views alone, no image
    assert 3 < whitening.lidar(views) < 5.5  # views' noise in the means: 1 / M of their variance


def test_lidar_ignores_how_views_are_stretched_and_turned() -> None:
    views, stretch = drawn(0.5), torch.randn(K, K, generator=RNG, dtype=torch.float64)
    assert whitening.lidar(views @ stretch, ridge=0.0) == pytest.approx(whitening.lidar(views, ridge=0.0), rel=1e-6)


def test_lidar_of_equal_views_is_what_the_ridge_makes_of_the_images_alone() -> None:
    views = drawn(0.0)
    shares = torch.linalg.eigvalsh(torch.cov(views[:, 0].T))
    shares = shares / shares.sum()
    assert whitening.lidar(views) == pytest.approx(math.exp(-float((shares * shares.log()).sum())), rel=1e-5)


def test_lidar_of_views_that_know_nothing_of_their_image_is_high_all_the_same() -> None:
    noise = torch.randn(N, M, K, generator=RNG, dtype=torch.float64)
    assert whitening.lidar(noise) > 0.9 * K


def test_view_distance_is_its_definition() -> None:
    views = drawn(0.5, n=20, k=4)
    views = views - views.flatten(0, 1).mean(dim=0)
    values, vectors = np.linalg.eigh(np.cov(views.flatten(0, 1).numpy().T, bias=True) + 1e-4 * np.eye(4))
    white = views.numpy() @ (vectors / np.sqrt(values) @ vectors.T)
    white /= np.linalg.norm(white, axis=2, keepdims=True)
    for i in range(20):
        pairs = [((white[i, a] - white[i, b]) ** 2).sum() for a in range(M) for b in range(M) if a != b]
        assert float(whitening.view_distance(views)[i]) == pytest.approx(sum(pairs) / len(pairs), rel=1e-6)


def test_view_distance_is_0_for_equal_views_2_for_independent_ones_and_ignores_anisotropy() -> None:
    assert float(whitening.view_distance(drawn(0.0)).abs().max()) == pytest.approx(0, abs=1e-9)
    noise = torch.randn(N, M, K, generator=RNG, dtype=torch.float64)
    assert float(whitening.view_distance(noise).mean()) == pytest.approx(2, abs=0.03)
    views = drawn(0.5)
    stretched = views * torch.logspace(0, 2, K, dtype=torch.float64)  # one direction dominates every cosine
    expected = whitening.view_distance(views, ridge=0.0).mean()
    assert float(whitening.view_distance(stretched, ridge=0.0).mean()) == pytest.approx(float(expected), rel=1e-6)


def test_reduced_views_are_of_unit_length_before_and_keep_the_leading_directions_alone() -> None:
    views = torch.randn(300, M, 200, generator=RNG)
    small = whitening.reduced(views)
    assert small is not None
    assert small.shape == (300, M, 128)
    torch.testing.assert_close(small, whitening.reduced(views * 100), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(small.mean(dim=(0, 1)), torch.zeros(128, dtype=torch.float64), rtol=0, atol=1e-6)
    unit = torch.nn.functional.normalize(views.double(), dim=-1).mean(dim=1)
    leading = torch.linalg.eigvalsh(torch.cov(unit.T))[-128:]
    torch.testing.assert_close(torch.cov(small.mean(dim=1).T).diagonal(), leading, rtol=1e-5, atol=1e-9)
    assert whitening.reduced(views[:128]) is None
    assert whitening.reduced(views[:20, :, :19]).shape == (20, M, 19)
