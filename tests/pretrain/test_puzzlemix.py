"""Puzzle Mix: the cheapest mask against all masks, the energy and the transport against plain loops, and its saliency."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain import augment
from pretrain.augment.guide import Guide, shares_of
from pretrain.augment.mincut import cheapest
from pretrain.augment.mixed import Mixed
from pretrain.augment.puzzlemix import PuzzleMix, plan
from pretrain.core.errors import ConfigError
from pretrain.inputs import denormalised, normalised

N, SIDE = 6, 16


def rng(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


PIXELS = F.interpolate(torch.rand(N, 3, 6, 6, generator=rng(0)), size=SIDE, mode="bilinear")
IMAGES = normalised(PIXELS)
SALIENCY = F.interpolate(torch.rand(N, 1, 8, 8, generator=rng(2)) ** 6, size=SIDE)[:, 0]


def made(**options: object) -> PuzzleMix:
    return PuzzleMix.read(options).guided(Guide(IMAGES, {"saliency": SALIENCY}))


def energy(labels: np.ndarray, costs: np.ndarray, down: np.ndarray, right: np.ndarray) -> int:
    """The definition, in loops."""
    size, total = len(labels), 0
    for i, j in itertools.product(range(size), repeat=2):
        total += costs[i, j, labels[i, j]]
        if i + 1 < size:
            total += down[i, j] * (labels[i, j] - labels[i + 1, j]) ** 2
        if j + 1 < size:
            total += right[i, j] * (labels[i, j] - labels[i, j + 1]) ** 2
    return int(total)


def grid(random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shapes = ((size, size, 3), (size - 1, size), (size, size - 1))
    return tuple(random.integers(0, most, shape) for most, shape in zip((40, 12, 12), shapes, strict=True))


def test_the_cut_is_the_cheapest_of_all_labellings() -> None:
    random, used = np.random.default_rng(0), set()
    for _ in range(40):
        problem = grid(random, 2)
        found = cheapest(*problem)
        used |= set(found.ravel().tolist())
        every = (np.array(labels).reshape(2, 2) for labels in itertools.product(range(3), repeat=4))
        assert energy(found, *problem) == min(energy(labels, *problem) for labels in every)
    assert used == {0, 1, 2}


@pytest.mark.parametrize("size", [4, 8, 16])
def test_no_change_of_one_place_or_of_all_makes_a_cut_cheaper(size: int) -> None:
    random = np.random.default_rng(size)
    problem = grid(random, size)
    found = cheapest(*problem)
    least = energy(found, *problem)
    for i, j, label in [*itertools.product(range(0, size, 3), range(0, size, 3), range(3))]:
        changed = found.copy()
        changed[i, j] = label
        assert energy(changed, *problem) >= least
    for _ in range(20):
        assert energy(random.integers(0, 3, (size, size)), *problem) > least


def test_costs_beyond_32_bits_are_an_error_and_no_wrong_mask() -> None:
    with pytest.raises(OverflowError, match="add up to"):
        cheapest(np.array([[[2**31, 0, 0]] * 2] * 2), np.zeros((1, 2), dtype=int), np.zeros((2, 1), dtype=int))


def looped_energy(masks: torch.Tensor, partner: list[int], lam: list[float], blocks: int) -> list[float]:
    """Of section 3 of arXiv:2009.06962 with the constants of the code: β 1.2, γ 0.5, η 0.2.

    What isn't shown of both images' saliency; the law of the labels; and for neighbours β times the square of the labels'
    difference plus, with γ, how far apart what is seen on both sides of their border is. That last term depends on both
    labels: it is interpolated from the four pairs of whole images as the code does it.
    """
    size, pool = SIDE // blocks, math.gcd(SIDE // blocks, 4)
    beta, totals = 1.2 / (16 * blocks), []
    pooled = F.avg_pool2d(PIXELS, pool).double()
    step = size // pool
    for n in range(N):
        pair, labels = (n, partner[n]), (2 * (1 - masks[n])).long()
        saliency = [F.avg_pool2d(SALIENCY[one][None, None], size)[0, 0].double() for one in pair]
        saliency = [one / one.sum() for one in saliency]
        total = 0.0
        law = [lam[n] ** 2, 2 * lam[n] * (1 - lam[n]), (1 - lam[n]) ** 2]
        for i, j in itertools.product(range(blocks), repeat=2):
            own = float(masks[n, i, j])
            total += own * float(saliency[1][i, j]) + (1 - own) * float(saliency[0][i, j])
            total -= 0.2 / blocks**2 * math.log(law[int(labels[i, j])] + 1e-8)
            for di, dj in ((1, 0), (0, 1)):
                if i + di >= blocks or j + dj >= blocks:
                    continue
                apart = np.zeros((2, 2))
                for a, b in itertools.product(range(2), repeat=2):
                    values = []
                    for k in range(step):
                        here = ((i + 1) * step - 1, j * step + k) if di else (i * step + k, (j + 1) * step - 1)
                        there = (here[0] + di, here[1] + dj)
                        values.append(float((pooled[pair[a], :, *here] - pooled[pair[b], :, *there]).abs().mean()))
                    apart[a, b] = 0.5 * beta * np.mean(values)
                other = 1 - float(masks[n, i + di, j + dj]), float(masks[n, i + di, j + dj])
                total += own * (apart[0, 0] + apart[0, 1]) / 2 + (1 - own) * (apart[1, 0] + apart[1, 1]) / 2
                total += other[1] * (apart[0, 0] + apart[1, 0]) / 2 + other[0] * (apart[0, 1] + apart[1, 1]) / 2
                weight = beta + (apart[0, 1] + apart[1, 0] - apart[0, 0] - apart[1, 1]) / 2
                total += weight * (own - other[1]) ** 2
        totals.append(total)
    return totals


@pytest.mark.parametrize("blocks", [2, 4, 8])
def test_the_energy_is_the_published_one(blocks: int) -> None:
    partner, lam = [3, 0, 1, 2, 5, 4], [0.1, 0.3, 0.5, 0.7, 0.9, 0.37]
    saliency = shares_of(F.adaptive_avg_pool2d(SALIENCY, blocks))
    found = PuzzleMix().energy(IMAGES, saliency, torch.tensor(partner), torch.tensor(lam).double())
    masks = torch.randint(0, 3, (N, blocks, blocks), generator=rng()).double() / 2
    labels = (2 * (1 - masks)).long()
    total = found.costs.gather(3, labels[..., None]).sum(dim=(1, 2, 3))
    total = total + (found.down * (masks[:, 1:] - masks[:, :-1]) ** 2).sum(dim=(1, 2))
    total = total + (found.right * (masks[:, :, 1:] - masks[:, :, :-1]) ** 2).sum(dim=(1, 2))
    torch.testing.assert_close(total, torch.tensor(looped_energy(masks, partner, lam, blocks)).double(), rtol=1e-5, atol=1e-6)


def test_without_smoothness_and_saliency_the_law_of_the_labels_decides() -> None:
    """Each image shows what is likeliest of two draws with probability λ: all of it above 2/3, nothing below 1/3, else half."""
    images, lam = torch.zeros(5, 3, SIDE, SIDE), torch.tensor([0.05, 0.3, 0.5, 0.7, 0.95])
    even = torch.full((5, 4, 4), 1 / 16).double()
    masks = PuzzleMix(smoothness=0, image_smoothness=0).masks(images, even, torch.arange(5), lam)
    assert masks.mean(dim=(1, 2)).tolist() == [0, 0, 0.5, 1, 1]


def test_exchanging_image_and_partner_mirrors_the_mask() -> None:
    saliency = shares_of(F.adaptive_avg_pool2d(SALIENCY, 8))
    there, lam = torch.tensor([1, 0, 3, 2, 5, 4]), torch.tensor([0.2, 0.8, 0.4, 0.6, 0.7, 0.3])
    masks = PuzzleMix().masks(IMAGES, saliency, there, lam)
    assert 0 < float(masks.mean()) < 1
    agree = (masks + masks[there] == 1).float().mean()
    assert float(agree) > 0.95  # where two masks cost the same in whole numbers, each image keeps more of itself


def looped_plan(shown: torch.Tensor, saliency: torch.Tensor, distance: float, blocks: int) -> list[int]:
    places = [(i, j) for i in range(blocks) for j in range(blocks)]
    apart = [[((a - c) ** 2 + (b - d) ** 2) / (blocks - 1) ** 2 for c, d in places] for a, b in places]
    cost = [
        [distance * far - float(gain) * bool(seen) for far, seen in zip(row, shown, strict=True)]
        for row, gain in zip(apart, saliency, strict=True)
    ]
    for _ in range(blocks):
        wishes = [row.index(min(row)) for row in cost]
        got = list(range(len(places)))
        for place in set(wishes):
            asking = [block for block, wish in enumerate(wishes) if wish == place]
            got[place] = min(asking, key=lambda block: cost[block][place])
            for block in asking:
                cost[block][place] += block != got[place]
    return got


@pytest.mark.parametrize("blocks", [2, 4, 8])
def test_blocks_move_by_the_published_rounds_of_asking(blocks: int) -> None:
    saliency = (torch.rand(4, blocks**2, generator=rng()) ** 6).double()
    saliency = saliency / saliency.sum(dim=1, keepdim=True)
    shown = torch.rand(4, blocks**2, generator=rng(3)) < 0.4
    found = plan(shown, saliency, 0.02, blocks)
    for n in range(4):
        assert found[n].tolist() == looped_plan(shown[n], saliency[n], 0.02, blocks)
    assert blocks == 2 or bool((found != torch.arange(blocks**2)).any())


@pytest.mark.parametrize("seed", range(4))
def test_the_image_is_the_masks_sum_of_both_and_the_weight_its_mean(seed: int) -> None:
    mixed = made(transport=False)(IMAGES, rng(seed))
    assert mixed.sources is not None
    assert mixed.weights is not None
    partner = mixed.sources[:, 1]
    for n in range(N):
        own, other = IMAGES[n], IMAGES[partner[n]]
        shown = torch.stack([other, (own + other) / 2, own])
        nearest = (shown - mixed.images[n]).abs().sum(dim=1).argmin(dim=0)
        torch.testing.assert_close(shown.gather(0, nearest.expand(1, 3, -1, -1))[0], mixed.images[n])
        if partner[n] != n:
            assert float(mixed.weights[n, 0]) == pytest.approx(float(nearest.float().mean()) / 2, abs=1e-6)


def test_transport_moves_whole_blocks_and_no_weight() -> None:
    differ = 0
    for seed in range(6):
        still, moved = made(transport=False)(IMAGES, rng(seed)), made(distance=0.001)(IMAGES, rng(seed))
        assert torch.equal(still.weights, moved.weights)
        differ += not torch.equal(still.images, moved.images)
    assert differ > 1
    alone = PuzzleMix().moved(IMAGES, torch.ones(N, 8, 8), torch.full((N, 8, 8), 1 / 64))
    assert torch.equal(alone, IMAGES)  # where everything matters alike, staying is cheapest


def test_blocks_that_matter_are_shown() -> None:
    """Each image matters in one corner alone; what is seen there is the image's own, of the image and of its partner."""
    corner = torch.zeros(N, SIDE, SIDE)
    corner[::2, :8, :8], corner[1::2, 8:, 8:] = 1, 1
    partner = torch.tensor([1, 0, 3, 2, 5, 4])
    masks = PuzzleMix().masks(IMAGES, shares_of(F.adaptive_avg_pool2d(corner, 4)), partner, torch.full((N,), 0.5))
    assert bool((masks[::2, :2, :2] == 1).all())
    assert bool((masks[::2, 2:, 2:] == 0).all())
    assert bool((masks[1::2, :2, :2] == 0).all())


def test_views_that_no_number_of_blocks_divides_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"15 × 15 pixels(.|\n)*sides that 2 or 4 or 8 or 16 divides"):
        augment.make("puzzlemix")(torch.zeros(2, 3, 15, 15), rng())


def test_permuting_the_images_outside_a_blend_changes_nothing_in_it() -> None:
    saliency = shares_of(F.adaptive_avg_pool2d(SALIENCY, 4))
    partner, lam = torch.tensor([1, 2, 0, 4, 5, 3]), torch.linspace(0.1, 0.9, N)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    place = order.argsort()
    whole = PuzzleMix().masks(IMAGES, saliency, partner, lam)
    permuted = PuzzleMix().masks(IMAGES[order], saliency[order], place[partner[order]], lam[order])
    assert torch.equal(permuted, whole[order])


def test_on_another_view_of_the_batch_the_same_blend_is_made() -> None:
    other = normalised(1 - denormalised(IMAGES))
    augmentation = made(transport=False)
    first, second = augmentation(IMAGES, rng()), augmentation(other, rng())
    assert torch.equal(first.weights, second.weights)
    assert torch.equal(first.sources, second.sources)
    torch.testing.assert_close(denormalised(second.images), 1 - denormalised(first.images))
    assert isinstance(first, Mixed)
