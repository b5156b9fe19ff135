"""BYOL, SimSiam, MoCo v2+ and MoCo v3 against their definitions in plain loops."""

import math
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.augment.mixed import Mixed, pairs
from pretrain.batch import Progress

PARTNER = torch.tensor([1, 2, 3, 0, 5, 6, 7, 4])
OWN_SHARE = torch.tensor([0.9, 0.6, 0.7, 0.8, 0.55, 1.0, 0.75, 0.5])
BYOLS = ("byol", "byol-sgd", "byol-lars")


def blend(clean: list[Tensor]) -> list[Mixed]:
    return [Mixed(torch.lerp(x[PARTNER], x, OWN_SHARE.view(-1, 1, 1, 1)), *pairs(PARTNER, OWN_SHARE)) for x in clean]


def sources(i: int, *, blended: bool) -> list[tuple[int, float]]:
    """The images that image i is made of, with their fractions."""
    return [(i, float(OWN_SHARE[i])), (int(PARTNER[i]), 1 - float(OWN_SHARE[i]))] if blended else [(i, 1.0)]


def unit(each: Tensor) -> Tensor:
    return F.normalize(each, dim=1).detach()


@pytest.mark.parametrize("blended", [False, True])
@pytest.mark.parametrize(("method", "scale", "offset"), [("byol", 2, 2), ("byol-sgd", 2, 2), ("simsiam", 0.5, 0)])
def test_predictions_are_compared_with_the_clean_targets_of_all_sources(
    tiny: ModuleType, method: str, scale: float, offset: float, blended: bool
) -> None:
    config = tiny.config(method)
    learner, clean = tiny.learner(config), tiny.images(config)
    seen = blend(clean) if blended else [Mixed(images) for images in clean]
    losses = learner(tiny.batch(clean, seen))
    p = [unit(learner.predictor(learner.online(view.images))) for view in seen]
    network = learner.online if method == "simsiam" else learner.target.branch
    z = [unit(network(images)) for images in clean]
    total = 0.0
    for view, target in ((0, 1), (1, 0)):
        for i in range(8):
            for source, weight in sources(i, blended=blended):
                total += weight * (offset - scale * float(p[view][i] @ z[target][source]))
    assert float(losses.total.detach()) == pytest.approx(total / 8, rel=1e-4)


@pytest.mark.parametrize("blended", [False, True])
def test_mocov3_picks_the_keys_of_all_sources_among_those_of_the_batch(tiny: ModuleType, blended: bool) -> None:
    config = tiny.config("mocov3", temperature=0.3)
    learner, clean = tiny.learner(config), tiny.images(config)
    seen = blend(clean) if blended else [Mixed(images) for images in clean]
    losses = learner(tiny.batch(clean, seen))
    q = [unit(learner.predictor(learner.online(view.images))) for view in seen]
    k = [unit(learner.target(images)) for images in clean]
    total = 0.0
    for view, target in ((0, 1), (1, 0)):
        for i in range(8):
            exp = [math.exp(float(q[view][i] @ key) / 0.3) for key in k[target]]
            total -= sum(weight * math.log(exp[s] / sum(exp)) for s, weight in sources(i, blended=blended))
    assert float(losses.total.detach()) == pytest.approx(2 * 0.3 * total / 8, rel=1e-4)


@pytest.mark.parametrize("method", ["mocov2plus", "smocov2plus"])
def test_mocov2plus_contrasts_both_ways_and_a_coin_chooses_the_keys_that_stay(tiny: ModuleType, method: str) -> None:
    config = tiny.config(method)
    learner, clean = tiny.learner(config), tiny.images(config)
    queue, step = learner.queue.keys.clone(), tiny.batch(clean)
    losses = learner(step)
    q = [unit(learner.predictor(learner.online(images))) for images in clean]
    k = [unit(learner.target(images)) for images in clean]
    total = 0.0
    for view, target in ((0, 1), (1, 0)):
        for i in range(8):
            exp = [math.exp(float(q[view][i] @ each) / 0.2) for each in (k[target][i], *queue.T)]
            total -= math.log(exp[0] / sum(exp)) / 8
    assert float(losses.total.detach()) == pytest.approx(total, rel=1e-4)
    kept = set()
    for seed in range(8):
        learner.queue.keys.copy_(queue)
        learner.queue.end.fill_(0)
        torch.manual_seed(seed)
        coin = int(torch.rand(()) >= 0.5)
        torch.manual_seed(seed)
        learner.after_step(step, losses)
        torch.testing.assert_close(learner.queue.keys[:, :8].T, k[coin])
        kept.add(coin)
    assert kept == {0, 1}


def test_a_queue_that_fills_first_moves_no_target(tiny: ModuleType) -> None:
    learner = tiny.learner(config := tiny.config("mocov2plus", fill_queue=True))
    shifted(learner)
    before = [p.clone() for p in learner.target.parameters()]
    for number, moves in ((0, False), (1, False), (2, True)):
        step = tiny.batch(tiny.images(config), progress=Progress(number, 10, 0, 1))
        assert learner.fills(number) is not moves
        learner.after_step(step, learner(step))
        assert all(torch.equal(a, b) for a, b in zip(before, learner.target.parameters(), strict=True)) is not moves


def shifted(learner: Any) -> None:
    """Move the target away, so that its average shows."""
    with torch.no_grad():
        for parameter in learner.target.parameters():
            parameter.add_(0.1)


@pytest.mark.parametrize(
    ("method", "ahead"), [("byol", 0), ("byol-sgd", 1), ("byol-lars", 1), ("mocov2plus", 1), ("mocov3", 0)]
)
def test_the_momentum_is_that_of_the_codes_own_count(tiny: ModuleType, method: str, ahead: int) -> None:
    config = tiny.config(method, momentum=0.9)
    learner = tiny.learner(config)
    shifted(learner)
    before = [p.clone() for p in learner.target.branch.parameters()]
    step = tiny.batch(tiny.images(config), progress=Progress(3, 10, 0, 1))
    learner.before_forward(step.progress)
    learner.after_step(step, learner(step))
    m = 1 - 0.1 * (math.cos(math.pi * (3 + ahead) / 10) + 1) / 2
    for old, new, online in zip(before, learner.target.branch.parameters(), learner.online.parameters(), strict=True):
        torch.testing.assert_close(new, m * old + (1 - m) * online)


@pytest.mark.parametrize("method", [*BYOLS, "mocov2plus", "mocov3"])
def test_only_byol_as_published_starts_its_target_elsewhere(tiny: ModuleType, method: str) -> None:
    learner = tiny.learner(tiny.config(method))
    both = zip(learner.online.named_parameters(), learner.target.branch.parameters(), strict=True)
    different = [name for (name, mine), theirs in both if not torch.equal(mine, theirs)]
    assert bool(different) == (method == "byol")
    if different:
        assert "trunk.0.weight" in different
        assert "head.0.weight" in different
    assert not any(p.requires_grad for p in learner.target.parameters())


def test_no_gradient_reaches_the_side_that_is_predicted(tiny: ModuleType) -> None:
    learner = tiny.learner(config := tiny.config("simsiam"))
    learner(tiny.batch(tiny.images(config))).total.backward()
    mine = learner.online.head[0].weight.grad.clone()
    again = tiny.learner(config)
    again.targets = lambda batch, projections: [p.detach().clone() for p in projections]
    again(tiny.batch(tiny.images(config))).total.backward()
    assert torch.equal(mine, again.online.head[0].weight.grad)


def test_small_crops_are_predicted_by_nobody_and_the_sum_stays_that_of_two_views(tiny: ModuleType) -> None:
    config = tiny.config("byol", local_views=2, local_views_anyway=True)
    learner, clean = tiny.learner(config), tiny.images(config)
    losses = learner(tiny.batch(clean))
    small = learner.online.by_size(clean[2:])  # one batch
    p = [unit(learner.predictor(each)) for each in (learner.online(clean[0]), learner.online(clean[1]), *small)]
    z = [unit(learner.target(images)) for images in clean[:2]]
    pairs_of_views = [(1, 0), (2, 0), (3, 0), (0, 1), (2, 1), (3, 1)]
    each = [sum(2 - 2 * float(p[v][i] @ z[t][i]) for i in range(8)) / 8 for v, t in pairs_of_views]
    assert float(losses.total.detach()) == pytest.approx(2 * sum(each) / 6, rel=1e-4)
