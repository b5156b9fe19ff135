"""NT-Xent and SupCon's loss against their definitions in plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from pretrain.losses.nt_xent import nt_xent

RNG = torch.Generator().manual_seed(0)


def defined(anchor: torch.Tensor, candidates: torch.Tensor, positives: list[int], itself: int | None, t: float) -> float:
    """−mean over positives p of log(e^{s_p / t} / Σ e^{s_c / t}), the anchor itself left out of both."""
    others = [c for c in range(len(candidates)) if c != itself]
    exp = {c: math.exp(float(anchor @ candidates[c]) / t) for c in others}
    wanted = [p for p in positives if p != itself]
    return -sum(math.log(exp[p] / sum(exp.values())) for p in wanted) / len(wanted) if wanted else 0.0


@pytest.mark.parametrize("among_themselves", [True, False])
def test_every_positive_counts_alike_and_no_anchor_is_its_own(among_themselves: bool) -> None:
    points = F.normalize(torch.randn(6, 4, generator=RNG), dim=1)
    candidates = points if among_themselves else F.normalize(torch.randn(6, 4, generator=RNG), dim=1)
    positives = torch.rand(6, 6, generator=RNG) < 0.5
    positives[2] = torch.arange(6) == 2  # none but itself
    itself = torch.arange(6) if among_themselves else None
    found = nt_xent(points, candidates, positives, itself, temperature=0.3)
    expected = [
        defined(points[i], candidates, positives[i].nonzero()[:, 0].tolist(), i if among_themselves else None, 0.3)
        for i in range(6)
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert (found[2] == 0) == among_themselves


def test_an_anchor_without_positives_moves_nothing() -> None:
    points = torch.randn(3, 4, generator=RNG, requires_grad=True)
    loss = nt_xent(
        F.normalize(points, dim=1), F.normalize(points.detach(), dim=1), torch.eye(3).bool(), torch.arange(3), temperature=0.1
    )
    loss.sum().backward()
    assert points.grad is not None
    assert torch.equal(points.grad, torch.zeros(3, 4))
