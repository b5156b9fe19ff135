"""Which weights views are too small for, against what a gradient reaches."""

import pytest
import torch
from torch import nn

from pretrain.backbones import get
from pretrain.backbones.unlearnt import remark, unlearnt


def without_gradient(arch: str, stem: str, size: int) -> float:
    """The share of a trunk's weights whose gradient is zero for any images of that size."""
    torch.manual_seed(0)
    trunk, _ = get(arch).build(1, stem=stem, size=size)
    for module in list(trunk.modules()):
        if isinstance(getattr(module, "relu", None), nn.ReLU):
            module.relu = nn.Identity()  # a unit that is never on would get none, either
    trunk.eval()(torch.randn(8, 3, size, size)).square().sum().backward()
    zero = sum(int((each.grad == 0).sum()) for each in trunk.parameters() if each.grad is not None)
    return zero / sum(each.numel() for each in trunk.parameters())


@pytest.mark.parametrize(("stem", "size"), [("imagenet", 32), ("imagenet", 33), ("imagenet", 16), ("small", 8), ("small", 16)])
def test_the_share_is_that_of_the_weights_without_a_gradient(stem: str, size: int) -> None:
    assert unlearnt("resnet18", stem, size) == pytest.approx(without_gradient("resnet18", stem, size), abs=1e-3)


def test_the_smallest_size_that_reaches_all_is_named() -> None:
    assert "views of 32 pixels leave 62% of resnet18's weights" in remark("resnet18", 32)
    assert "33 pixels reach all of them" in remark("resnet18", 32)
    assert unlearnt("resnet18", "imagenet", 33) == 0 < unlearnt("resnet18", "imagenet", 32)


@pytest.mark.parametrize(("arch", "size"), [("resnet18", 33), ("resnet50", 224), ("vit_small", 32)])
def test_nothing_is_said_where_all_learn(arch: str, size: int) -> None:
    assert not remark(arch, size)


def test_no_number_is_drawn() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    unlearnt.cache_clear()
    unlearnt("resnet18", "imagenet", 32)
    assert torch.rand(1) == expected
