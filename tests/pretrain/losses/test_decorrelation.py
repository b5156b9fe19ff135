"""The losses of Barlow Twins and VICReg against their definitions in plain loops."""

import math

import pytest
import torch

from pretrain.losses.decorrelation import covariance_term, cross_correlation, redundancy, variance_term

RNG = torch.Generator().manual_seed(0)
FIRST, SECOND = torch.randn(2, 6, 3, generator=RNG)


def test_the_correlation_is_over_the_batch_and_compared_with_the_identity() -> None:
    c = [[sum(float(FIRST[n, i] * SECOND[n, j]) for n in range(6)) / 6 for j in range(3)] for i in range(3)]
    for exact in (True, False):
        found = cross_correlation(FIRST, SECOND, exact=exact)
        torch.testing.assert_close(found, torch.tensor(c))
    diagonal, rest = redundancy(found)
    assert float(diagonal) == pytest.approx(sum((c[i][i] - 1) ** 2 for i in range(3)), rel=1e-5)
    assert float(rest) == pytest.approx(sum(c[i][j] ** 2 for i in range(3) for j in range(3) if i != j), rel=1e-5)


@pytest.mark.parametrize(("exact", "fraction"), [(True, 1.0), (False, 0.5)])
def test_each_of_two_processes_has_its_part_of_the_exact_gradient(
    monkeypatch: pytest.MonkeyPatch, exact: bool, fraction: float
) -> None:
    whole = FIRST.clone().requires_grad_()
    sum(redundancy(cross_correlation(whole, SECOND, exact=True))).backward()
    theirs = FIRST[3:].T @ SECOND[3:] / 6
    monkeypatch.setattr("pretrain.core.distributed.world", lambda: 2)
    monkeypatch.setattr("pretrain.core.distributed.total", lambda own: own.detach() + theirs)
    own = FIRST[:3].clone().requires_grad_()
    correlation = cross_correlation(own, SECOND[:3], exact=exact)
    torch.testing.assert_close(correlation.detach(), FIRST.T @ SECOND / 6)
    sum(redundancy(correlation)).backward()
    assert own.grad is not None
    assert whole.grad is not None
    torch.testing.assert_close(own.grad / 2, whole.grad[:3] * fraction)  # averaged over the processes


def test_features_that_vary_too_little_cost_what_they_lack() -> None:
    data = FIRST * torch.tensor([0.1, 0.5, 3.0])
    lacking = []
    for j in range(3):
        mean = sum(float(x) for x in data[:, j]) / 6
        variance = sum((float(x) - mean) ** 2 for x in data[:, j]) / 5
        lacking.append(max(0.0, 1 - math.sqrt(variance + 1e-4)))
    assert float(variance_term(data)) == pytest.approx(sum(lacking) / 3, rel=1e-5)
    assert min(lacking) == 0


def test_the_gradient_of_collapsed_features_is_finite() -> None:
    same = torch.ones(4, 3, requires_grad=True)
    variance_term(same).backward()
    assert same.grad is not None
    assert bool(same.grad.isfinite().all())


def test_the_covariances_of_different_features_count_by_their_squares() -> None:
    mean = [sum(float(x) for x in FIRST[:, j]) / 6 for j in range(3)]
    total = 0.0
    for i in range(3):
        for j in range(3):
            covariance = sum((float(FIRST[n, i]) - mean[i]) * (float(FIRST[n, j]) - mean[j]) for n in range(6)) / 5
            total += covariance**2 * (i != j)
    assert float(covariance_term(FIRST)) == pytest.approx(total / 3, rel=1e-5)
