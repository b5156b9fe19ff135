"""The parts that methods are composed of, against their definitions."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pretrain.parts.branch import Branch
from pretrain.parts.heads import Prototypes, head_of, layers_of, mlp, weight_normalised
from pretrain.parts.pairs import ONE_WAY, SWAPPED, crossed
from pretrain.parts.target import MomentumTarget

RNG = torch.Generator().manual_seed(0)


def branch(splits: int = 1) -> Branch:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Branch(trunk, mlp((4, 6, 5), norm="bn"), splits=splits).train()


def test_a_perceptron_has_the_layers_it_is_told() -> None:
    kinds = [type(layer).__name__ for layer in mlp((8, 16, 16, 4), norm="bn", activation="gelu", out_norm="bn-plain")]
    assert kinds == ["Linear", "BatchNorm1d", "GELU", "Linear", "BatchNorm1d", "GELU", "Linear", "BatchNorm1d"]
    head = mlp((8, 16, 4), bias=False, out_bias=False, norm="bn", out_norm="bn-plain")
    assert sorted(name for name, _ in head.named_parameters()) == ["0.weight", "1.bias", "1.weight", "3.weight"]
    last = nn.Linear(16, 4)
    assert mlp((8, 16, 4), last=last)[-1] is last
    assert mlp((8, 4))(torch.zeros(2, 8)).shape == (2, 4)


def test_a_head_whose_statistics_were_taken_over_all_processes_is_read_as_one_of_a_single_process() -> None:
    head = mlp((8, 16, 4), bias=False, norm="bn", out_norm="bn-plain")
    trained = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(head))
    assert layers_of(trained) == layers_of(head) == ["linear", "bn", "relu", "linear", "bn"]
    inputs = torch.randn(3, 8, generator=RNG)
    torch.testing.assert_close(head_of(layers_of(trained), trained.state_dict())(inputs), head.eval()(inputs))


def test_prototypes_compare_by_the_cosine() -> None:
    prototypes, embeddings = Prototypes(5, 3), torch.randn(4, 5, generator=RNG)
    prototypes.to_unit_length()
    with torch.no_grad():
        expected = torch.stack([torch.stack([F.cosine_similarity(e, p, dim=0) for p in prototypes.weight]) for e in embeddings])
        torch.testing.assert_close(prototypes(embeddings), expected)


@pytest.mark.parametrize("trained", [False, True])
def test_rows_of_a_weight_normalised_layer_have_length_one_and_it_can_be_copied(trained: bool) -> None:
    layer = copy.deepcopy(weight_normalised(5, 7, trained_gain=trained))
    torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(7))
    assert sum(parameter.requires_grad for parameter in layer.parameters()) == 1 + trained
    layer(torch.randn(2, 5, generator=RNG)).sum().backward()
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.grad is not None and parameter.dim() == 2 and parameter.shape[1] > 1:
                parameter -= 3 * parameter.grad
    if not trained:
        torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(7))


@pytest.mark.parametrize("splits", [1, 2])
def test_views_of_one_size_share_statistics_and_the_head_sees_all(splits: int) -> None:
    large, small = (torch.randn(2, 4, 3, side, side, generator=RNG) for side in (8, 6))
    ours, apart = branch(splits), branch()
    views = [*large, *small]
    projected = ours.project_together(ours.features_by_size(views))
    assert [tuple(each.shape) for each in projected] == [(4, 5)] * 4
    for part in torch.arange(4).chunk(splits):  # of every view the same images, as on several processes
        features = torch.cat([apart.trunk(torch.cat([view[part] for view in pair])) for pair in (large, small)])
        expected = apart.head(features).chunk(4)
        torch.testing.assert_close([each[part] for each in projected], list(expected))


def test_a_split_branch_takes_statistics_of_each_part() -> None:
    images = torch.randn(8, 3, 6, 6, generator=RNG)
    expected = torch.cat([branch()(half) for half in images.chunk(2)])
    torch.testing.assert_close(branch(splits=2)(images), expected)


def test_a_target_starts_as_a_copy_or_fresh_and_moves_its_parameters_alone() -> None:
    online, other = branch(), branch()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    copied, fresh = MomentumTarget(online), MomentumTarget(online, fresh=other)
    assert all(torch.equal(a, b) for a, b in zip(copied.parameters(), online.parameters(), strict=True))
    start = [parameter.clone() for parameter in fresh.parameters()]
    statistics = fresh.branch.trunk[1].running_mean.clone()
    online(torch.randn(4, 3, 6, 6, generator=RNG))
    fresh.move(online, 0.75)
    for moved, before, towards in zip(fresh.parameters(), start, online.parameters(), strict=True):
        torch.testing.assert_close(moved, 0.75 * before + 0.25 * towards)
        assert not moved.requires_grad
    assert torch.equal(fresh.branch.trunk[1].running_mean, statistics)
    assert not fresh(torch.randn(4, 3, 6, 6, generator=RNG)).requires_grad


def test_pairs_say_which_view_predicts_which() -> None:
    assert (ONE_WAY, SWAPPED) == (((0, 1),), ((0, 1), (1, 0)))
    assert crossed(4, 2) == ((1, 0), (2, 0), (3, 0), (0, 1), (2, 1), (3, 1))
    assert len(crossed(8, 2)) == 2 * 7
