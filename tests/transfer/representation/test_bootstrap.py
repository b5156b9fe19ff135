"""The online bootstrap against the plain one, which keeps all images."""

import numpy as np
import pytest
import torch

from transfer.representation.bootstrap import REPLICATES, Means, counts, interval

VALUES = torch.from_numpy(np.random.default_rng(0).gamma(2.0, 1.0, 600))


def test_the_interval_of_a_mean_is_that_of_the_plain_bootstrap() -> None:
    means, rng = Means(), torch.Generator().manual_seed(0)
    for part in VALUES.split(50):
        means.add(counts(len(part), rng), value=part)
    replicates = means.mean("value")
    assert len(replicates) == REPLICATES + 1
    assert float(replicates[0]) == pytest.approx(float(VALUES.mean()))
    low, high = interval(replicates[1:])
    draws = np.random.default_rng(1)
    plain = [VALUES.numpy()[draws.integers(0, 600, 600)].mean() for _ in range(4000)]
    width = np.quantile(plain, 0.975) - np.quantile(plain, 0.025)
    assert low == pytest.approx(np.quantile(plain, 0.025), abs=0.15 * width)
    assert high == pytest.approx(np.quantile(plain, 0.975), abs=0.15 * width)


def test_batches_make_no_difference_to_the_estimate_and_values_may_have_a_shape() -> None:
    whole, parts = Means(), Means()
    vectors = VALUES.view(-1, 3)
    whole.add(torch.ones(1, 200, dtype=torch.float64), vector=vectors)
    for part in vectors.split(70):
        parts.add(torch.ones(1, len(part), dtype=torch.float64), vector=part)
    torch.testing.assert_close(parts.mean("vector"), whole.mean("vector"))
    torch.testing.assert_close(whole.mean("vector")[0], vectors.mean(dim=0))
