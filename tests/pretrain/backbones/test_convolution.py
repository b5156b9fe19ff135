"""Convolutions as matrix products equal torch's convolutions."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from pretrain.backbones import convolution
from pretrain.backbones.convolution import Convolution, as_products
from pretrain.backbones.vit import VIT_SMALL
from pretrain.config import PretrainConfig
from pretrain.trainer import Trainer


def gradients(convolution: nn.Conv2d, images: Tensor, upstream: Tensor) -> tuple[Tensor, ...]:
    """Result, and gradients of the input and the weights."""
    result = convolution(images)
    return result, *torch.autograd.grad(result, (images, convolution.weight), upstream)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (7, 2, 3)])
def test_results_and_gradients_are_those_of_the_convolution(
    kernel: int, stride: int, padding: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(convolution.LARGEST, torch.float64, 16)
    plain = nn.Conv2d(6, 5, kernel, stride, padding, bias=False, dtype=torch.float64)
    product = copy.deepcopy(plain)
    as_products(product)
    images = torch.randn(3, 6, size, size, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    upstream = torch.randn_like(plain(images))
    for expected, found in zip(gradients(plain, images, upstream), gradients(product, images, upstream), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "side", "product"),
    [(torch.bfloat16, 4, True), (torch.bfloat16, 5, False), (torch.float32, 2, True), (torch.float32, 3, False)],
)
def test_only_small_results_are_products(dtype: torch.dtype, side: int, product: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Conv2d(2, 2, 3, padding=1, bias=False, dtype=dtype)
    as_products(layer)
    taken = []
    kernel = F.conv2d
    monkeypatch.setattr(F, "conv2d", lambda *inputs: taken.append(True) or kernel(*inputs))
    layer(torch.randn(2, 2, side, side, dtype=dtype))
    assert (not taken) is product


@pytest.mark.parametrize("side", [1, 2, 6])
def test_without_bf16_instructions_operands_and_results_are_rounded_all_the_same(
    side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = nn.Conv2d(16, 8, 3, padding=1, bias=False)
    as_products(layer)
    images = torch.randn(4, 16, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    upstream = torch.randn(4, 8, side, side, dtype=torch.bfloat16)
    found = []
    for native in (True, False):
        monkeypatch.setattr(convolution, "NATIVE", native)
        with torch.autocast("cpu", torch.bfloat16):
            result = layer(images)
        assert result.dtype is torch.bfloat16
        found.append((result, *torch.autograd.grad(result, (images, layer.weight), upstream)))
    for native, emulated in zip(*found, strict=True):
        torch.testing.assert_close(emulated, native, rtol=2**-7, atol=2**-9)  # a step or two of bf16's 8 bits
        assert torch.equal(emulated, emulated.bfloat16().to(emulated.dtype))
    exact = F.conv2d(images.bfloat16().double(), layer.weight.bfloat16().double(), padding=1)
    torch.testing.assert_close(found[1][0].double(), exact, rtol=2**-8, atol=1e-6)  # half a step


def test_a_network_in_bf16_is_as_near_to_the_exact_result_as_with_convolutions() -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=8).to(memory_format=torch.channels_last)
    images = torch.randn(8, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        exact = copy.deepcopy(network).double()(images.double())
    products = copy.deepcopy(network)
    as_products(products)
    assert products.state_dict().keys() == network.state_dict().keys()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        errors = [float((one(images) - exact).norm() / exact.norm()) for one in (products, network)]
    assert errors[0] < 2 * errors[1]
    assert errors[0] > 0  # bf16 was used at all


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_run_on_a_cpu_takes_products(precision: str) -> None:
    fields: dict[str, Any] = {"arch": "resnet18", "size": 32, "batch": 2, "queue": 4, "precision": precision}
    run = Trainer(PretrainConfig.read(fields), 2, 2, "cpu")
    kinds = {type(module) for module in run.learner.modules() if isinstance(module, nn.Conv2d)}
    assert kinds == {Convolution}


@pytest.mark.parametrize(
    "how",
    [
        {"bias": True},
        {"bias": False, "groups": 2},
        {"bias": False, "dilation": 2},
        {"bias": False, "padding": "same"},
        {"bias": False, "padding": (1, 0)},
        {"bias": False, "padding": 1, "padding_mode": "reflect"},
    ],
)
def test_a_convolution_of_another_kind_stays_as_it_is(how: dict[str, Any]) -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, **how), nn.Conv2d(4, 4, 3, bias=False))
    as_products(network)
    assert [type(module) for module in network] == [nn.Conv2d, Convolution]


def test_a_vision_transformer_stays_as_it_is() -> None:
    trunk, _ = VIT_SMALL.build(2, size=32)
    as_products(trunk)
    assert not any(isinstance(module, Convolution) for module in trunk.modules())
