"""Barlow Twins and VICReg against their definitions in plain loops."""

import math
from types import ModuleType

import pytest
import torch


def test_barlow_twins_wants_the_correlation_of_normalised_features_to_be_the_identity(tiny: ModuleType) -> None:
    config = tiny.config("barlowtwins", off_diagonal=0.02)
    learner, views = tiny.learner(config), tiny.images(config)
    losses = learner(tiny.batch(views))
    normal = []
    for each in (learner.online(view).detach() for view in views):
        mean, deviation = each.mean(dim=0), ((each - each.mean(dim=0)) ** 2).mean(dim=0)
        normal.append((each - mean) / (deviation + 1e-5).sqrt())
    total = 0.0
    for i in range(8):
        for j in range(8):
            c = sum(float(normal[0][n, i] * normal[1][n, j]) for n in range(8)) / 8
            total += (c - 1) ** 2 if i == j else 0.02 * c**2
    assert float(losses.total.detach()) == pytest.approx(total, rel=1e-3)
    assert set(losses.terms) <= set(losses.diagnostics)


def test_vicreg_adds_up_distance_lacking_deviation_and_covariance(tiny: ModuleType) -> None:
    config = tiny.config("vicreg", invariance=3.0, variance=5.0, covariance=0.5)
    learner, views = tiny.learner(config), tiny.images(config)
    losses = learner(tiny.batch(views))
    z = [learner.online(view).detach() for view in views]
    distance = sum(float(z[0][n, j] - z[1][n, j]) ** 2 for n in range(8) for j in range(8)) / 64
    lacking, together, least = 0.0, 0.0, math.inf
    for number, each in enumerate(z):
        centred = each - each.mean(dim=0)
        covariance = centred.T @ centred / 7
        for i in range(8):
            lacking += max(0.0, 1 - math.sqrt(float(covariance[i, i]) + 1e-4)) / 8 / 2
            together += sum(float(covariance[i, j]) ** 2 for j in range(8) if i != j) / 8
            least = min(least, math.sqrt(float(covariance[i, i]))) if number == 0 else least
    expected = {"invariance": 3 * distance, "variance": 5 * lacking, "covariance": 0.5 * together}
    assert {name: float(term.detach()) for name, term in losses.terms.items()} == pytest.approx(expected, rel=1e-3)
    assert float(losses.diagnostics["least_deviation"]) == pytest.approx(least, rel=1e-4)


def test_parts_of_a_batch_have_statistics_of_their_own_in_the_loss_too(tiny: ModuleType) -> None:
    config = tiny.config("barlowtwins", bn_splits=2)
    learner, views = tiny.learner(config), tiny.images(config)
    before = learner.normalise.num_batches_tracked.clone()
    learner(tiny.batch(views))
    assert int(learner.normalise.num_batches_tracked - before) == 4  # two views in two parts
    assert torch.isfinite(learner.normalise.running_mean).all()
