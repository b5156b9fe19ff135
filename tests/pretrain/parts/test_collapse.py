"""What the log says of projections, against its definition."""

import pytest
import torch
import torch.nn.functional as F

from pretrain.parts.collapse import told_apart

RNG = torch.Generator().manual_seed(0)


def test_the_cosines_are_those_of_pairs_in_a_loop() -> None:
    first, second = torch.randn(2, 6, 4, generator=RNG)
    found = told_apart(first, second)
    own = [float(F.cosine_similarity(first[i], second[i], dim=0)) for i in range(6)]
    others = [float(F.cosine_similarity(first[i], second[j], dim=0)) for i in range(6) for j in range(6) if i != j]
    assert float(found["positives"]) == pytest.approx(sum(own) / 6, abs=1e-6)
    assert float(found["others"]) == pytest.approx(sum(others) / 30, abs=1e-6)


def test_the_spread_is_one_for_all_directions_and_zero_for_one() -> None:
    everywhere = torch.randn(20_000, 16, generator=RNG)
    assert float(told_apart(everywhere, everywhere)["spread"]) == pytest.approx(1, abs=0.02)
    one = torch.ones(8, 16) * torch.arange(1, 9)[:, None]  # lengths differ, directions don't
    assert float(told_apart(one, one)["spread"]) == pytest.approx(0, abs=1e-6)
