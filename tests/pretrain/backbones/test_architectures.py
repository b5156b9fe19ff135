"""Every architecture of the table: built as its library builds it, and what it says of itself is so."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from pretrain import backbones
from pretrain.backbones import BACKBONES, SMALL, Architecture, resnet, shapes_of
from pretrain.backbones.resnet import ResNet
from pretrain.backbones.vit import PATCH, VIT_SMALL, FixedTransformer
from pretrain.core.errors import ConfigError

IMAGES = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
OUTPUTS = 5


@pytest.fixture(scope="module", params=BACKBONES)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return backbones.get(request.param)


@pytest.fixture(scope="module")
def trunk(architecture: Architecture) -> Iterator[nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield architecture.build(OUTPUTS)[0].eval()


def library(architecture: Architecture) -> nn.Module:
    """The model as its library's users build it."""
    if isinstance(architecture, ResNet):
        return getattr(torchvision.models, architecture.name)(num_classes=OUTPUTS)
    if isinstance(architecture, FixedTransformer):
        name = f"{architecture.name.removesuffix('_mocov3')}_patch16_224"
        return timm.create_model(name, num_classes=OUTPUTS, num_heads=12, weight_init="moco")
    return timm.create_model(f"{architecture.name}_patch16_224", num_classes=OUTPUTS)


def test_with_a_seed_the_weights_are_the_library_s_own(architecture: Architecture) -> None:
    torch.manual_seed(3)
    theirs = library(architecture).state_dict()
    torch.manual_seed(3)
    trunk, linear = architecture.build(OUTPUTS)
    ours = trunk.state_dict() | {f"{architecture.head}.{name}": tensor for name, tensor in linear.state_dict().items()}
    assert ours.keys() == theirs.keys()
    apart = {name for name in theirs if not torch.equal(ours[name], theirs[name])}
    fixed = {"pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert apart == (fixed if isinstance(architecture, FixedTransformer) else set())


def test_the_features_are_those_before_the_library_s_classifier(architecture: Architecture, trunk: nn.Module) -> None:
    torch.manual_seed(3)
    theirs: Any = library(architecture).eval()
    theirs.load_state_dict(trunk.state_dict(), strict=False)  # MoCo v3's positions are not drawn by timm; the head stays
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = trunk(images)
        assert ours.shape == (2, architecture.width)
        torch.testing.assert_close(getattr(theirs, architecture.head)(ours), theirs(images), rtol=0, atol=0)


def test_the_skeleton_is_what_a_trunk_holds(architecture: Architecture, trunk: nn.Module) -> None:
    skeleton, state = architecture.skeleton(), trunk.state_dict()
    assert list(skeleton) == list(state)
    assert shapes_of(skeleton) == shapes_of(state)
    assert {name: tensor.dtype for name, tensor in skeleton.items()} == {name: tensor.dtype for name, tensor in state.items()}
    assert all(architecture.names.fullmatch(name) for name in state)
    assert {name.split(".")[0] for name in state} <= architecture.parts
    assert architecture.first in state


def test_a_network_of_its_tensors_computes_the_same_and_draws_nothing(architecture: Architecture, trunk: nn.Module) -> None:
    before = torch.get_rng_state()
    again = architecture.network(trunk.state_dict())
    assert torch.equal(torch.get_rng_state(), before)
    assert not again.training
    wanted = [parameter.requires_grad for parameter in trunk.parameters()]
    assert [parameter.requires_grad for parameter in again.parameters()] == wanted
    assert all(wanted) != isinstance(architecture, FixedTransformer)
    with torch.no_grad():
        assert torch.equal(again(IMAGES), trunk(IMAGES))
        next(again.parameters()).zero_()
        assert next(trunk.parameters()).any()  # the tensors are copies


def test_the_maps_are_named_and_of_falling_resolution(architecture: Architecture, trunk: nn.Module) -> None:
    with torch.no_grad():
        maps = architecture.maps(trunk, IMAGES)
    strides = (4, 8, 16, 32) if architecture.pyramid else (16,) * 4
    assert [tuple(found.shape[2:]) for found in maps] == [(32 // stride, 64 // stride) for stride in strides]
    assert maps[-1].shape[:2] == (2, architecture.width)
    assert len(maps) == len(architecture.map_names)


def test_equal_entries_are_one_and_unknown_names_are_refused(architecture: Architecture) -> None:
    assert backbones.get(architecture.name) == architecture
    assert architecture in backbones.every()
    with pytest.raises(ConfigError, match="did you mean 'vit_small'"):
        backbones.get("vit_smal")
    with pytest.raises(ConfigError, match="unknown stem of"):
        architecture.build(OUTPUTS, stem="tiny")


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_small_stem_keeps_the_resolution_and_is_read_off_the_tensors(name: str) -> None:
    architecture = resnet.named(name)
    torch.manual_seed(3)
    trunk = architecture.build(OUTPUTS, stem=SMALL)[0].eval()
    shapes = shapes_of(trunk.state_dict())
    assert architecture.stem_of(shapes) == SMALL
    assert shapes == shapes_of(architecture.skeleton(stem=SMALL))
    with torch.no_grad():
        first, *_, last = architecture.maps(architecture.network(trunk.state_dict()), IMAGES)
        assert torch.equal(trunk(IMAGES), last.mean(dim=(2, 3)))
    assert first.shape[2:] == IMAGES.shape[2:]


def test_a_vit_is_no_resnet() -> None:
    with pytest.raises(ConfigError, match="vit_small is no ResNet"):
        resnet.named("vit_small")


@pytest.fixture(scope="module")
def small_vit() -> dict[str, Tensor]:
    """The weights of a ViT that was built for 64 pixels."""
    torch.manual_seed(3)
    return VIT_SMALL.build(OUTPUTS, size=64)[0].state_dict()


def test_a_vit_s_size_is_read_off_its_position_embeddings(small_vit: dict[str, Tensor]) -> None:
    shapes = shapes_of(small_vit)
    assert shapes["pos_embed"] == (1, 1 + (64 // PATCH) ** 2, 384)
    assert VIT_SMALL.size_of(shapes) == 64
    assert shapes == shapes_of(VIT_SMALL.skeleton(size=64))
    assert VIT_SMALL.size_of({"pos_embed": (1, 18, 384)}) == 224  # a second token beside the class's


def test_a_vit_of_64_pixels_sees_other_sizes_as_if_resized(small_vit: dict[str, Tensor]) -> None:
    network = VIT_SMALL.network(small_vit)
    resized: Any = VIT_SMALL.build(OUTPUTS, size=96)[0].eval()
    place, grid = small_vit["pos_embed"][:, :1], small_vit["pos_embed"][:, 1:].reshape(1, 4, 4, -1).permute(0, 3, 1, 2)
    grid = nn.functional.interpolate(grid, (6, 6), mode="bicubic", antialias=True)  # timm's resample_abs_pos_embed
    resized.load_state_dict(small_vit | {"pos_embed": torch.cat([place, grid.flatten(2).transpose(1, 2)], dim=1)})
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(network(images), resized(images), rtol=1e-4, atol=1e-5)


def test_a_vit_s_features_are_the_class_token_after_the_final_norm(small_vit: dict[str, Tensor]) -> None:
    network: Any = VIT_SMALL.network(small_vit)
    with torch.no_grad():
        tokens = network.blocks(network._pos_embed(network.patch_embed(IMAGES)))
        torch.testing.assert_close(network(IMAGES), network.norm(tokens)[:, 0], rtol=0, atol=0)
        last = VIT_SMALL.maps(network, IMAGES)[-1]
    torch.testing.assert_close(last.flatten(2).transpose(1, 2), tokens[:, 1:], rtol=0, atol=0)


def test_a_vit_has_the_heads_its_entry_says(small_vit: dict[str, Tensor]) -> None:
    for architecture in (VIT_SMALL, backbones.get("vit_base")):
        model: Any = timm.create_model(f"{architecture.name}_patch16_224", num_classes=0)
        assert {block.attn.num_heads for block in model.blocks} == {architecture.unseen["heads"]}


@pytest.mark.parametrize(("size", "fix"), [(40, "--set size=32 or size=48"), (9, "--set size=16")])
def test_a_size_that_patches_do_not_fill_is_refused_with_the_nearest(size: int, fix: str) -> None:
    with pytest.raises(ConfigError, match=f"can't see images of {size} × {size} pixels(.|\n)*multiples of 16(.|\n)*{fix}"):
        VIT_SMALL.build(OUTPUTS, size=size)
    resnet.RESNET18.require_size(size)


def test_a_view_of_such_a_size_is_refused_wherever_it_is_seen(small_vit: dict[str, Tensor]) -> None:
    with pytest.raises(ConfigError, match="can't see images of 40 × 40"):
        VIT_SMALL.network(small_vit)(torch.zeros(1, 3, 64, 40))


TIMM_IS_NOT_NEEDED = """
import sys, torch, bench.cli
from pretrain import backbones
from transfer import sources
backbones.every()
torch.save(sources.load("random:resnet18").state, sys.argv[1])
print(sources.load(sys.argv[1]).network() and "timm" in sys.modules)
"""


def test_timm_is_imported_only_where_a_vit_is_built(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TIMM_IS_NOT_NEEDED, str(tmp_path / "resnet18.pth")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_blocks_that_begin_as_the_identity_are_torchvisions(name: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(num_classes=3, zero_init_residual=True).state_dict()
    torch.manual_seed(0)
    architecture = backbones.get(name)
    trunk, _ = architecture.build(3)
    architecture.zero_init_residual(trunk)
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in trunk.state_dict().items())
