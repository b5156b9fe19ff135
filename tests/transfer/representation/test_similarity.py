"""Unbiased linear CKA against its definition in loops, and what is known of rotations and of independent features."""

import itertools

import pytest
import torch

from transfer.representation.similarity import _hsic, cka, gram

RNG = torch.Generator().manual_seed(0)


def drawn(n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, generator=RNG, dtype=torch.float64)


def test_hsic_is_the_mean_over_all_quadruples_of_different_images() -> None:
    """Song et al. 2012, equation 4: the U-statistic that the closed form computes."""
    k, l = gram(drawn(6, 3)), gram(drawn(6, 2))  # noqa: E741
    total, number = 0.0, 0
    for i, j, q, r in itertools.permutations(range(6), 4):
        total += float(k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]))
        number += 1
    assert _hsic(k, l) == pytest.approx(total / number, rel=1e-9)


def test_rotated_scaled_and_moved_features_are_equal() -> None:
    x = drawn(50, 8)
    turn = torch.linalg.qr(drawn(8, 8)).Q
    assert cka(gram(x), gram(3 * x @ turn + 5)) == pytest.approx(1)


def test_independent_features_are_about_0_also_of_many_dimensions() -> None:
    values = [cka(gram(drawn(100, 1000)), gram(drawn(100, 1000))) for _ in range(10)]
    assert max(abs(value or 0) for value in values) < 0.1
    biased = gram(drawn(100, 1000)), gram(drawn(100, 1000))
    assert float((biased[0] * biased[1]).sum() / (biased[0].norm() * biased[1].norm())) > 0.8  # why not that one


def test_half_of_what_is_shared_lies_between() -> None:
    x, more = drawn(400, 8), drawn(400, 8)
    value = cka(gram(x), gram(torch.cat([x, more], dim=1)))
    assert value == pytest.approx(0.5**0.5, abs=0.05)  # of the second's two equal parts one is x


def test_too_few_images_and_equal_ones_have_none() -> None:
    assert cka(gram(drawn(3, 2)), gram(drawn(3, 2))) is None
    assert cka(gram(torch.ones(9, 2)), gram(drawn(9, 2))) is None
