"""Vision transformers: timm's files and this project's are read, those of other functions are refused."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from pretrain.backbones.vit import VIT_BASE, VIT_SMALL
from pretrain.checkpoint import save_backbone
from pretrain.core.errors import CheckpointError
from pretrain.provenance import Provenance
from transfer import sources

State = dict[str, Tensor]


def weights(size: int = 224, seed: int = 1) -> State:
    """A ViT-S without a classifier, and in every tensor one random number of its own, which keeps files small."""
    rng = torch.Generator().manual_seed(seed)
    skeleton = VIT_SMALL.skeleton(size=size)
    return {name: torch.randn((), generator=rng).expand(tensor.shape) for name, tensor in skeleton.items()}


def with_head(state: State) -> State:
    return state | {"head.weight": torch.zeros(10, 384), "head.bias": torch.zeros(10)}


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("size", [224, 64])
def test_our_own_file_comes_back_whatever_size_it_was_trained_at(tmp_path: Path, size: int) -> None:
    provenance = Provenance(method="mocov2", supervision="self", arch="vit_small", epochs=3)
    head = nn.Linear(384, 8)
    save_backbone(tmp_path / "b.pth", weights(size), provenance, projector=head)
    backbone = sources.load(str(tmp_path / "b.pth"))
    assert (backbone.arch, backbone.source, backbone.stem) == ("vit_small", "bench", "imagenet")
    assert backbone.provenance == provenance
    assert backbone.projector is not None
    assert torch.equal(backbone.projector[0].weight, head.weight)
    assert same(backbone.state, weights(size))
    assert backbone.network()(torch.zeros(1, 3, 32, 32)).shape == (1, 384)


def test_our_own_file_is_of_the_architecture_that_it_says(tmp_path: Path) -> None:
    save_backbone(tmp_path / "b.pth", weights(), Provenance(method="mocov2", arch="vit_base"))
    with pytest.raises(CheckpointError, match=r"no whole backbone(.|\n)*nearest is vit_base"):
        sources.load(str(tmp_path / "b.pth"))


def test_the_state_dict_of_timm_s_model_is_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model("vit_small_patch16_224", num_classes=10).eval()
    torch.save(model.state_dict(), tmp_path / "vit.pth")
    backbone = sources.load(str(tmp_path / "vit.pth"))
    assert (backbone.source, backbone.arch, backbone.dropped) == ("plain", "vit_small", ("head.weight", "head.bias"))
    assert backbone.why == (
        "recognised by patch_embed.proj.weight in the top level; "
        "read with 6 attention heads, as timm's, DINO's and DeiT's, which no tensor shows"
    )
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(backbone.network()(images), model.forward_head(model.forward_features(images), pre_logits=True))


def test_safetensors_of_timm_are_read_at_another_size(tmp_path: Path) -> None:
    """huggingface/pytorch-image-models @aa4b5850, timm/models/_hub.py; its vit_small_patch16_384 has 24 × 24 patches."""
    state = {name: tensor.contiguous() for name, tensor in with_head(weights(384)).items()}
    safetensors.torch.save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    backbone = sources.load(str(tmp_path / "model.safetensors"))
    assert (backbone.source, backbone.arch) == ("timm", "vit_small")
    assert backbone.state["pos_embed"].shape == (1, 577, 384)


def test_a_training_checkpoint_of_timm_gives_its_average(tmp_path: Path) -> None:
    """huggingface/pytorch-image-models @aa4b5850, timm/utils/checkpoint_saver.py _save."""
    saved = {"epoch": 9, "arch": "vit_small_patch16_224", "version": 2, "args": argparse.Namespace(), "optimizer": {}}
    saved |= {"state_dict": with_head(weights()), "state_dict_ema": with_head(weights(seed=2))}
    torch.save(saved, tmp_path / "last.pth.tar")
    backbone = sources.load(str(tmp_path / "last.pth.tar"))
    assert (backbone.source, backbone.branch, len(backbone.dropped)) == ("timm", "momentum", 2 + 152)
    assert same(backbone.state, weights(seed=2))
    assert "state_dict_ema" not in backbone.summary()[1]
    assert same(sources.load(str(tmp_path / "last.pth.tar"), branch="online").state, weights())


def test_a_whole_encoder_that_is_dropped_is_listed_as_one() -> None:
    keys = tuple(f"encoder_k.{name}" for name in weights())
    assert sources.groups(keys) == {"encoder_k": 150}


def mocov2() -> Any:
    """facebookresearch/moco @7397dfe has no ViT: whoever put one into its layout may have made it with any heads."""
    state = prefixed("module.encoder_q.", weights()) | prefixed("module.encoder_k.", weights(seed=2))
    return {"epoch": 300, "arch": "vit_small", "state_dict": state, "optimizer": {}}


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "in MoCo v2's layout": (mocov2, "it is a vision transformer"),
    "part of one": (
        lambda: {name: tensor for name, tensor in weights().items() if "blocks.11" not in name},
        "nearest is vit_small, with 12 tensors amiss: 12 missing: blocks.11.attn.proj.bias",
    ),
    "another width": (lambda: {k: torch.zeros(()).expand(t.shape[:-1] + (9,)) for k, t in weights().items()}, "another shape"),
    "patches of 8": (lambda: weights() | {"patch_embed.proj.weight": torch.zeros(384, 3, 8, 8)}, "not of 16 × 16 pixels"),
    "layer scale": (lambda: weights() | {"blocks.0.ls1.gamma": torch.zeros(384)}, "with layer scale, such as DINOv2's"),
    "registers": (lambda: weights() | {"reg_token": torch.zeros(1, 4, 384)}, "more tokens than the class's"),
    "distilled": (
        lambda: weights() | {"dist_token": torch.zeros(1, 1, 384), "pos_embed": torch.zeros(1, 198, 384)},
        "more tokens than the class's",
    ),
    "CLIP's": (lambda: weights() | {"norm_pre.weight": torch.zeros(384)}, "a norm before its blocks"),
    "mean pooling": (
        lambda: {name.replace("norm.", "fc_norm.") if name.startswith("norm.") else name: t for name, t in weights().items()},
        "2 missing: norm.bias, norm.weight; dropped: fc_norm",
    ),
    "not finite": (lambda: weights() | {"norm.bias": torch.full((384,), torch.nan)}, "norm.bias holds 384 values"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_its_reason(tmp_path: Path, name: str) -> None:
    make, reason = REFUSED[name]
    torch.save(make(), tmp_path / "vit.pth")
    with pytest.raises(CheckpointError) as caught:
        sources.load(str(tmp_path / "vit.pth"))
    assert reason in str(caught.value)
    assert all(f"\n  {part}" in str(caught.value) for part in ("seen:", "allowed:", "do:"))


@pytest.mark.parametrize("source", ["barlowtwins", "torchvision", "mocov2"])
def test_a_source_whose_vits_are_not_taken_refuses_a_plain_one(tmp_path: Path, source: str) -> None:
    torch.save(weights(), tmp_path / "vit.pth")
    with pytest.raises(CheckpointError, match=f"no backbone of {source} recognised(.|\n)*it is a vision transformer"):
        sources.load(str(tmp_path / "vit.pth"), source=source)


def test_a_random_one_is_what_timm_draws_with_the_seed() -> None:
    backbone = sources.load("random:vit_small:5")
    torch.manual_seed(5)
    theirs = timm.create_model("vit_small_patch16_224").state_dict()
    assert same(backbone.state, {name: tensor for name, tensor in theirs.items() if not name.startswith("head.")})
    assert sources.load("random:vit_small:5").sha256 == backbone.sha256 != sources.load("random:vit_small").sha256
    assert VIT_BASE.skeleton().keys() == backbone.state.keys()


def test_torchvision_s_weights_of_them_are_not_of_these_names() -> None:
    with pytest.raises(CheckpointError, match="unknown architecture 'vit_small'"):
        sources.load("torchvision:vit_small/IMAGENET1K_V1")
