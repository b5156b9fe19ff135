"""The measures against their definitions in loops, and what the mathematics says of extremes."""

import math

import pytest
import torch

from transfer.representation import definitions
from transfer.representation.definitions import alignment, diversity_cap, invariance, view_similarity

N, M, D = 5, 4, 7
RNG = torch.Generator().manual_seed(0)
ANCHORS, VIEWS = torch.randn(N, D, generator=RNG), torch.randn(N, M, D, generator=RNG)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def test_invariance_is_the_mean_cosine_between_anchor_and_views() -> None:
    for i in range(N):
        expected = sum(cosine(ANCHORS[i], VIEWS[i, m]) for m in range(M)) / M
        assert float(invariance(ANCHORS, VIEWS)[i]) == pytest.approx(expected, abs=1e-6)


def test_invariance_of_blends_weighs_each_sources_anchor_by_its_share() -> None:
    sources = torch.randint(N, (N, M, 2), generator=torch.Generator().manual_seed(1))
    share = torch.rand(N, M, generator=torch.Generator().manual_seed(2))
    weights = torch.stack([share, 1 - share], dim=2)
    ours = definitions.blended_invariance(ANCHORS, VIEWS, sources, weights)
    for i in range(N):
        expected = 0.0
        for m in range(M):
            for s in range(2):
                expected += float(weights[i, m, s]) * cosine(ANCHORS[sources[i, m, s]], VIEWS[i, m]) / M
        assert float(ours[i]) == pytest.approx(expected, abs=1e-6)


def test_view_similarity_is_the_mean_cosine_between_different_views() -> None:
    for i in range(N):
        pairs = [cosine(VIEWS[i, a], VIEWS[i, b]) for a in range(M) for b in range(M) if a != b]
        assert float(view_similarity(VIEWS)[i]) == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)


def test_alignment_is_the_mean_squared_distance_between_views_on_the_sphere() -> None:
    unit = torch.nn.functional.normalize(VIEWS, dim=-1)
    for i in range(N):
        pairs = [float((unit[i, a] - unit[i, b]).square().sum()) for a in range(M) for b in range(M) if a != b]
        assert float(alignment(VIEWS)[i]) == pytest.approx(sum(pairs) / len(pairs), abs=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_both_ignore_the_length_of_features(scale: float) -> None:
    torch.testing.assert_close(invariance(ANCHORS, VIEWS * scale), invariance(ANCHORS, VIEWS))
    torch.testing.assert_close(view_similarity(VIEWS * scale), view_similarity(VIEWS))


def test_identical_views_have_both_at_one() -> None:
    same = ANCHORS[:, None].expand(N, M, D)
    torch.testing.assert_close(invariance(ANCHORS, same), torch.ones(N))
    torch.testing.assert_close(view_similarity(same), torch.ones(N))


def test_diversity_never_exceeds_its_cap_and_reaches_it_for_views_around_the_anchor() -> None:
    diversity = 1 - view_similarity(VIEWS)
    assert bool((diversity <= diversity_cap(invariance(ANCHORS, VIEWS), M) + 1e-6).all())
    # Views whose mean is a multiple of the anchor: here six on a cone around it.
    angle = torch.arange(6) * 2 * math.pi / 6
    cone = torch.stack([0.8 * torch.ones(6), 0.6 * angle.cos(), 0.6 * angle.sin()], dim=1)[None]
    linv = invariance(torch.tensor([[1.0, 0.0, 0.0]]), cone)
    assert float(linv) == pytest.approx(0.8)
    assert float(1 - view_similarity(cone)) == pytest.approx(float(diversity_cap(linv, 6)), abs=1e-6)


def test_anisotropy_is_the_mean_cosine_between_different_images_also_of_repeated_ones() -> None:
    unit = torch.nn.functional.normalize(ANCHORS.double(), dim=1)
    for counts in ([1, 1, 1, 1, 1], [2, 0, 1, 3, 0]):
        w = torch.tensor([counts], dtype=torch.float64)
        ours = definitions.similarity_between(w @ unit, w.sum(dim=1), w.square().sum(dim=1))
        total, pairs = 0.0, 0
        for a in range(N):
            for b in range(N):
                if a != b:
                    total += counts[a] * counts[b] * cosine(ANCHORS[a], ANCHORS[b])
                    pairs += counts[a] * counts[b]
        assert float(ours) == pytest.approx(total / pairs, abs=1e-6)


def test_uniformity_is_the_log_of_the_mean_gaussian_of_distances() -> None:
    unit = torch.nn.functional.normalize(ANCHORS.double(), dim=1)
    values = [math.exp(-2 * float((unit[a] - unit[b]).square().sum())) for a in range(N) for b in range(N) if a != b]
    ours = definitions.uniformity(ANCHORS, torch.ones(1, N))
    assert float(ours) == pytest.approx(math.log(sum(values) / len(values)), abs=1e-9)
    assert float(definitions.uniformity(torch.ones(4, 3), torch.ones(1, 4))) == pytest.approx(0)


def test_neighbours_vote_without_the_image_itself() -> None:
    features = torch.tensor([[1.0, 0.0], [0.99, 0.1], [0.0, 1.0], [0.1, 0.99], [0.7, 0.72]])
    hits = definitions.neighbour_hits(features[:4], torch.tensor([0, 0, 1, 1]))
    # three others vote: one of the own class, two of the other
    assert hits.tolist() == [False, False, False, False]
    many = torch.cat([torch.randn(30, 4, generator=RNG) * 0.1 + torch.eye(4)[c] for c in range(2)])
    assert bool(definitions.neighbour_hits(many, torch.arange(60) // 30).all())
