"""Precise BN."""

import torch
from torch import nn

from transfer.engines.precise_bn import precise_bn


def test_statistics_are_those_of_all_batches_as_one() -> None:
    torch.manual_seed(0)
    batches = [torch.randn(size, 3, 5, 7) * torch.tensor([1.0, 2, 3]).view(3, 1, 1) + size for size in (4, 1, 6)]
    layer = nn.BatchNorm2d(3)
    precise_bn(layer, layer, batches)
    values = torch.cat([batch.transpose(0, 1).flatten(1) for batch in batches], dim=1)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert torch.allclose(layer.running_mean, values.mean(dim=1), atol=1e-5)
    assert torch.allclose(layer.running_var, values.var(dim=1, unbiased=False), rtol=1e-4)


def test_momentum_weights_and_unreached_or_frozen_layers_stay() -> None:
    model = nn.ModuleDict({"used": nn.BatchNorm2d(3), "unused": nn.BatchNorm2d(3), "frozen": nn.BatchNorm2d(3).eval()})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    precise_bn(model, lambda x: model["frozen"](model["used"](x)), [torch.randn(4, 3, 2, 2) + 1])
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"used.running_mean", "used.running_var", "used.num_batches_tracked"}
    assert model["used"].momentum == 0.1
