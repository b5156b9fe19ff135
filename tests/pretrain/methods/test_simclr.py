"""SimCLR and SupCon against their definitions in plain loops: with labels, with blends, with small crops."""

import math
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.augment.mixed import Mixed, pairs

LABELS = torch.tensor([0, 1, 0, -1, 2, 1, -1, 0])
PARTNER = torch.tensor([1, 2, 3, 0, 5, 6, 7, 4])
OWN_SHARE = torch.tensor([0.9, 0.6, 0.7, 0.8, 0.55, 1.0, 0.75, 0.5])


def embedded(learner: object, views: list[Tensor]) -> list[Tensor]:
    return [F.normalize(each, dim=1).detach() for each in learner.online.by_size(views)]


def cross_entropy(anchor: Tensor, candidates: dict[int, Tensor], positives: list[int], temperature: float) -> float:
    exp = {c: math.exp(float(anchor @ each) / temperature) for c, each in candidates.items()}
    return -sum(math.log(exp[p] / sum(exp.values())) for p in positives) / len(positives)


def same(i: int, j: int) -> bool:
    return i == j or int(LABELS[i]) == int(LABELS[j]) != -1


@pytest.mark.parametrize("regime", ["self", "semi"])
def test_every_view_finds_the_views_of_its_image_and_of_its_class(tiny: ModuleType, regime: str) -> None:
    config = tiny.config("simclr", supervision=regime, local_views=1)
    learner, views = tiny.learner(config), tiny.images(config)
    labels = LABELS if regime == "semi" else torch.full((8,), -1)
    losses = learner(tiny.batch(views, labels=labels))
    z = embedded(learner, views)
    total = 0.0
    for view in range(3):  # a small crop is an anchor and no candidate
        for i in range(8):
            candidates = {v * 8 + j: z[v][j] for v in range(2) for j in range(8) if (v, j) != (view, i)}
            wanted = [c for c in candidates if c % 8 == i or (regime == "semi" and same(c % 8, i))]
            total += cross_entropy(z[view][i], candidates, wanted, 0.1)
    assert float(losses.total.detach()) == pytest.approx(2 * total / 24, rel=1e-4)


def test_supcon_scales_by_its_temperature_over_the_codes(tiny: ModuleType) -> None:
    config = tiny.config("supcon", temperature=0.2)
    learner, views = tiny.learner(config), tiny.images(config)
    z = embedded(learner, views)
    total = 0.0
    for view in range(2):
        for i in range(8):
            candidates = {v * 8 + j: z[v][j] for v in range(2) for j in range(8) if (v, j) != (view, i)}
            total += cross_entropy(z[view][i], candidates, [c for c in candidates if same(c % 8, i)], 0.2)
    assert float(learner(tiny.batch(views, labels=LABELS)).total.detach()) == pytest.approx(0.2 / 0.07 * total / 16, rel=1e-4)


@pytest.mark.parametrize("labelled", [False, True])
def test_blends_find_each_sources_second_view_by_its_fraction(tiny: ModuleType, labelled: bool) -> None:
    config = tiny.config("simclr", supervision="semi" if labelled else "self", local_views=1)
    learner, clean = tiny.learner(config), tiny.images(config)
    labels = LABELS if labelled else torch.full((8,), -1)
    seen = [Mixed(torch.lerp(x[PARTNER], x, OWN_SHARE.view(-1, 1, 1, 1)), *pairs(PARTNER, OWN_SHARE)) for x in clean]
    losses = learner(tiny.batch(clean, seen, labels))
    z = embedded(learner, [seen[0].images, clean[1], seen[2].images])
    total, candidates = 0.0, dict(enumerate(z[1]))
    for anchors in (z[0], z[2]):
        for i in range(8):
            for source, weight in ((i, float(OWN_SHARE[i])), (int(PARTNER[i]), 1 - float(OWN_SHARE[i]))):
                wanted = [j for j in range(8) if j == source or (labelled and same(j, source))]
                total += weight * cross_entropy(anchors[i], candidates, wanted, 0.1)
    assert float(losses.total.detach()) == pytest.approx(2 * total / 16, rel=1e-4)
