"""SwAV against its definition in plain loops: assignments, queue, frozen prototypes, blends."""

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


def assigned(scores: Tensor) -> list[list[float]]:
    """Shares [image][prototype] after three rounds over rows, then columns."""
    images, prototypes = scores.shape
    q = [[math.exp(float(scores[i, k]) / 0.05) for i in range(images)] for k in range(prototypes)]
    for _ in range(3):
        q = [[value / sum(row) / prototypes for value in row] for row in q]
        sums = [sum(row[i] for row in q) for i in range(images)]
        q = [[row[i] / sums[i] / images for i in range(images)] for row in q]
    return [[q[k][i] * images for k in range(prototypes)] for i in range(images)]


def log_softmax(scores: Tensor) -> list[float]:
    exp = [math.exp(float(s) / 0.1) for s in scores]
    return [math.log(e / sum(exp)) for e in exp]


def scores(learner: Any, views: list[Tensor]) -> list[Tensor]:
    embeddings = learner.online.project_together(learner.online.features_by_size(views))
    return [(F.normalize(z, dim=1) @ learner.prototypes.weight.T).detach() for z in embeddings]


@pytest.mark.parametrize("blended", [False, True])
def test_every_view_predicts_the_assignments_of_the_other_whole_views(tiny: ModuleType, blended: bool) -> None:
    config = tiny.config("swav", queue=0)
    learner, clean = tiny.learner(config), tiny.images(config)
    learner.before_forward(Progress(0, 10, 0, 1))
    torch.testing.assert_close(learner.prototypes.weight.norm(dim=1), torch.ones(12))
    seen = [Mixed(x) for x in clean]
    if blended:
        seen = [Mixed(torch.lerp(x[PARTNER], x, OWN_SHARE.view(-1, 1, 1, 1)), *pairs(PARTNER, OWN_SHARE)) for x in clean]
    losses = learner(tiny.batch(clean, seen))
    predicted = scores(learner, [view.images for view in seen])
    wanted = [assigned(each) for each in scores(learner, clean[:2] if blended else clean)[:2]]
    total = 0.0
    for target in range(2):
        for view in set(range(4)) - {target}:
            for i in range(8):
                logs = log_softmax(predicted[view][i])
                made_of = [(i, 1.0)] if not blended else [(i, float(OWN_SHARE[i])), (int(PARTNER[i]), 1 - float(OWN_SHARE[i]))]
                total -= sum(w * sum(q * log for q, log in zip(wanted[target][s], logs, strict=True)) for s, w in made_of)
    assert float(losses.total.detach()) == pytest.approx(total / 8 / 6, rel=1e-4)


def test_a_full_queue_is_assigned_together_with_the_batch(tiny: ModuleType) -> None:
    config = tiny.config("swav", queue=16, queue_epoch=1, local_views=0)
    learner, kept = tiny.learner(config), []
    for number, epoch in enumerate((0, 1, 1)):
        clean = tiny.images(config, number)
        step = tiny.batch(clean, progress=Progress(number, 10, epoch, 2))
        learner.before_forward(step.progress)
        plain = [assigned(each) for each in scores(learner, clean)]
        losses = learner(step)
        assert int(learner.filled) == max(0, number - 1)  # not before its epoch
        assert float(losses.total.detach()) == pytest.approx(swapped(scores(learner, clean), plain), rel=1e-4)
        learner.after_step(step, losses)
        embeddings = learner.online.project_together(learner.online.features_by_size(clean))
        kept.append([F.normalize(z, dim=1).detach() for z in embeddings])
    torch.testing.assert_close(learner.queue[0], torch.stack([kept[2][0], kept[1][0]]))  # the newest first
    clean = tiny.images(config, 9)
    found = scores(learner, clean)
    with_queue = [torch.cat([learner.queue[v].flatten(0, 1) @ learner.prototypes.weight.T, found[v]]) for v in range(2)]
    together = [assigned(each.detach())[16:] for each in with_queue]
    assert float(learner(tiny.batch(clean)).total.detach()) == pytest.approx(swapped(found, together), rel=1e-4)


def swapped(found: list[Tensor], shares: list[list[list[float]]]) -> float:
    """The loss of two views without blends."""
    total = 0.0
    for view in range(2):
        for i in range(8):
            total -= sum(q * log for q, log in zip(shares[1 - view][i], log_softmax(found[view][i]), strict=True))
    return total / 16


@pytest.mark.parametrize(("step", "frozen"), [(0, True), (4, True), (5, False)])
def test_prototypes_have_no_gradient_in_the_first_steps(tiny: ModuleType, step: int, frozen: bool) -> None:
    learner = tiny.learner(config := tiny.config("swav", freeze_steps=5))
    learner(tiny.batch(tiny.images(config))).total.backward()
    learner.after_backward(Progress(step, 10, 0, 1))
    assert (learner.prototypes.weight.grad is None) is frozen


def test_what_is_logged_of_the_prototypes_is_how_evenly_they_are_used(tiny: ModuleType) -> None:
    config = tiny.config("swav", queue=0, local_views=0)
    learner, clean = tiny.learner(config), tiny.images(config)
    learner.before_forward(Progress(0, 10, 0, 1))
    logged = learner(tiny.batch(clean)).diagnostics
    shares = assigned(scores(learner, clean)[0])
    mean = [sum(row[k] for row in shares) / 8 for k in range(12)]
    assert float(logged["assignment_entropy"]) == pytest.approx(-sum(m * math.log(m) for m in mean), rel=1e-4)
    used = {max(range(12), key=row.__getitem__) for row in shares}
    assert float(logged["prototypes_used"]) == pytest.approx(len(used) / 8)
