"""DINO against its definition in plain loops: centre, temperatures, frozen outputs, clipping, blends."""

import math
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from pretrain.augment.mixed import Mixed, pairs
from pretrain.batch import Progress

PARTNER = torch.tensor([1, 2, 3, 0, 5, 6, 7, 4])
OWN_SHARE = torch.tensor([0.9, 0.6, 0.7, 0.8, 0.55, 1.0, 0.75, 0.5])


def softmax(values: Tensor, temperature: float) -> list[float]:
    exp = [math.exp(float(v) / temperature) for v in values]
    return [e / sum(exp) for e in exp]


def outputs(learner: Any, views: list[Tensor]) -> list[Tensor]:
    return [each.detach() for each in learner.online.project_together(learner.online.features_by_size(views))]


@pytest.mark.parametrize("blended", [False, True])
def test_every_view_predicts_the_centred_teacher_of_the_other_whole_views(tiny: ModuleType, blended: bool) -> None:
    config = tiny.config("dino", teacher_temperature=0.06)
    learner, clean = tiny.learner(config), tiny.images(config)
    learner.centre.copy_(torch.randn(1, 24) / 10)
    seen = [Mixed(x) for x in clean]
    if blended:
        seen = [Mixed(torch.lerp(x[PARTNER], x, OWN_SHARE.view(-1, 1, 1, 1)), *pairs(PARTNER, OWN_SHARE)) for x in clean]
    losses = learner(tiny.batch(clean, seen))
    taught = [each.detach() for each in learner.target.branch.by_size(clean[:2])]  # the teacher sees both as one batch
    student, total = outputs(learner, [view.images for view in seen]), 0.0
    for target in range(2):
        for view in set(range(4)) - {target}:
            for i in range(8):
                logs = [math.log(p) for p in softmax(student[view][i], 0.1)]
                made_of = [(i, 1.0)] if not blended else [(i, float(OWN_SHARE[i])), (int(PARTNER[i]), 1 - float(OWN_SHARE[i]))]
                for source, weight in made_of:
                    wanted = softmax(taught[target][source] - learner.centre[0], 0.06)
                    total -= weight * sum(p * log for p, log in zip(wanted, logs, strict=True))
    assert float(losses.total.detach()) == pytest.approx(total / 8 / 6, rel=1e-4)
    entropy = sum(-sum(p * math.log(p) for p in softmax(row - learner.centre[0], 0.06)) for row in taught[0]) / 8
    assert float(losses.diagnostics["teacher_entropy"]) == pytest.approx(entropy, rel=1e-4)
    assert float(losses.diagnostics["divergence"]) == pytest.approx(total / 48 - entropy, rel=1e-3)


def test_the_centre_follows_the_teachers_outputs_and_the_teacher_the_student(tiny: ModuleType) -> None:
    config = tiny.config("dino", centre_momentum=0.8, momentum=0.9)
    learner, clean = tiny.learner(config), tiny.images(config)
    with torch.no_grad():
        for parameter in learner.target.parameters():
            parameter.add_(0.1)
    before, centre = [p.clone() for p in learner.target.branch.parameters()], torch.full((1, 24), 0.5)
    learner.centre.copy_(centre)
    step = tiny.batch(clean, progress=Progress(3, 10, 0, 1))
    taught = torch.cat(learner.target.branch.by_size(clean[:2])).detach()
    learner.after_step(step, learner(step))
    torch.testing.assert_close(learner.centre[0], 0.8 * centre[0] + 0.2 * taught.mean(dim=0))
    m = 1 - 0.1 * (math.cos(math.pi * 3 / 10) + 1) / 2
    for old, new, online in zip(before, learner.target.branch.parameters(), learner.online.parameters(), strict=True):
        torch.testing.assert_close(new, m * old + (1 - m) * online)


def test_the_teachers_temperature_warms_up_by_the_epoch(tiny: ModuleType) -> None:
    method = tiny.config("dino", teacher_temperature_start=0.04, teacher_temperature=0.07, teacher_temperature_epochs=4).method
    assert [method.teacher_at(epoch) for epoch in range(6)] == pytest.approx([0.04, 0.05, 0.06, 0.07, 0.07, 0.07])
    assert tiny.config("dino").method.teacher_at(0) == 0.04
    once = tiny.config("dino", teacher_temperature_start=0.01, teacher_temperature=0.05, teacher_temperature_epochs=1).method
    assert [once.teacher_at(epoch) for epoch in range(2)] == [0.01, 0.05]


@pytest.mark.parametrize(("epoch", "frozen"), [(0, True), (1, True), (2, False)])
def test_outputs_are_frozen_in_the_first_epochs(tiny: ModuleType, epoch: int, frozen: bool) -> None:
    learner = tiny.learner(config := tiny.config("dino", freeze_epochs=2, trained_gain=True))
    learner(tiny.batch(tiny.images(config))).total.backward()
    learner.after_backward(Progress(3, 10, epoch, 3))
    last = dict(learner.online.head.last.named_parameters())
    assert len(last) == 2
    assert all((parameter.grad is None) is frozen for parameter in last.values())


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_each_parameters_gradient_is_clipped_by_itself(tiny: ModuleType, clip: float) -> None:
    learner = tiny.learner(config := tiny.config("dino", clip=clip, freeze_epochs=0))
    learner(tiny.batch(tiny.images(config))).total.backward()
    before = {name: p.grad.clone() for name, p in learner.trained()}
    learner.after_backward(Progress(3, 10, 1, 3))
    shortened = 0
    for name, parameter in learner.trained():
        length = float(before[name].norm())
        factor = min(1.0, clip / (length + 1e-6)) if clip else 1.0
        shortened += factor < 1
        torch.testing.assert_close(parameter.grad, before[name] * factor)
    assert bool(shortened) == bool(clip)


def test_the_teacher_is_what_is_left(tiny: ModuleType) -> None:
    learner = tiny.learner(tiny.config("dino"))
    with torch.no_grad():
        learner.target.branch.trunk[0].weight.add_(1)
    assert torch.equal(learner.export().backbone["0.weight"], learner.target.branch.trunk[0].weight)
