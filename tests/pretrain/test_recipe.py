"""Learning rates, decays and parameter groups against their definitions; optimisers against plain loops."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pretrain import methods
from pretrain.core.errors import ConfigError
from pretrain.optimizers import OPTIMIZERS
from pretrain.recipe import Recipe
from pretrain.schedule import Schedule


def rates(recipe: Recipe, epochs: int = 10, per_epoch: int = 4) -> list[float]:
    """The learning rate before each step."""
    steps = epochs * per_epoch
    return [recipe.lr_at(step=step, steps=steps, epoch=step // per_epoch, epochs=epochs) for step in range(steps)]


def test_the_cosine_falls_per_epoch_and_the_steps_come_at_60_and_80_percent() -> None:
    cosine, steps = Recipe.read({"epochs": 10}), Recipe.read({"epochs": 10, "schedule": "step"})
    expected = [cosine.lr * 0.5 * (1 + math.cos(math.pi * epoch / 10)) for epoch in range(10)]
    assert rates(cosine)[::4] == pytest.approx(expected)
    assert rates(cosine)[:4] == [cosine.lr] * 4
    assert [round(rate / steps.lr, 4) for rate in rates(steps)[::4]] == [1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]


def test_a_warm_up_rises_linearly_and_the_cosine_covers_what_is_left() -> None:
    schedule = {"shape": "cosine", "per": "step", "warmup_epochs": 2, "warmup_from": 0.5}
    found = rates(Recipe.read({"schedule": schedule, "end_lr": 0.1, "base_lr": 1.0}))
    assert found[:9] == pytest.approx([0.5 + 0.5 * step / 8 for step in range(9)])
    assert found[24] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 16 / 32)))
    assert found[-1] > 0.1
    assert found[-1] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 31 / 32)))


def test_a_warm_up_may_arrive_within_its_last_step() -> None:
    schedule = {"per": "step", "warmup_epochs": 2, "warmup_from": 0.5, "warmup_arrives": "within"}
    found = rates(Recipe.read({"schedule": schedule, "base_lr": 1.0}))
    assert found[:8] == pytest.approx(np.linspace(0.5, 1, 8))
    assert found[8:10] == pytest.approx([1.0, 0.5 * (1 + math.cos(math.pi / 32))])


def test_a_momentum_rises_to_one_by_the_same_schedule() -> None:
    values = [Schedule(per="step").value(0.99, 1.0, step=step, steps=4, epoch=0, epochs=1) for step in range(5)]
    assert values == pytest.approx([1 - 0.01 * 0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(5)])


@pytest.mark.parametrize(("shape", "middle"), [("constant", 2.0), ("linear", 1.5)])
def test_other_shapes_are_as_they_are_called(shape: str, middle: float) -> None:
    assert Schedule.read({"shape": shape}).value(2.0, 1.0, step=0, steps=1, epoch=5, epochs=10) == middle


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_a_parameter_belongs_to_the_first_group_that_matches_it() -> None:
    groups = [{"match": "2.*", "lr_fixed": True, "lr_factor": 2}, {"match": "vectors", "weight_decay": 0, "adapt": False}]
    recipe = Recipe.read({"groups": groups, "end_weight_decay": 1e-3, "batch": 512})
    model = network()
    optimizer = recipe.build_optimizer(model.named_parameters())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    assert found == [["0.weight"], ["2.weight", "2.bias"], ["0.bias", "1.weight", "1.bias"]]
    assert recipe.schedule_optimizer(optimizer, step=20, steps=40, epoch=100, epochs=200) == pytest.approx(0.03)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.03, 0.12, 0.03])
    decays = [group["weight_decay"] for group in optimizer.param_groups]
    assert decays == pytest.approx([(1e-4 + 1e-3) / 2, (1e-4 + 1e-3) / 2, 0])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps_and_has_settings_of_its_own(name: str) -> None:
    recipe = Recipe.read({"optimizer": name, "groups": [{"match": "vectors", "weight_decay": 0, "adapt": False}]})
    model = network()
    before = [parameter.clone() for parameter in model.parameters()]
    optimizer = recipe.build_optimizer(model.named_parameters())
    model(torch.randn(8, 3, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    optimizer.step()
    moved = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert moved[0]
    assert moved[-1]
    state = next(iter(optimizer.state.values()))
    tensors = [value for value in state.values() if isinstance(value, torch.Tensor) and value.dim()]
    assert len(tensors) == OPTIMIZERS[name].MOMENTS
    with pytest.raises(ConfigError, match="unknown key"):
        Recipe.read({"optimizer": {"name": name, "momentums": 0.9}})


FORMS = {
    "facebook": {"joint": True},
    "simclr": {"joint": True, "inside": True},
    "revisitairl": {"joint": False, "inside": True},
    "larc": {"joint": False, "zeros": "as they are"},
    "solo-learn": {"joint": False, "zeros": "as they are", "clipped": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_lars_follows_each_published_form(form: str) -> None:
    """Four weights, three steps of a changing rate: one of the weights starts as zeros, one has gradients of zero."""
    optimizer = {"name": "lars", "form": form, "momentum": 0.9, "trust": 0.02}
    recipe = Recipe.read(
        {
            "optimizer": optimizer,
            "weight_decay": 0.1,
            "groups": [{"match": "vectors", "weight_decay": 0, "adapt": False}],
        }
    )
    rules = {"joint": True, "inside": False, "zeros": "decayed", "clipped": False, **FORMS[form]}
    rng = torch.Generator().manual_seed(0)
    start = [
        torch.randn(4, 3, generator=rng),
        torch.zeros(4, 3),
        torch.randn(4, 3, generator=rng),
        torch.randn(4, generator=rng),
    ]
    weights = [nn.Parameter(each.clone()) for each in start]
    built = recipe.build_optimizer([(f"weight{i}", weight) for i, weight in enumerate(weights)])
    expected, momenta = start, [torch.zeros_like(each) for each in start]
    for lr in (0.1, 0.02, 0.5):
        for group in built.param_groups:
            group["lr"] = lr
        gradients = [torch.randn(each.shape, generator=rng) * (i != 2) for i, each in enumerate(start)]
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.clone()
        built.step()
        for i, gradient in enumerate(gradients):
            w = expected[i]
            adapted = w.dim() > 1
            step = gradient + 0.1 * w if adapted else gradient
            bottom = step.norm() if rules["joint"] else gradient.norm() + 0.1 * w.norm()
            if adapted and w.norm() > 0 and (step if rules["joint"] else gradient).norm() > 0:
                factor = float(0.02 * w.norm() / bottom)
                step = step * (min(factor / lr, 1) if rules["clipped"] else factor)
            elif adapted and rules["zeros"] == "as they are":
                step = gradient
            momenta[i] = 0.9 * momenta[i] + (lr * step if rules["inside"] else step)
            expected[i] = w - (momenta[i] if rules["inside"] else lr * momenta[i])
    for weight, wanted in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach(), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            [{"match": "predictr.*"}],
            r"has no parameters\n.*match: predictr\.\*\n.*vectors, or a pattern of names such as 0\.bias, 1",
        ),
        ([{"match": "*"}, {"match": "2.*"}], r"match: 2\.\*; an earlier group takes 2\.weight, 2\.bias"),
    ],
)
def test_a_group_that_takes_no_parameter_is_refused(groups: list[dict[str, str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.read({"groups": groups}).build_optimizer(network().named_parameters())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 10, "schedule": {"warmup_epochs": 10}}, "a warm-up of 10 epochs leaves none of 10"),
        ({"end_lr": 0.1, "schedule": "constant"}, r"end_lr \(0\.1\) has no effect on a schedule 'constant'"),
        ({"end_lr": 0.1, "schedule": "step"}, "no effect on a schedule 'step'"),
    ],
)
def test_a_schedule_that_can_have_no_effect_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.read(fields)


@pytest.mark.parametrize("name", methods.METHODS)
def test_no_published_recipe_spends_an_epoch_at_a_learning_rate_of_zero(name: str) -> None:
    """A warm-up by the epoch from 0 would; one by the step is at 0 for one step."""
    recipe = methods.get(name).recipe
    steps = {"steps": 10 * recipe.epochs, "epochs": recipe.epochs}
    assert recipe.lr_at(step=1, epoch=0, **steps) > 0
    assert recipe.lr_at(step=10 * recipe.epochs - 1, epoch=recipe.epochs - 1, **steps) > 0


def test_supcon_warms_up_from_a_hundredth() -> None:
    recipe = methods.get("supcon").recipe
    first, tenth = (recipe.lr_at(step=0, steps=1000, epoch=epoch, epochs=1000) for epoch in (0, 10))
    assert (first, tenth) == (pytest.approx(0.01), pytest.approx(0.5))


def test_lars_has_a_remark_at_batches_smaller_than_any_published_one() -> None:
    lars, sgd = (Recipe.read({"optimizer": name}).optimizer for name in ("lars", "sgd"))
    assert "LARS at a batch of 64" in lars.remark(64)
    assert [lars.remark(256), sgd.remark(64)] == ["", ""]
