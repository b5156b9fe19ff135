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


class Sized(torchvision.models.ResNet):
    """A ResNet of any depth, width and stem."""

    def __init__(
        self, *depths: int, stem: int = 7, width: int = 64, taken: int = 3, kernel: int = 3, biased: bool = False
    ) -> None:
        super().__init__(torchvision.models.resnet.BasicBlock, list(depths))
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                side = stem if name == "conv1" else module.kernel_size[0] if "downsample" in name else kernel
                channels = (module.in_channels * width // 64, module.out_channels * width // 64)
                made = nn.Conv2d(taken if name == "conv1" else channels[0], channels[1], side, bias=biased)
                self.get_submodule(name.rpartition(".")[0]).add_module(name.rpartition(".")[2], made)
            elif isinstance(module, nn.BatchNorm2d):
                norm = nn.BatchNorm2d(module.num_features * width // 64)
                self.get_submodule(name.rpartition(".")[0]).add_module(name.rpartition(".")[2], norm)


def sized(*depths: int, **how: Any) -> Callable[[], State]:
    return lambda: state_of(lambda: Sized(*depths, **how))


PARTS: dict[str, tuple[Callable[[], State], tuple[str, ...]]] = {
    "a stem of 5 × 5": (sized(2, 2, 2, 2, stem=5), ("backbone: its stem is one convolution of 5 × 5 (resnet18: 7 × 7)\n",)),
    "half as wide": (
        sized(2, 2, 2, 2, width=32),
        (
            "backbone: its stem puts out 32 channels (resnet18: 64) and "
            "layer1 to layer4 put out 32, 64, 128, 256 channels (resnet18: 64, 128, 256, 512)\n",
        ),
    ),
    "a half wider": (
        sized(2, 2, 2, 2, width=96),
        ("wider than a ResNet", "96, 192, 384, 768 channels (resnet18: 64, 128, 256"),
    ),
    "two channels": (sized(2, 2, 2, 2, taken=2), ("does not take 3", "its first convolution takes 2 channels (resnet18: 3)")),
    "ResNet-10": (sized(1, 1, 1, 1), ("backbone: layer1 to layer4 have 1, 1, 1, 1 blocks (resnet18: 2, 2, 2, 2)\n",)),
    "blocks of 5 × 5": (sized(2, 2, 2, 2, kernel=5), ("conv1 of its blocks is 5 × 5 (resnet18: 3 × 3) and conv2 of",)),
    "biases": (sized(3, 4, 6, 3, biased=True), ("backbone: its convolutions have biases (resnet34: no biases)\n",)),
    "32 groups": (
        lambda: state_of(torchvision.models.resnext50_32x4d),
        ("it is a ResNeXt", "conv2 of its blocks works in 32 groups (resnet50: 1)", "are 128, 256, 512, 1024 channels"),
    ),
    "CIFAR's, narrow": (sized(2, 2, 2, 2, stem=3, width=16), ("its stem is one 3×3 convolution", "put out 16, 32, 64, 128")),
    "a network of sound": (
        lambda: {name: tensor[..., 0] if tensor.dim() == 4 else tensor for name, tensor in resnet18().items()},
        ("a network of signals such as sound", "its stem is one convolution of 7 (resnet18: 7 × 7)"),
    ),
    "a ViT of 6 blocks": (
        of_timm("vit_small_patch16_224", depth=6, mlp_ratio=2),
        ("backbone: it has 6 blocks (vit_small: 12) and its perceptrons are 768 wide (vit_small: 1536)\n",),
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_the_part_that_differs_is_named_with_what_was_seen_and_what_is_taken(tmp_path: Path, name: str) -> None:
    make, words = PARTS[name]
    torch.save({"encoder": make()}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError) as caught:
        sources.load(str(tmp_path / "other.pth"))
    assert all(each in str(caught.value) for each in words)
    assert "take a checkpoint of one of those" in str(caught.value) or "if it is cut" in str(caught.value)


def test_a_network_without_its_last_layer_is_cut_and_not_of_another_depth(tmp_path: Path) -> None:
    torch.save({name: tensor for name, tensor in resnet18().items() if "layer4" not in name}, tmp_path / "cut.pth")
    with pytest.raises(CheckpointError, match="noise; get the whole checkpoint") as caught:
        sources.load(str(tmp_path / "cut.pth"))
    assert " blocks (resnet18" not in str(caught.value)


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
