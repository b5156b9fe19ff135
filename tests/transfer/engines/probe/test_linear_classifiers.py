"""Classifiers trained side by side: each is the one it would be alone."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.core.errors import ConfigError, TrainingError
from transfer import tasks
from transfer.engines.probe.classifiers import Classifiers, top
from transfer.tasks.linear import HeadSettings

RATES = (0.1, 1.0, 3.0)
INPUTS, CLASSES, PER_EPOCH = 6, 4, 5


def settings(**changes: object) -> HeadSettings:
    made = tasks.get("linear-cached").settings.replace({"lr": 0.5, "epochs": 5, "weight_decay": 0.01, **changes})
    assert isinstance(made, HeadSettings)
    return made


def batches() -> list[tuple[Tensor, Tensor]]:
    rng = torch.Generator().manual_seed(1)
    return [
        (torch.randn(8, INPUTS, generator=rng) * 3, torch.randint(CLASSES, (8,), generator=rng)) for _ in range(5 * PER_EPOCH)
    ]


def trained(chosen: HeadSettings) -> tuple[Classifiers, list[list[float]]]:
    heads = Classifiers(INPUTS, CLASSES, chosen, seed=7)
    optimizer = heads.optimizer()
    return heads, [step(heads, optimizer, *batch, step=number) for number, batch in enumerate(batches())]


def step(heads: Classifiers, optimizer: torch.optim.SGD, features: Tensor, labels: Tensor, *, step: int = 0) -> list[float]:
    heads.step(optimizer, features, labels, step // PER_EPOCH)
    return heads.settle()


@pytest.mark.parametrize("feature_norm", [False, True])
def test_each_classifier_of_a_search_equals_the_one_trained_alone_to_the_last_bit(feature_norm: bool) -> None:
    together, losses = trained(settings(lr_search=RATES, feature_norm=feature_norm))
    for which, factor in enumerate(RATES):
        alone, its_losses = trained(settings(lr=0.5 * factor, feature_norm=feature_norm))
        assert [row[which] for row in losses] == [row[0] for row in its_losses]
        features, _ = batches()[0]
        assert torch.equal(together.scores(which, features), alone.scores(0, features))


def test_a_classifier_is_trained_as_published() -> None:
    """Against the definition in plain loops: SGD with momentum and weight decay, a tenth of the rate after 60 % and 80 %."""
    heads, losses = trained(settings(momentum=0.9))
    weight = torch.empty(CLASSES, INPUTS).normal_(0, 0.01, generator=torch.Generator().manual_seed(7))
    bias, speeds = torch.zeros(CLASSES), [torch.zeros(CLASSES, INPUTS), torch.zeros(CLASSES)]
    for step, (features, labels) in enumerate(batches()):
        rate = 0.5 * (1.0, 1.0, 1.0, 0.1, 0.01)[step // PER_EPOCH]
        scores = features @ weight.T + bias
        assert losses[step][0] == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-4)
        error = (scores.softmax(dim=1) - F.one_hot(labels, CLASSES)) / len(labels)
        for place, (value, gradient) in enumerate(((weight, error.T @ features), (bias, error.sum(dim=0)))):
            speeds[place] = 0.9 * speeds[place] + gradient + 0.01 * value
            value -= rate * speeds[place]
    features, _ = batches()[0]
    assert torch.allclose(heads.scores(0, features), features @ weight.T + bias, rtol=1e-3, atol=1e-4)


def test_a_learning_rate_that_diverges_stops_a_run_only_where_none_is_left() -> None:
    huge = batches()[0][0] * 1e30
    for lr_search, stops in (((1.0,), True), ((1e-38, 1.0), False)):
        heads = Classifiers(INPUTS, CLASSES, settings(lr=1e20, lr_search=lr_search, weight_decay=0.0), seed=7)
        optimizer = heads.optimizer()
        labels = batches()[0][1]
        if stops:
            with pytest.raises(TrainingError, match="not finite"):
                [step(heads, optimizer, huge, labels) for _ in range(3)]
        else:
            assert [len(step(heads, optimizer, batches()[0][0], labels)) for _ in range(3)] == [2, 2, 2]


def test_a_row_whose_scores_are_not_finite_is_a_miss() -> None:
    scores = torch.tensor([[2.0, 1.0, 0.0], [float("nan"), 1.0, 0.0], [0.0, 3.0, 1.0], [0.0, 1.0, float("inf")]])
    assert top(scores, torch.tensor([0, 0, 1, 2]), 1) == 50
    assert top(scores, torch.tensor([0, 0, 1, 2]), 3) is None


def test_the_learning_rates_of_a_search_rise_and_are_multiples_of_the_protocols_own() -> None:
    searched = tasks.get("linear").settings.with_lr_search(True)
    assert searched.rates[0] == pytest.approx(0.03)
    assert searched.rates[-1] == pytest.approx(300)
    assert 30.0 in searched.rates
    assert searched.differences(tasks.get("linear").settings).keys() == {"lr_search"}
    assert tasks.get("linear").settings.replace({"lr_search": True}) == searched
    assert searched.replace({"lr_search": False}) == tasks.get("linear").settings
    for wrong in ([1.0, 0.1], [1.0, 1.0], [0.0, 1.0]):
        with pytest.raises(ConfigError):
            tasks.get("linear").settings.replace({"lr_search": wrong})
