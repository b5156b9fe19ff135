"""Vision transformers beside DINO's and MoCo v3's published codes. MoCo v3's own network needs a timm of 2021: it gets ours."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from pretrain.backbones import IMAGENET
from pretrain.backbones.vit import VIT_SMALL, FixedTransformer

pytestmark = pytest.mark.parity
Clone = Callable[[str], None]
TINY = FixedTransformer("vit_small_mocov3", 192, heads=6, timm_name="vit_tiny_patch16_224")


def images(size: int) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference, in parts of the largest number."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


@torch.no_grad()
def test_dino_s_vit(clone: Clone) -> None:
    """At another size than it was built for, DINO interpolates positions as if the grid were a tenth of a patch larger, and
    timm, which is ours, between the grids' corners and without aliasing: apart from that they are one function.
    """
    clone("DINO_REPO")
    import vision_transformer

    torch.manual_seed(0)
    theirs = vision_transformer.vit_small(patch_size=16).eval()
    state = theirs.state_dict()
    ours = VIT_SMALL.network(state)
    assert sum(parameter.numel() for parameter in ours.parameters()) == 21_665_664
    large, small = images(224), images(96)
    assert difference(ours(large), theirs(large)) < 1e-12
    last = torch.cat([tokens[:, 0] for tokens in theirs.get_intermediate_layers(large, 4)], dim=1)
    assert difference(VIT_SMALL.read(ours, large, "last4"), last) < 1e-12
    mean = theirs.get_intermediate_layers(large, 1)[0][:, 1:].mean(dim=1)
    assert difference(VIT_SMALL.read(ours, large, "mean"), mean) < 1e-12

    resized = theirs.interpolate_pos_encoding(torch.zeros(1, 37, 384), 96, 96)
    alike = VIT_SMALL.network(state | {"pos_embed": resized})
    assert difference(alike(small), theirs(small)) < 1e-12
    found = difference(ours(small), theirs(small))
    print(f"DINO's ViT-S at 96 pixels: features differ by {found:.2g} of the largest, for its positions' interpolation")
    assert found < 0.1


def test_mocov3_s_transformer(tools: Any, clone: Clone) -> None:
    clone("MOCOV3_REPO")
    from moco.builder import MoCo_ViT

    theirs = MoCo_ViT(lambda num_classes: TINY.classifier(num_classes, IMAGENET, tools.SIZE), 64, 128, 0.2).train()
    config = tools.read("mocov3", feature_dim=64, hidden=128, temperature=0.2, arch="vit_small_mocov3")
    torch.manual_seed(0)
    ours = config.method.learner(replace(config.shape(classes=4), architecture=TINY)).train()
    state = theirs.state_dict()
    for mine, name in ((ours.online, "base_encoder."), (ours.target.branch, "momentum_encoder.")):
        tools.given(mine, tools.part(state, name))
    tools.given(ours.predictor, tools.part(state, "predictor"))
    drawn = [p.clone() for p in ours.parameters() if not p.requires_grad]

    loss, pairs = tools.mocov3_sides(ours, theirs)
    both = tools.sgd(p for _, p in ours.trained()), tools.sgd(p for p in theirs.parameters() if p.requires_grad)
    assert max(tools.Beside(config, ours, loss, both, pairs).run().values()) < 1e-5
    online = [p for p in ours.online.parameters() if not p.requires_grad]
    assert len(online) == 3
    assert all(torch.equal(now, before) for now, before in zip(online, drawn, strict=False))
