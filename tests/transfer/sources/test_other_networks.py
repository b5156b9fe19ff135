"""Networks that resemble those of the table, and parts of them: each refusal says what it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from pretrain.core.errors import CheckpointError
from transfer import sources

State = dict[str, Tensor]


def state_of(build: Callable[[], nn.Module]) -> State:
    """A state dict of zeros that shares one number."""
    with torch.device("meta"):
        shapes = build().state_dict()
    return {name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in shapes.items()}


def resnet18(**more: Tensor) -> State:
    return state_of(torchvision.models.resnet18) | {name.replace("__", "."): tensor for name, tensor in more.items()}


def of_timm(name: str, **how: Any) -> Callable[[], State]:
    return lambda: state_of(lambda: timm.create_model(name, **how))


def part(*sides: int) -> Tensor:
    return torch.zeros(()).expand(sides)


def anti_aliased() -> State:
    """A blur before each strided convolution, and in the place of the pooling, as adobe/antialiased-cnns names them."""
    moved = {name.replace("layer2.0.conv2.", "layer2.0.conv2.1."): tensor for name, tensor in resnet18().items()}
    return moved | {"layer2.0.conv2.0.filt": part(128, 1, 4, 4), "maxpool.1.filt": part(64, 1, 4, 4)}


def in_stage_3() -> State:
    """DeepSpeed's ZeRO stage 3: parameters are gone, buffers stay."""
    return {name: tensor if "running" in name or "num_" in name else torch.empty(0) for name, tensor in resnet18().items()}


def adapters() -> State:
    at = "base_model.model.resnet.encoder.stages.0.layers.0.layer.0.convolution"
    return {f"{at}.lora_A.weight": part(8, 64, 3, 3), f"{at}.lora_B.weight": part(64, 8, 1, 1)}


def of_volumes() -> State:
    return {
        name: tensor[:, :, None].expand(-1, -1, 3, -1, -1) if tensor.dim() == 4 else tensor
        for name, tensor in resnet18().items()
    }


OTHERS: dict[str, tuple[Callable[[], Any], str]] = {
    "an anti-aliased ResNet": (anti_aliased, "it blurs (anti-aliasing)"),
    "attention of channels": (lambda: resnet18(layer1__0__ca__fc1__weight=part(4, 64, 1, 1)), "more parts than a ResNet's"),
    "selective kernels": (of_timm("skresnet18"), "more parts than a ResNet's"),
    "a pre-activation ResNet": (of_timm("resnetv2_50"), "pre-activation ResNet"),
    "3 × 3 × 3": (of_volumes, "a network of videos or volumes"),
    "a ConvNeXt": (of_timm("convnext_atto"), "its names are those of no network that is read here"),
    "a Swin": (of_timm("swin_tiny_patch4_window7_224"), "it is a vision transformer"),
    "adapters alone": (adapters, "merge them first, with the weights"),
    "ZeRO stage 3": (in_stage_3, "the weights lie in other files (ZeRO stage 3"),
    "a generator's state": (lambda: {"cpu": torch.get_rng_state()}, "its tensors are no weights"),
    "an optimiser's state in a list": (
        lambda: {"optimizer_states": [{"state": {0: {"exp_avg": part(64, 3, 7, 7)}}, "param_groups": []}]},
        "an optimiser's state alone",
    ),
    "ViT-Ti": (of_timm("vit_tiny_patch16_224"), "of another size than ViT-S and ViT-B"),
    "no class token": (of_timm("vit_small_patch16_224", class_token=False, global_pool="avg"), "without a class token"),
    "the mean of patches": (of_timm("vit_small_patch16_224", global_pool="avg", fc_norm=True), "fc_norm"),
    "relative positions": (of_timm("beit_base_patch16_224"), "relative positions, such as BEiT"),
    "CLIP's, by its own names": (
        lambda: {"visual.ln_pre.weight": part(768), "visual.conv1.weight": part(768, 3, 16, 16)},
        "a norm before its blocks, such as CLIP's",
    ),
    "weights of 8 bits with a point": (
        lambda: resnet18(bn1__weight=torch.zeros(64).to(torch.float8_e4m3fn)),
        "is float8_e4m3fn",
    ),
    "complex numbers": (lambda: resnet18(bn1__weight=torch.zeros(64, dtype=torch.complex64)), "is complex64"),
    "a variance below 0": (lambda: resnet18(bn1__running_var=torch.full((64,), -0.5)), "64 variances below 0, the least -0.5"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_refused_and_called_what_it_is(tmp_path: Path, name: str) -> None:
    make, words = OTHERS[name]
    torch.save(make(), tmp_path / "other.pth")
    with pytest.raises(CheckpointError) as caught:
        sources.load(str(tmp_path / "other.pth"))
    assert words in str(caught.value)
    assert "get the whole checkpoint" not in str(caught.value)  # it may be whole


def test_what_is_missing_alone_is_said_to_be_part_of_a_checkpoint(tmp_path: Path) -> None:
    torch.save({name: tensor for name, tensor in resnet18().items() if "layer4" not in name}, tmp_path / "part.pth")
    with pytest.raises(CheckpointError, match="get the whole checkpoint"):
        sources.load(str(tmp_path / "part.pth"))


def test_weights_that_are_views_of_one_row_are_kept_without_the_row(tmp_path: Path) -> None:
    """DeepSpeed and FSDP keep all weights in a row; whoever wrote such a view with torch.save would write the row with each."""
    state, at = resnet18(), 0
    row = torch.rand(sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point()))
    for name, tensor in state.items():
        if tensor.is_floating_point():
            state[name] = row[at : at + tensor.numel()].view(tensor.shape)
            at += tensor.numel()
    torch.save(state, tmp_path / "row.pth")
    read = sources.load(str(tmp_path / "row.pth")).state
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in read.values())
    assert torch.equal(read["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
