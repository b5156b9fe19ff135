"""The audit of weights' norms and NormRescale, against their definitions."""

import math

import pytest
import torch
import torchvision
from torch import Tensor, nn

from pretrain.backbones import BACKBONES
from pretrain.core.errors import CheckpointError, ConfigError
from transfer import norms, sources

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def fresh() -> State:
    return sources.load("random:resnet18").state


def times(state: State, factor: float) -> State:
    """Every tensor with a point times a factor, as LARS leaves them beside SGD's (arXiv 2208.00275, supplement 2.4)."""
    return {name: tensor * factor if tensor.is_floating_point() else tensor for name, tensor in state.items()}


@pytest.fixture(scope="module")
def trained() -> State:
    """A ResNet-18 after a few steps of SGD on random labels, with the weight decay that shrinks norms."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for _ in range(6):
        loss = nn.functional.cross_entropy(model(torch.randn(8, 3, 32, 32)), torch.randint(0, 4, (8,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("fc.")}


@pytest.mark.parametrize("arch", BACKBONES)
def test_a_fresh_network_of_any_architecture_has_ratio_one(arch: str) -> None:
    assert norms.norm_ratio(sources.load(f"random:{arch}:3").state, arch) == pytest.approx(1, abs=0.01)


def test_a_large_norm_says_nothing_of_a_vision_transformer() -> None:
    state = times(sources.load("random:vit_small").state, 10)
    assert norms.norm_ratio(state, "vit_small") == pytest.approx(10, abs=0.1)
    assert norms.warning(state, "vit_small") is None


def test_the_ratio_is_the_median_of_the_plain_definition(trained: State) -> None:
    ratios = []
    for tensor in trained.values():
        if tensor.dim() == 4:
            out, into, height, width = tensor.shape
            deviation = math.sqrt(2 / (out * height * width))  # torchvision's ResNet: kaiming_normal_(mode="fan_out")
            expected = deviation * math.sqrt(out * into * height * width)
            ratios.append(math.sqrt(float((tensor.double() ** 2).sum())) / expected)
    ratios.sort()
    middle = (ratios[len(ratios) // 2 - 1] + ratios[len(ratios) // 2]) / 2
    assert norms.norm_ratio(trained, "resnet18") == pytest.approx(middle, rel=1e-5)


def test_weights_of_ten_times_the_norm_are_flagged_and_others_are_not(fresh: State, trained: State) -> None:
    for state in (fresh, trained, times(trained, 0.3)):
        assert norms.warning(state, "resnet18") is None
        message = norms.warning(times(state, 10), "resnet18")
        assert message is not None
        assert "LARS-scaled" in message
        assert "--norm-rescale 0.1" in message


def test_the_constant_brings_flagged_weights_back(trained: State) -> None:
    rescaled = norms.rescale(times(trained, 10), 0.1)
    assert norms.warning(rescaled.state, "resnet18") is None
    assert norms.norm_ratio(rescaled.state, "resnet18") == pytest.approx(norms.norm_ratio(trained, "resnet18"), rel=1e-5)


def test_an_anchor_gives_every_tensor_its_norm_and_leaves_its_direction(trained: State, fresh: State) -> None:
    large, anchor = times(trained, 10), times(trained, 1)
    anchor = {name: tensor + 0.01 if tensor.is_floating_point() else tensor for name, tensor in anchor.items()}
    rescaled = norms.rescale(large, anchor, scope="all")
    for name, tensor in rescaled.state.items():
        if not tensor.is_floating_point():
            assert torch.equal(tensor, large[name])
            continue
        assert float(tensor.norm()) == pytest.approx(float(anchor[name].norm()), rel=1e-4)
        direction = nn.functional.cosine_similarity(tensor.flatten().double(), large[name].flatten().double(), dim=0)
        assert float(direction) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scope", ["params", "all"])
def test_the_scope_says_whether_statistics_are_rescaled(trained: State, scope: norms.Scope) -> None:
    rescaled = norms.rescale(trained, 0.1, scope=scope)
    for name, tensor in rescaled.state.items():
        statistics = name.endswith(("running_mean", "running_var"))
        factor = 1.0 if name.endswith("num_batches_tracked") or (statistics and scope == "params") else 0.1
        assert torch.equal(tensor, trained[name] * factor if factor != 1.0 else trained[name])
    assert rescaled.scaled == {"params": 60, "all": 100}[scope]


def test_tensors_without_a_norm_stay_and_are_named(fresh: State) -> None:
    rescaled = norms.rescale(fresh, sources.load("random:resnet18:1").state)
    biases = {name for name in fresh if name.endswith(".bias")}
    assert set(rescaled.kept) == biases
    assert all(torch.equal(rescaled.state[name], fresh[name]) for name in biases)
    shifted = {name: tensor + 1 if name.endswith(".bias") else tensor for name, tensor in fresh.items()}
    erased = norms.rescale(shifted, fresh)
    assert set(erased.kept) == biases
    assert all(tensor.isfinite().all() for tensor in erased.state.values())


def test_an_anchor_of_another_architecture_is_refused(fresh: State) -> None:
    with pytest.raises(CheckpointError, match="of another architecture"):
        norms.rescale(fresh, sources.load("random:resnet34").state)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_a_factor_that_is_none_is_refused(fresh: State, factor: float) -> None:
    with pytest.raises(ConfigError, match="not a factor"):
        norms.rescale(fresh, factor)
