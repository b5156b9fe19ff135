"""MoCo v3's vision transformers: fixed positions, a frozen projection, its own draw; and what else of a ViT can be read."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pretrain.backbones import resnet
from pretrain.backbones.vit import VIT_BASE_MOCOV3, VIT_SMALL, VIT_SMALL_MOCOV3, fixed_positions
from pretrain.core.errors import ConfigError

IMAGES = torch.randn(2, 3, 48, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def fixed() -> Any:
    torch.manual_seed(3)
    return VIT_SMALL_MOCOV3.build(5)[0].eval()


@pytest.mark.parametrize(("rows", "columns", "width"), [(3, 4, 8), (14, 14, 384)])
def test_fixed_positions_are_sines_and_cosines_of_the_row_and_then_of_the_column(rows: int, columns: int, width: int) -> None:
    table = fixed_positions(rows, columns, width)
    assert table.shape == (1, 1 + rows * columns, width)
    assert not table[0, 0].any()
    quarter = width // 4
    for place in (1, 2, columns, rows * columns // 2, rows * columns - 1):
        row, column = divmod(place, columns)
        for k in (0, 1, quarter - 1):
            frequency = 1 / 10000 ** (k / quarter)
            wanted = [f(at * frequency) for at in (row, column) for f in (math.sin, math.cos)]
            found = [float(table[0, 1 + place, part * quarter + k]) for part in range(4)]
            assert found == pytest.approx(wanted, abs=2e-6)


def test_a_network_of_another_size_has_the_positions_of_its_own(fixed: Any) -> None:
    assert torch.equal(fixed.pos_embed, fixed_positions(14, 14, 384))
    assert torch.equal(VIT_SMALL_MOCOV3.build(5, size=32)[0].pos_embed, fixed_positions(2, 2, 384))


def test_its_weights_are_xavier_s_queries_keys_and_values_each_for_itself(fixed: Any) -> None:
    block = fixed.blocks[3]
    bounds = {block.attn.qkv: math.sqrt(6 / (384 + 384)), block.mlp.fc1: math.sqrt(6 / (384 + 1536))}
    bounds[fixed.patch_embed.proj] = math.sqrt(6 / (3 * 16**2 + 384))
    for layer, bound in bounds.items():
        weight = layer.weight.detach()
        assert 0.99 * bound < float(weight.abs().max()) <= bound
        assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert not layer.bias.any()
    assert 0 < float(fixed.cls_token.detach().abs().max()) < 1e-5


def test_only_positions_and_the_projection_stay_as_drawn(fixed: Any) -> None:
    frozen = {name for name, parameter in fixed.named_parameters() if not parameter.requires_grad}
    assert frozen == {"pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert all(parameter.requires_grad for parameter in VIT_SMALL.build(5, size=32)[0].parameters())


def test_both_have_twelve_heads(fixed: Any) -> None:
    assert {block.attn.num_heads for block in fixed.blocks} == {12}
    assert (VIT_SMALL_MOCOV3.unseen["heads"], VIT_BASE_MOCOV3.unseen["heads"], VIT_SMALL.unseen["heads"]) == (12, 12, 6)


def test_other_heads_compute_other_features_of_the_same_tensors(fixed: Any) -> None:
    state = fixed.state_dict()
    with torch.no_grad():
        ours = fixed(IMAGES)
        assert torch.equal(VIT_SMALL_MOCOV3.network(state)(IMAGES), ours)
        assert (VIT_SMALL.network(state)(IMAGES) - ours).abs().max() > 1e-3


def after_blocks(network: Any) -> list[Tensor]:
    """The tokens after each block and the final norm, class token first."""
    tokens, found = network._pos_embed(network.patch_embed(IMAGES)), []
    for block in network.blocks:
        tokens = block(tokens)
        found.append(network.norm(tokens))
    return found


@torch.no_grad()
def test_the_readings_are_what_their_words_say(fixed: Any) -> None:
    tokens = after_blocks(fixed)
    mean = VIT_SMALL_MOCOV3.read(fixed, IMAGES, "mean")
    torch.testing.assert_close(mean, tokens[-1][:, 1:].mean(dim=1), rtol=1e-5, atol=1e-5)
    last = VIT_SMALL_MOCOV3.read(fixed, IMAGES, "last4")
    torch.testing.assert_close(last, torch.cat([each[:, 0] for each in tokens[-4:]], dim=1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(last[:, -384:], fixed(IMAGES), rtol=1e-5, atol=1e-5)


def test_a_reading_that_an_architecture_lacks_is_refused_with_those_it_has(fixed: nn.Module) -> None:
    VIT_SMALL.require_reading("last4")
    with pytest.raises(ConfigError, match=r"resnet18 can't be read as 'mean'(.|\n)*the mean over the last feature map\n"):
        resnet.RESNET18.require_reading("mean")
    with pytest.raises(ConfigError, match=r"the class token after the final norm; mean: the mean of the patch tokens"):
        VIT_SMALL.require_reading("first")
    with pytest.raises(ConfigError, match="can't see images of 40 × 40"):
        VIT_SMALL_MOCOV3.read(fixed, torch.zeros(1, 3, 40, 48), "mean")
