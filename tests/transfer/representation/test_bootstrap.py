"""The online bootstrap against the plain one, which keeps all images."""

import numpy as np
import pytest
import torch

from transfer.representation.bootstrap import PARTS, REPLICATES, Means, counts, interval, jackknife

VALUES = torch.from_numpy(np.random.default_rng(0).gamma(2.0, 1.0, 600))


def test_the_interval_of_a_mean_is_that_of_the_plain_bootstrap() -> None:
    means = Means()
    for number in torch.arange(600).split(50):
        means.add(counts(number.tolist(), seed=0), value=VALUES[number])
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


def test_how_often_an_image_counts_is_a_function_of_image_and_seed() -> None:
    drawn = counts([7, 3, 5], seed=1)
    assert torch.equal(drawn[:, 2:], counts([5], seed=1))
    assert torch.equal(drawn[:, [1, 0]], counts([3, 7], seed=1))
    assert not torch.equal(counts([5], seed=1), counts([5], seed=2))
    assert torch.equal(drawn[0], torch.ones(3, dtype=torch.float64))
    many = counts(range(500), seed=0)[1:]
    assert float(many.mean()) == pytest.approx(1, abs=0.01)
    assert float(many.var()) == pytest.approx(1, abs=0.02)
    assert float(torch.corrcoef(many.T[:50]).fill_diagonal_(0).abs().max()) < 0.25  # images count independently


def test_the_jackknife_covers_a_mean_as_often_as_it_says() -> None:
    """Student's t with nine degrees of freedom: the normal's 1.96 would cover 92 %."""
    rng, covered = torch.Generator().manual_seed(0), 0
    for _ in range(1000):
        sample = torch.randn(60, generator=rng, dtype=torch.float64)
        _, around = jackknife(lambda kept, sample=sample: {"mean": float(sample[kept].mean())}, 60)
        covered += around["mean"][0] <= 0 <= around["mean"][1]
    assert 0.935 < covered / 1000 < 0.965


@pytest.mark.parametrize(("images", "known"), [(4, False), (PARTS - 1, False), (PARTS, True)])
def test_fewer_images_than_parts_have_no_interval(images: int, known: bool) -> None:
    values = VALUES[:images]
    found, around = jackknife(lambda kept: {"mean": float(values[kept].mean())}, images)
    assert found == {"mean": pytest.approx(float(values.mean()))}
    assert bool(around) == known


def test_a_statistic_that_some_images_lack_has_no_interval() -> None:
    found, around = jackknife(lambda kept: {"all": 1.0 if bool(kept.all()) else None, "none": None, "some": 2.0}, 20)
    assert found == {"all": 1.0, "none": None, "some": 2.0}
    assert around == {"some": (2.0, 2.0)}
