"""Sinkhorn's assignment and the cross-entropy of shares against their definitions in plain loops."""

import math

import pytest
import torch

from pretrain.losses.assignment import cross_entropy_of_shares, sinkhorn

RNG = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("iterations", [1, 3])
def test_the_assignment_normalises_prototypes_then_images(iterations: int) -> None:
    scores = torch.rand(5, 3, generator=RNG) * 2 - 1
    q = [[math.exp(float(scores[i, k]) / 0.05) for i in range(5)] for k in range(3)]
    for _ in range(iterations):
        q = [[value / sum(row) / 3 for value in row] for row in q]
        sums = [sum(q[k][i] for k in range(3)) for i in range(5)]
        q = [[q[k][i] / sums[i] / 5 for i in range(5)] for k in range(3)]
    found = sinkhorn(scores, epsilon=0.05, iterations=iterations)
    torch.testing.assert_close(found, 5 * torch.tensor(q).T)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(5))


def test_after_many_iterations_every_prototype_has_the_same_share() -> None:
    found = sinkhorn(torch.rand(12, 4, generator=RNG), epsilon=0.2, iterations=200)
    torch.testing.assert_close(found.sum(dim=0), torch.full((4,), 3.0))


def test_equal_scores_are_shared_equally_and_a_small_epsilon_decides() -> None:
    torch.testing.assert_close(sinkhorn(torch.zeros(4, 2), epsilon=0.05, iterations=3), torch.full((4, 2), 0.5))
    clear = torch.tensor([[1.0, 0.0], [0.9, 0.0], [0.0, 1.0], [0.0, 0.9]])
    torch.testing.assert_close(sinkhorn(clear, epsilon=0.03, iterations=3).round(), (clear > 0.5).float())


def test_no_gradient_flows_through_the_assignment() -> None:
    scores = torch.rand(4, 3, generator=RNG, requires_grad=True)
    assert not sinkhorn(scores, epsilon=0.05, iterations=3).requires_grad


def test_the_cross_entropy_is_of_soft_targets() -> None:
    scores, shares = torch.randn(4, 3, generator=RNG), torch.rand(4, 3, generator=RNG).softmax(dim=1)
    expected = []
    for i in range(4):
        exp = [math.exp(float(scores[i, k]) / 0.1) for k in range(3)]
        expected.append(-sum(float(shares[i, k]) * math.log(exp[k] / sum(exp)) for k in range(3)))
    assert cross_entropy_of_shares(scores, shares, temperature=0.1).tolist() == pytest.approx(expected, rel=1e-5)
