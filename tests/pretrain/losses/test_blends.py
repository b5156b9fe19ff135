"""Losses of blends, and cosines, against their definitions."""

import pytest
import torch

from pretrain.augment.mixed import Mixed
from pretrain.losses.blends import over_sources
from pretrain.losses.cosine import negative_cosine

IMAGES = torch.zeros(2, 3, 4, 4)


def test_the_loss_of_a_blend_is_the_weighted_sum_over_its_sources() -> None:
    view = Mixed(IMAGES, torch.tensor([[0, 1], [1, 0]]), torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    loss = over_sources(view, lambda source: torch.tensor([1.0, 3.0])[source])
    assert loss.tolist() == pytest.approx([0.25 * 1 + 0.75 * 3, 0.5 * 3 + 0.5 * 1])


def test_the_loss_of_an_image_that_is_no_blend_is_its_own() -> None:
    assert over_sources(Mixed(IMAGES), lambda source: source * 2.0).tolist() == [0.0, 2.0]


def test_a_target_of_a_cosine_gets_no_gradient() -> None:
    predictions, targets = (torch.randn(3, 4, generator=torch.Generator().manual_seed(s), requires_grad=True) for s in (0, 1))
    loss = negative_cosine(predictions, targets)
    rows = zip(predictions.detach(), targets.detach(), strict=True)
    expected = [-float(p @ t / (p.norm() * t.norm())) for p, t in rows]
    assert loss.tolist() == pytest.approx(expected)
    loss.sum().backward()
    assert predictions.grad is not None
    assert targets.grad is None
