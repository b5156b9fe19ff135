"""The ViT files of six code bases: which network each holds is known by its code base, and shown by its features.

A file doesn't show how many attention heads a network has. Each fixture is named and laid out as the cited code does it; what
it computes is written here in plain steps, with the heads of that code.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from bench.verbs import convert
from pretrain import backbones
from pretrain.backbones import BACKBONES, shapes_of
from pretrain.backbones.vit import VIT_SMALL
from pretrain.core.errors import CheckpointError
from transfer import sources

State = dict[str, Tensor]
SIZE, BLOCKS = 32, 12
IMAGES = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))


def weights(seed: int) -> State:
    """A ViT-S whose tensors are overlapping windows of few random numbers: small files, and no two rows or columns alike."""
    rng, found = torch.Generator().manual_seed(seed), {}
    for name, tensor in VIT_SMALL.skeleton(size=SIZE).items():
        rows = tensor.shape[:-1]
        strides = [len(rows) - at for at in range(len(rows))] + [1]
        numbers = torch.randn(sum((n - 1) * by for n, by in zip(tensor.shape, strides, strict=True)) + 1, generator=rng)
        scale = 0.3 if "norm" in name or len(rows) != 1 else 0.06
        found[name] = (numbers * scale).as_strided(tensor.shape, strides)
    return found


def computed(state: State, images: Tensor, heads: int, eps: float = 1e-6) -> Tensor:
    """The class token after the last norm (N, D), in plain steps (arXiv:2010.11929, equations 1 to 4)."""

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].flatten(1).T + state[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        return (
            centred / (centred.square().mean(dim=-1, keepdim=True) + eps).sqrt() * state[f"{name}.weight"]
            + state[f"{name}.bias"]
        )

    patches = [images[:, :, y : y + 16, x : x + 16].flatten(1) for y in range(0, SIZE, 16) for x in range(0, SIZE, 16)]
    tokens = linear(torch.stack(patches, dim=1), "patch_embed.proj")
    x = torch.cat([state["cls_token"].expand(len(images), -1, -1), tokens], dim=1) + state["pos_embed"]
    for block in (f"blocks.{index}" for index in range(BLOCKS)):
        queries, keys, values = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, dim=-1)
        side, seen = queries.shape[-1] // heads, []
        for own in (slice(head * side, (head + 1) * side) for head in range(heads)):
            attention = (queries[..., own] @ keys[..., own].transpose(1, 2) / side**0.5).softmax(dim=-1)
            seen.append(attention @ values[..., own])
        x = x + linear(torch.cat(seen, dim=-1), f"{block}.attn.proj")
        hidden = linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")
        x = x + linear(hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5)), f"{block}.mlp.fc2")
    return norm(x, "norm")[:, 0]


def below(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def head(width: int = 384) -> State:
    return {"head.weight": torch.zeros(10, width), "head.bias": torch.zeros(10)}


def timm(mine: State, other: State) -> Any:
    """huggingface/pytorch-image-models @aa4b5850, models/_helpers.py: a model's state dict."""
    return mine | head()


def dino(mine: State, other: State) -> Any:
    """facebookresearch/dino @7c446df, main_dino.py, save_dict: the student is wrapped twice, the teacher of a ViT once."""
    heads = {"head.mlp.0.weight": torch.zeros(8, 384), "head.last_layer.weight_g": torch.zeros(8, 1)}
    student = below("module.", below("backbone.", other) | heads)
    return {
        "student": student,
        "teacher": below("backbone.", mine) | heads,
        "epoch": 100,
        "dino_loss": {"center": torch.zeros(1, 8)},
    }


def dino_backbone(mine: State, other: State) -> Any:
    """facebookresearch/dino @7c446df, hubconf.py: dino_deitsmall16_pretrain.pth, which hub loads into a ViT without a head."""
    return mine


def deit(mine: State, other: State) -> Any:
    """facebookresearch/deit @100e3cd, main.py: model, model_ema, optimizer, ..."""
    return {
        "model": mine | head(),
        "model_ema": other | head(),
        "epoch": 299,
        "optimizer": {},
        "lr_scheduler": {},
        "scaler": {},
    }


def mocov3(mine: State, other: State) -> Any:
    """facebookresearch/moco-v3 @c349e6e, main_moco.py save_checkpoint; moco/builder.py, MoCo_ViT; `arch` is its own name."""
    heads = {"head.0.weight": torch.zeros(8, 384), "head.6.weight": torch.zeros(8, 8)}
    both = below("base_encoder.", mine | heads) | below("momentum_encoder.", other | heads)
    state = below("module.", both | {"predictor.0.weight": torch.zeros(8, 8)})
    return {"epoch": 300, "arch": "vit_small", "state_dict": state, "optimizer": {}, "scaler": {}}


def mae(mine: State, other: State) -> Any:
    """facebookresearch/mae @efb2a80, util/misc.py save_model; models_mae.py: the encoder's names have no prefix."""
    decoder = {
        "mask_token": torch.zeros(1, 1, 8),
        "decoder_pos_embed": torch.zeros(1, 5, 8),
        "decoder_norm.weight": torch.ones(8),
    }
    decoder |= {"decoder_blocks.0.attn.qkv.weight": torch.zeros(24, 8), "decoder_embed.weight": torch.zeros(8, 384)}
    return {"model": mine | decoder, "optimizer": {}, "epoch": 799, "scaler": {}, "args": {"model": "mae_vit_small"}}


def transformers(mine: State, other: State) -> Any:
    """huggingface/transformers @d8b2b23, models/vit/modeling_vit.py: ViTForImageClassification; q, k and v apart."""
    return below("vit.", of_transformers(mine)) | {
        "classifier.weight": torch.zeros(10, 384),
        "classifier.bias": torch.zeros(10),
    }


def transformers_model(mine: State, other: State) -> Any:
    """The same file's ViTModel, as facebook/dino-vits16 is published, with a pooler that was never trained."""
    return of_transformers(mine) | {"pooler.dense.weight": torch.zeros(384, 384)}


def of_transformers(state: State) -> State:
    embeddings = {"cls_token": "cls_token", "pos_embed": "position_embeddings"}
    embeddings |= {f"patch_embed.proj.{kind}": f"patch_embeddings.projection.{kind}" for kind in ("weight", "bias")}
    named = {f"embeddings.{theirs}": state[ours] for ours, theirs in embeddings.items()}
    layers = {"attn.proj": "attention.output.dense", "norm1": "layernorm_before", "norm2": "layernorm_after"}
    layers |= {"mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense"}
    for kind in ("weight", "bias"):
        named[f"layernorm.{kind}"] = state[f"norm.{kind}"]
        for index in range(BLOCKS):
            block = f"encoder.layer.{index}"
            named |= {f"{block}.{theirs}.{kind}": state[f"blocks.{index}.{ours}.{kind}"] for ours, theirs in layers.items()}
            parts = state[f"blocks.{index}.attn.qkv.{kind}"].chunk(3)
            named |= {
                f"{block}.attention.attention.{name}.{kind}": part
                for name, part in zip(("query", "key", "value"), parts, strict=True)
            }
    return named


class Case(NamedTuple):
    """A file, and what it is."""

    make: Callable[[State, State], Any]
    source: str
    method: str
    heads: int = 6
    arch: str = "vit_small"
    branch: str = "online"
    eps: float = 1e-6
    told: str | None = None


CASES = {
    "timm": Case(timm, "plain", "unknown"),
    "DINO": Case(dino, "dino", "dino", branch="momentum"),
    "DINO's backbone": Case(dino_backbone, "plain", "unknown"),
    "DINO's backbone, said": Case(dino_backbone, "dino", "dino", told="dino"),
    "DeiT": Case(deit, "deit", "unknown (DeiT's layout)"),
    "MoCo v3": Case(mocov3, "mocov3", "mocov3", heads=12, arch="vit_small_mocov3"),
    "a bare one of MoCo v3": Case(dino_backbone, "mocov3", "mocov3", heads=12, arch="vit_small_mocov3", told="mocov3"),
    "MAE": Case(mae, "mae", "mae"),
    "transformers": Case(transformers, "huggingface-vit", "unknown", eps=1e-12),
    "transformers' model": Case(transformers_model, "huggingface-vit", "unknown", eps=1e-12),
}


@pytest.fixture(scope="module")
def mine() -> State:
    return weights(1)


@pytest.fixture(scope="module")
def other() -> State:
    return weights(2)


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_the_network_that_its_code_base_makes_of_it(tmp_path: Path, mine: State, other: State, name: str) -> None:
    case = CASES[name]
    torch.save(case.make(mine, other), tmp_path / "vit.pth")
    backbone = sources.load(str(tmp_path / "vit.pth"), source=case.told)
    assert (backbone.source, backbone.arch, backbone.branch) == (case.source, case.arch, case.branch)
    assert (backbone.provenance.method, backbone.provenance.arch) == (case.method, case.arch)
    assert all(torch.equal(tensor, mine[name]) for name, tensor in backbone.state.items())
    with torch.no_grad():
        found, wanted = backbone.network()(IMAGES), computed(mine, IMAGES, case.heads, case.eps)
        wrong = computed(mine, IMAGES, 18 - case.heads)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    assert (found - wrong).abs().max() > 0.01
    assert f"read with {case.heads} attention heads" in backbone.why


@pytest.mark.parametrize(("make", "branch"), [(dino, "online"), (deit, "momentum"), (mocov3, "momentum")])
def test_the_other_encoder_of_a_pair_is_taken_where_it_is_asked_for(
    tmp_path: Path, mine: State, other: State, make: Callable[[State, State], Any], branch: str
) -> None:
    torch.save(make(mine, other), tmp_path / "vit.pth")
    backbone = sources.load(str(tmp_path / "vit.pth"), branch=branch)
    assert all(torch.equal(tensor, other[name]) for name, tensor in backbone.state.items())


def test_one_file_with_other_heads_is_another_backbone(tmp_path: Path, mine: State) -> None:
    torch.save(mine, tmp_path / "vit.pth")
    six, twelve = (sources.load(str(tmp_path / "vit.pth"), source=source) for source in (None, "mocov3"))
    assert six.sha256 == twelve.sha256 == six.identity != twelve.identity
    assert (six.unusual, twelve.unusual) == ({}, {"arch": "vit_small_mocov3"})


def test_our_own_and_untrained_ones_are_what_their_digest_says() -> None:
    backbone = sources.load("random:vit_small_mocov3")
    assert (backbone.arch, backbone.identity, backbone.unusual) == ("vit_small_mocov3", backbone.sha256, {})


@pytest.mark.parametrize(
    ("config", "arch"),
    [
        ({"model_type": "vit", "hidden_size": 384, "num_attention_heads": 6}, "vit_small"),
        ({"model_type": "vit", "hidden_size": 384, "num_attention_heads": 12, "layer_norm_eps": 1e-6}, "vit_small_mocov3"),
        ({"architecture": "vit_small_patch16_224"}, "vit_small"),
        ({"architecture": "vit_small_patch16_224", "model_args": {"num_heads": 12}}, "vit_small_mocov3"),
    ],
)
def test_heads_that_a_configuration_beside_it_says_are_its_heads(
    tmp_path: Path, mine: State, config: dict[str, Any], arch: str
) -> None:
    torch.save(transformers(mine, mine) if "model_type" in config else mine, tmp_path / "vit.pth")
    (tmp_path / "config.json").write_text(json.dumps(config))
    backbone = sources.load(str(tmp_path / "vit.pth"))
    assert (backbone.arch, backbone.provenance.arch) == (arch, arch)
    if "model_type" in config:
        assert backbone.recipe.variant.eps == (None if "layer_norm_eps" in config else 1e-12)
        assert "eps" not in backbone.assumed


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "vit", "hidden_size": 384, "num_attention_heads": 3}, "its blocks have 3 attention heads"),
        ({"model_type": "vit", "hidden_size": 384, "hidden_act": "relu", "num_attention_heads": 6}, "its activation is relu"),
        ({"model_type": "vit"}, "it says vit_base"),
    ],
)
def test_heads_that_no_entry_has_and_other_functions_are_refused(
    tmp_path: Path, mine: State, config: dict[str, Any], words: str
) -> None:
    torch.save(transformers(mine, mine), tmp_path / "vit.pth")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=words):
        sources.load(str(tmp_path / "vit.pth"))


def test_the_names_of_transformers_are_found_anywhere(tmp_path: Path, mine: State) -> None:
    torch.save({"state_dict": below("model.net.", of_transformers(mine))}, tmp_path / "vit.ckpt")
    backbone = sources.load(str(tmp_path / "vit.ckpt"))
    assert (backbone.source, backbone.arch) == ("plain", "vit_small")
    assert all(torch.equal(tensor, mine[name]) for name, tensor in backbone.state.items())


def test_queries_without_their_keys_are_no_backbone(tmp_path: Path, mine: State) -> None:
    state = {name: tensor for name, tensor in of_transformers(mine).items() if ".3.attention.attention.key" not in name}
    torch.save(state, tmp_path / "vit.pth")
    with pytest.raises(CheckpointError, match=r"2 tensors amiss: 2 missing: blocks\.3\.attn\.qkv"):
        sources.load(str(tmp_path / "vit.pth"))


def test_a_converted_one_comes_back_with_its_heads(tmp_path: Path, mine: State) -> None:
    torch.save(mocov3(mine, mine), tmp_path / "v3.pth")
    done = convert.run(str(tmp_path / "v3.pth"), "timm", tmp_path / "out.pth", lambda *_: None)
    about = json.loads(done.about.read_text())
    assert (about["arch"], about["heads"]) == ("vit_small_mocov3", 12)
    assert sources.load(str(done.file)).arch == "vit_small_mocov3"
    done.about.unlink()
    assert sources.load(str(done.file)).arch == "vit_small"


def test_a_source_that_contradicts_what_lies_beside_is_refused(tmp_path: Path, mine: State) -> None:
    torch.save(mine, tmp_path / "vit.pth")
    done = convert.run(str(tmp_path / "vit.pth"), "timm", tmp_path / "out.pth", lambda *_: None)
    with pytest.raises(CheckpointError, match=r"it says vit_small\n(.|\n)*out\.pth\.json beside it"):
        sources.load(str(done.file), source="mocov3")


def test_an_entry_says_which_one_its_tensors_are_taken_for() -> None:
    shapes: list[tuple[str, Any]] = [(name, shapes_of(backbones.get(name).skeleton())) for name in BACKBONES]
    for name, own in shapes:
        assert backbones.get(name).taken_for == next(first for first, other in shapes if other == own)
