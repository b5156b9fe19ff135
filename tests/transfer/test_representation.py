"""Linv and Ldiv against their definitions in loops, and what the mathematics says of extremes."""

import pytest
import torch

from transfer.representation import _Sums, invariance, view_similarity

N, M, D = 5, 4, 7
RNG = torch.Generator().manual_seed(0)
ANCHORS, VIEWS = torch.randn(N, D, generator=RNG), torch.randn(N, M, D, generator=RNG)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def test_invariance_is_the_mean_cosine_between_anchor_and_views() -> None:
    for i in range(N):
        expected = sum(cosine(ANCHORS[i], VIEWS[i, m]) for m in range(M)) / M
        assert float(invariance(ANCHORS, VIEWS)[i]) == pytest.approx(expected, abs=1e-6)


def test_view_similarity_is_the_mean_cosine_between_different_views() -> None:
    for i in range(N):
        pairs = [cosine(VIEWS[i, a], VIEWS[i, b]) for a in range(M) for b in range(M) if a != b]
        assert float(view_similarity(VIEWS)[i]) == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_both_ignore_the_length_of_features(scale: float) -> None:
    torch.testing.assert_close(invariance(ANCHORS, VIEWS * scale), invariance(ANCHORS, VIEWS))
    torch.testing.assert_close(view_similarity(VIEWS * scale), view_similarity(VIEWS))


def test_identical_views_have_both_at_one() -> None:
    same = ANCHORS[:, None].expand(N, M, D)
    torch.testing.assert_close(invariance(ANCHORS, same), torch.ones(N))
    torch.testing.assert_close(view_similarity(same), torch.ones(N))


def test_diversity_never_exceeds_its_cap_and_reaches_it_for_views_around_the_anchor() -> None:
    sums = _Sums()
    sums.add(ANCHORS, VIEWS)
    metrics = sums.metrics()
    assert metrics["diversity"] <= metrics["diversity_cap"] + 1e-6
    corners = torch.cat([torch.eye(D), -torch.eye(D)])[None] * 0.5 + torch.eye(D + 1)[0, :D] * 0  # mean view is 0
    centred = _Sums()
    centred.add(torch.ones(2, D), corners.expand(2, 2 * D, D))
    assert centred.metrics()["Linv"] == pytest.approx(0, abs=1e-6)
    assert centred.metrics()["diversity"] == pytest.approx(centred.metrics()["diversity_cap"], abs=1e-6)


def test_anisotropy_is_the_mean_cosine_between_different_images_in_any_batching() -> None:
    whole, parts = _Sums(), _Sums()
    whole.add(ANCHORS, VIEWS)
    parts.add(ANCHORS[:2], VIEWS[:2])
    parts.add(ANCHORS[2:], VIEWS[2:])
    pairs = [cosine(ANCHORS[a], ANCHORS[b]) for a in range(N) for b in range(N) if a != b]
    assert whole.metrics()["anisotropy"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
    for name, value in whole.metrics().items():
        assert parts.metrics()[name] == pytest.approx(value, abs=1e-6)
