"""Measures of a spectrum against their definitions, and on spectra that are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from transfer.representation import spectrum

RNG = torch.Generator().manual_seed(0)
FEATURES = torch.randn(300, 120, generator=RNG)


def with_spectrum(variance: Tensor, n: int = 200) -> Tensor:
    """Make features (n, D) whose covariance has exactly the eigenvalues `variance` (D,), up to a common factor."""
    noise = torch.randn(n, len(variance), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows = torch.linalg.svd(noise - noise.mean(dim=0), full_matrices=False).U  # orthonormal columns of mean 0
    turn = torch.linalg.qr(torch.randn(len(variance), len(variance), generator=RNG, dtype=torch.float64)).Q
    return rows * variance.sqrt() @ turn


def test_effective_rank_counts_equal_directions_and_is_its_definition() -> None:
    assert spectrum.measures(torch.eye(6))["effective_rank"] == pytest.approx(6, rel=1e-4)
    assert spectrum.measures(torch.ones(6, 4))["effective_rank"] == pytest.approx(1, rel=1e-4)
    values = torch.linalg.svdvals(FEATURES.double())
    share = [float(v / values.sum()) + 1e-7 for v in values]
    expected = math.exp(-sum(p * math.log(p) for p in share))
    assert spectrum.measures(FEATURES)["effective_rank"] == pytest.approx(expected, rel=1e-6)


def test_the_others_are_their_definitions_on_the_covariance() -> None:
    found = spectrum.measures(FEATURES)
    values = sorted(np.linalg.eigvalsh(np.cov(FEATURES.double().numpy().T)).tolist(), reverse=True)
    assert found["NESum"] == pytest.approx(sum(values) / values[0])
    assert found["participation_ratio"] == pytest.approx(sum(values) ** 2 / sum(v * v for v in values))
    # The authors' code in numpy: minus the slope over log rank, ranks 4 to 100, weights 1 / rank.
    ranks = np.arange(4, 101)
    slope = np.polyfit(np.log(ranks), np.log(values[3:100]), 1, w=np.sqrt(1 / ranks))[0]
    assert found["alpha_ReQ"] == pytest.approx(-slope)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_a_power_law_has_its_own_exponent(alpha: float) -> None:
    features = with_spectrum(torch.arange(1, 121, dtype=torch.float64) ** -alpha)
    assert spectrum.measures(features)["alpha_ReQ"] == pytest.approx(alpha, abs=1e-6)


@pytest.mark.parametrize("rank", [3, 40])
def test_equal_directions_are_counted_wherever_the_mean_lies(rank: int) -> None:
    variance = torch.zeros(120, dtype=torch.float64)
    variance[:rank] = 1
    found = spectrum.measures(with_spectrum(variance) + 7)
    assert found["NESum"] == pytest.approx(rank)
    assert found["participation_ratio"] == pytest.approx(rank)


def test_isotropic_features_use_all_directions() -> None:
    found = spectrum.measures(torch.randn(20_000, 16, generator=RNG))
    for name in ("effective_rank", "NESum", "participation_ratio"):
        assert found[name] == pytest.approx(16, rel=0.05)


def test_a_common_scale_changes_nothing() -> None:
    for name, value in spectrum.measures(FEATURES * 1000).items():
        assert value == pytest.approx(spectrum.measures(FEATURES)[name], rel=1e-5)


def test_what_features_lack_is_absent() -> None:
    assert spectrum.measures(FEATURES[:, :99])["alpha_ReQ"] is None
    assert spectrum.measures(FEATURES[:100])["alpha_ReQ"] is None
    same = spectrum.measures(torch.full((200, 120), 0.3))
    assert [same[name] for name in ("alpha_ReQ", "NESum", "participation_ratio")] == [None] * 3
    assert set(spectrum.measures(torch.zeros(200, 120)).values()) == {None}
