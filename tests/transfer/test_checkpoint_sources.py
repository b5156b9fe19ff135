"""Our own files, torchvision's and random backbones; converting and proving them."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import functional

from pretrain.backbones.resnet import RESNET50
from pretrain.backbones.vit import VIT_SMALL
from pretrain.checkpoint import save_backbone
from pretrain.core.errors import CheckpointError, ConfigError, ProofError
from pretrain.images.normalise import IMAGENET_MEAN, IMAGENET_STD
from pretrain.provenance import Provenance
from transfer import convert, prove, sources
from transfer.sources import Backbone


def weights(arch: str = "resnet18", seed: int = 0) -> dict[str, torch.Tensor]:
    """A torchvision ResNet with random statistics too, so that a swapped norm shows."""
    torch.manual_seed(seed)
    model = getattr(torchvision.models, arch)()
    state = model.state_dict()
    for name, tensor in state.items():
        if "running_var" in name:
            tensor.uniform_(0.5, 1.5)
        elif "bn" in name and tensor.is_floating_point():
            tensor.normal_(0.1, 0.2)
    return dict(state)


def without_head(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_our_own_file_comes_back_with_its_provenance(tmp_path: Path) -> None:
    provenance = Provenance(method="mocov2", aug="cutmix", supervision="semi", label_fraction=0.5, arch="resnet18", epochs=3)
    save_backbone(tmp_path / "b.pth", without_head(weights()), provenance)
    backbone = sources.load(str(tmp_path / "b.pth"))
    assert (backbone.arch, backbone.source, backbone.provenance) == ("resnet18", "bench", provenance)
    assert same(backbone.state, without_head(weights()))


@pytest.mark.parametrize("arch", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_a_torchvision_file_is_recognised_with_its_architecture(tmp_path: Path, arch: str) -> None:
    torch.save(weights(arch), tmp_path / "tv.pth")
    backbone = sources.load(str(tmp_path / "tv.pth"))
    assert (backbone.arch, backbone.source, backbone.dropped) == (arch, "torchvision", ("fc.weight", "fc.bias"))


def test_a_random_backbone_is_the_same_for_the_same_seed() -> None:
    first, again, other = (sources.load(f"random:resnet18{seed}") for seed in ("", ":0", ":1"))
    assert first.sha256 == again.sha256 != other.sha256
    assert same(first.state, again.state)


@pytest.mark.parametrize("name", ["random:resnet19", "random:resnet18:x", "random:resnet18:1:2"])
def test_a_random_backbone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError):
        sources.load(name)


def moco_script(name: str) -> str:
    """The published chain of replacements, as a rule of its own (moco @7397dfe, convert-pretrain-to-detectron2.py)."""
    if "layer" not in name:
        name = "stem." + name
    for t in (1, 2, 3, 4):
        name = name.replace(f"layer{t}", f"res{t + 1}")
    for t in (1, 2, 3):
        name = name.replace(f"bn{t}", f"conv{t}.norm")
    return name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_detectron2_names_are_those_of_the_published_converter_without_the_head(arch: str) -> None:
    state = without_head(weights(arch))
    assert set(convert.to_detectron2(state)) == {moco_script(name) for name in state}


def test_mmseg_names_are_torchvisions() -> None:
    assert same(convert.to_mmseg(without_head(weights())), without_head(weights()))


def backbone(arch: str = "resnet50") -> Backbone:
    return Backbone(arch, without_head(weights(arch)), Provenance(method="random", arch=arch), "0" * 64, "random")


def maps(model: nn.Module) -> prove.Features:
    """The feature maps of a ResNet, as an engine computes them."""
    return partial(RESNET50.maps, model)


def test_the_reference_is_torchvisions_dilated_resnet() -> None:
    expected = torchvision.models.resnet50(replace_stride_with_dilation=[False, False, True])
    expected.load_state_dict(backbone().state, strict=False)
    expected.layer4[0].conv2.dilation = expected.layer4[0].conv2.padding = (2, 2)  # torchvision leaves the first at 1
    ours = prove.reference(backbone(), strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = RESNET50.maps(expected.eval(), images)
        for a, b in zip(RESNET50.maps(ours, images), theirs, strict=True):
            assert torch.equal(a, b)


def test_a_proof_passes_only_for_the_same_model() -> None:
    model = prove.reference(backbone())
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("fc.")}
    proof = prove.prove(backbone(), state, maps(model), prove.reference(backbone()))
    assert proof == {"tensors": 318.0, "max_feature_difference": 0.0}


def test_features_that_are_not_finite_prove_nothing() -> None:
    given = sources.load("random:resnet18")
    huge = dataclasses.replace(given, state={name: tensor * 1e30 for name, tensor in given.state.items()})
    model = huge.network()
    with pytest.raises(CheckpointError, match=r"features of this resnet18 are not finite(.|\n)*layer\d is the first"):
        prove.prove(huge, model.state_dict(), partial(huge.architecture.maps, model), huge.network())
    usual = given.network()
    with pytest.raises(ProofError, match="layer1 inf"):
        prove.prove(
            given, usual.state_dict(), lambda images: [each * math.nan for each in maps(usual)(images)], given.network()
        )


def test_a_vision_transformer_is_proven_and_another_number_of_heads_is_caught() -> None:
    given = sources.load("random:vit_small:1")
    model = given.network()
    proof = prove.prove(given, model.state_dict(), partial(VIT_SMALL.maps, model), given.network())
    assert proof == {"tensors": 150.0, "max_feature_difference": 0.0}
    other = dataclasses.replace(VIT_SMALL, heads=12).network(given.state)  # MoCo v3's: the same names and shapes
    with pytest.raises(ProofError, match=r"blocks\.2 \d\S*[1-9]\S*, blocks\.5 "):
        prove.prove(given, other.state_dict(), partial(VIT_SMALL.maps, other), model)
    with pytest.raises(ConfigError, match="vit_small is no ResNet"):
        prove.reference(given)


def test_two_norms_swapped_are_caught() -> None:
    given, swapped = backbone("resnet18"), dict(backbone("resnet18").state)
    first, second = "layer1.0.bn1.running_mean", "layer1.0.bn2.running_mean"
    swapped[first], swapped[second] = swapped[second], swapped[first]
    with pytest.raises(ProofError, match="2 different"):
        prove.prove(given, swapped, maps(prove.reference(given)), prove.reference(given))


def test_a_stride_in_the_wrong_convolution_is_caught() -> None:
    wrong = prove.reference(backbone())
    block = wrong.layer2[0]
    block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
    with pytest.raises(ProofError, match=r"layer1 0, layer2 0\.\d*[1-9]"):
        prove.prove(backbone(), backbone().state, maps(wrong), prove.reference(backbone()))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_model_with_a_stem_of_three_convolutions_is_caught() -> None:
    mmseg = pytest.importorskip("mmseg.models", reason="MMSegmentation is not installed")
    model = mmseg.backbones.ResNetV1c(depth=18, out_indices=(0, 1, 2, 3), contract_dilation=True)
    given = backbone("resnet18")
    model.load_state_dict(given.state, strict=False)
    model.eval()
    with pytest.raises(ProofError, match=r"6 not loaded: .*; 18 not in the checkpoint: stem.0.weight, "):
        prove.prove(given, model.state_dict(), lambda x: list(model(x)), prove.reference(given))


def test_a_first_convolution_for_bgr_is_caught() -> None:
    given = backbone("resnet18")
    flipped = {**given.state, "conv1.weight": given.state["conv1.weight"].flip(1)}
    expected = prove.reference(given)
    with pytest.raises(ProofError, match=r"fatal: 1 different: conv1.weight\n"):
        prove.prove(given, flipped, maps(expected), expected)


def test_the_grouped_list_tells_the_fatal_from_the_new_and_the_dropped() -> None:
    given = dataclasses.replace(backbone("resnet18"), dropped=("fc.weight", "queue", *(f"head{n}.weight" for n in range(4))))
    expected, heads = prove.reference(given), ["decode_head.conv_seg.weight", "decode_head.conv_seg.bias"]
    with pytest.raises(ProofError) as stopped:
        prove.prove(given, {}, maps(expected), expected, new=heads)
    assert "fatal: 120 not loaded: bn1.bias, bn1.num_batches_tracked, bn1.running_mean, …\n" in str(stopped.value)
    assert "expected-new: 2, decode_head.conv_seg (2)\n" in str(stopped.value)
    assert "dropped: 6, fc (1), queue (1), head0 (1), …\n" in str(stopped.value)


@pytest.mark.parametrize(
    ("prepared", "words"),
    [
        (lambda rgb: rgb.flip(0), "the order BGR"),
        (lambda rgb: rgb * 58 + 116, "the order RGB; largest"),
        (lambda rgb: torch.zeros_like(rgb), "the order is unknown"),
    ],
)
def test_a_model_that_sees_other_pixels_is_caught(prepared: Callable[[Tensor], Tensor], words: str) -> None:
    def read(path: Path) -> Tensor:
        with Image.open(path) as picture:
            pixels = functional.to_tensor(picture)
        return functional.normalize(pixels, IMAGENET_MEAN, IMAGENET_STD)

    prove.prove_input(read)
    with pytest.raises(ProofError, match=words):
        prove.prove_input(lambda path: prepared(read(path)))


def test_a_tensor_that_was_not_loaded_is_named() -> None:
    given = backbone("resnet18")
    partial = {name: tensor for name, tensor in given.state.items() if name != "conv1.weight"}
    with pytest.raises(ProofError, match=r"fatal: 1 not loaded: conv1.weight\n"):
        prove.prove(given, partial, maps(prove.reference(given)), prove.reference(given))
