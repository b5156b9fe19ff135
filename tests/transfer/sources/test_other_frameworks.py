"""Files in the names and axes of other frameworks are the same backbone as torch's own file, or are refused by name."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor

from pretrain.core.errors import CheckpointError
from transfer import sources

State = dict[str, Tensor]


def resnet(arch: str = "resnet18") -> State:
    """A ResNet's tensors, in each of them numbers of its own."""
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = getattr(torchvision.models, arch)(num_classes=3).state_dict()
    return {name: torch.rand(tensor.shape) + 0.1 for name, tensor in shapes.items() if not name.endswith("num_batches_tracked")}


def vit() -> State:
    torch.manual_seed(0)
    return {
        name: torch.randn(tensor.shape)
        for name, tensor in timm.create_model("vit_small_patch16_224", num_classes=3).state_dict().items()
    }


def flax_leaf(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """A tensor's last word and axes as flax.linen has them (linear.py, normalization.py)."""
    stem, _, last = name.rpartition(".")
    if last == "weight":
        last = "kernel" if tensor.dim() > 1 else "scale"
    last = {"running_mean": "mean", "running_var": "var"}.get(last, last)
    axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(tensor.dim()) if last == "kernel" else None
    return f"{stem}.{last}", tensor.permute(axes) if axes else tensor


def flax(state: State) -> State:
    """A port of torch's modules to Flax, one name for each tensor: params/layer1_0/conv1/kernel."""
    out = {}
    for name, tensor in state.items():
        own, turned = flax_leaf(re.sub(r"(layer\d|downsample)\.(\d+)", r"\1_\2", name), tensor)
        tree = "batch_stats" if own.endswith((".mean", ".var")) else "params"
        out[f"{tree}/{own.replace('.', '/')}"] = turned
    return out


def nested(flat: State) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, tensor in flat.items():
        *words, last = name.split("/")
        at = tree
        for word in words:
            at = at.setdefault(word, {})
        at[last] = tensor.numpy()
    return tree


def paddle(state: State) -> dict[str, Any]:
    """PaddlePaddle's names and axes (nn/layer/norm.py, common.py: weights of Linear are inputs × outputs)."""
    renamed = {name.replace("running_mean", "_mean").replace("running_var", "_variance"): t for name, t in state.items()}
    return {name: (t.T if t.dim() == 2 else t).numpy() for name, t in renamed.items()} | {"StructuredToParameterName@@": {}}


def paddleclas(state: State, blocks: tuple[int, ...]) -> dict[str, Any]:
    """PaddlePaddle/PaddleClas @0009cb6, ppcls/arch/backbone/legendary_models/resnet.py: one list of blocks."""

    def unit(match: re.Match[str]) -> str:
        block = sum(blocks[: int(match[1]) - 1]) + int(match[2])
        inner = match[3]
        if inner.startswith("downsample"):
            return f"blocks.{block}.short.{('conv', 'bn')[int(inner[-1])]}."
        return f"blocks.{block}.conv{int(inner[-1]) - 1}.{inner[:-1]}."

    out = {}
    for name, tensor in state.items():
        own = re.sub(r"^(conv|bn)1\.", r"stem.0.\1.", name)
        out[re.sub(r"^layer(\d)\.(\d+)\.(\w+?(?:\.[01])?)\.(?=\w+$)", unit, own)] = tensor
    return paddle(out)


def google_vit(state: State) -> State:
    """google-research/vision_transformer, vit_jax/models_vit.py, as its .npz files name what it has."""
    heads = 6
    words = {
        "patch_embed.proj": "embedding",
        "norm": "Transformer/encoder_norm",
        "head": "head",
    }
    inside = {
        "norm1": "LayerNorm_0",
        "norm2": "LayerNorm_2",
        "mlp.fc1": "MlpBlock_3/Dense_0",
        "mlp.fc2": "MlpBlock_3/Dense_1",
    }
    out = {"cls": state["cls_token"], "Transformer/posembed_input/pos_embedding": state["pos_embed"]}
    for name, tensor in state.items():
        stem, _, last = name.rpartition(".")
        block = re.match(r"blocks\.(\d+)\.(.+)\.(weight|bias)", name)
        at = f"Transformer/encoderblock_{block[1]}/" if block else ""
        if block and block[2] == "attn.qkv":
            for part, each in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                own = each.T.unflatten(1, (heads, -1)) if last == "weight" else each.unflatten(0, (heads, -1))
                out[f"{at}MultiHeadDotProductAttention_1/{part}/{'kernel' if last == 'weight' else 'bias'}"] = own
        elif block and block[2] == "attn.proj":
            own = tensor.T.unflatten(0, (heads, -1)) if last == "weight" else tensor
            out[f"{at}MultiHeadDotProductAttention_1/out/{'kernel' if last == 'weight' else 'bias'}"] = own
        elif name not in ("cls_token", "pos_embed"):
            own, turned = flax_leaf(f"x.{last}", tensor)
            out[at + (inside[block[2]] if block else words[stem]) + own[1:].replace(".", "/")] = turned
    return out


def read(tmp_path: Path, content: Any) -> sources.Backbone:
    torch.save(content, tmp_path / "c.pth")
    return sources.load(str(tmp_path / "c.pth"))


def is_read(backbone: sources.Backbone, state: State) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in backbone.state.items() if name in state) and all(
        name in state or name.endswith("num_batches_tracked") for name in backbone.state
    )


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_a_port_to_flax_is_read_flat_and_nested_with_what_was_turned_in_a_remark(tmp_path: Path, arch: str) -> None:
    state = resnet(arch)
    flat = flax(state)
    for content in (flat, nested(flat), {"model": nested(flat), "opt_state": [nested(flat)], "step": 3}):
        backbone = read(tmp_path, content)
        assert (backbone.arch, backbone.source, backbone.provenance.method) == (arch, "plain", "unknown")
        assert is_read(backbone, state)
        assert "kernels and dense layers turned" in backbone.remarks[0]
        assert "whose padding no tensor shows" in backbone.remarks[0]
    assert "opt_state/0/params/conv1/kernel" in backbone.dropped
    assert "model/params/fc/kernel" in backbone.dropped


def test_names_divided_by_slashes_in_torchs_axes_are_read(tmp_path: Path) -> None:
    state = resnet()
    backbone = read(tmp_path, {f"net/{name.replace('.', '/')}": tensor for name, tensor in state.items()})
    assert is_read(backbone, state)
    assert backbone.remarks[0].startswith("the checkpoint has names divided by slashes; ")


def transformers_vit() -> State:
    """huggingface/transformers, models/vit/modeling_vit.py and modeling_flax_vit.py, whose modules have the same names."""
    layer = {
        "attention.attention.query": (384, 384),
        "attention.attention.key": (384, 384),
        "attention.attention.value": (384, 384),
        "attention.output.dense": (384, 384),
        "intermediate.dense": (1536, 384),
        "output.dense": (384, 1536),
        "layernorm_before": (384,),
        "layernorm_after": (384,),
    }
    shapes = {"embeddings.cls_token": (1, 1, 384), "embeddings.position_embeddings": (1, 197, 384)}
    modules = {"embeddings.patch_embeddings.projection": (384, 3, 16, 16), "layernorm": (384,)}
    modules |= {f"encoder.layer.{i}.{name}": shape for i in range(12) for name, shape in layer.items()}
    for name, shape in modules.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    torch.manual_seed(0)
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def test_transformers_own_flax_models_are_read_as_its_torch_models(tmp_path: Path) -> None:
    state = transformers_vit()
    plain = read(tmp_path, {f"vit.{name}": tensor for name, tensor in state.items()})
    leaves = dict(flax_leaf(name, tensor) for name, tensor in state.items())
    ported = read(tmp_path, {f"params/vit/{name.replace('.', '/')}": tensor for name, tensor in leaves.items()})
    assert (ported.source, ported.recipe) == (plain.source, plain.recipe)
    assert all(torch.equal(tensor, plain.state[name]) for name, tensor in ported.state.items())


def test_googles_vision_transformers_are_read_and_others_heads_refused(tmp_path: Path) -> None:
    state = vit()
    content = google_vit(state)
    backbone = read(tmp_path, content)
    assert backbone.arch == "vit_small"
    assert is_read(backbone, state)
    assert is_read(read(tmp_path, {f"opt/target/{name}": tensor for name, tensor in content.items()}), state)
    twelve = {
        name: t.flatten(1).unflatten(1, (12, -1)) if re.search("(query|key|value)/kernel", name) else t
        for name, t in content.items()
    }
    with pytest.raises(CheckpointError, match="32 numbers a head"):
        read(tmp_path, twelve)


def test_paddlepaddles_resnets_and_vision_transformers_are_read(tmp_path: Path) -> None:
    for state in (resnet(), vit()):
        path = tmp_path / "c.pdparams"
        path.write_bytes(pickle.dumps(paddle(state), protocol=4))
        backbone = sources.load(str(path))
        assert is_read(backbone, state)
        assert "PaddlePaddle's" in backbone.remarks[0]
    named = {name: (name, value) for name, value in paddle(resnet()).items() if isinstance(value, np.ndarray)}
    assert is_read(read(tmp_path, {"net": named}), resnet())


def test_paddleclass_blocks_are_those_of_four_layers(tmp_path: Path) -> None:
    state = resnet("resnet50")
    assert is_read(read(tmp_path, paddleclas(state, (3, 4, 6, 3))), state)
    state = resnet("resnet18")
    assert is_read(read(tmp_path, paddleclas(state, (2, 2, 2, 2))), state)
    state |= {"layer1.0.downsample.0.weight": torch.rand(64, 64, 1, 1)}
    state |= {f"layer1.0.downsample.1.{name}": torch.rand(64) for name in ("weight", "bias", "running_mean", "running_var")}
    with pytest.raises(CheckpointError, match="as PaddleClas builds its ResNet-18"):
        read(tmp_path, paddleclas(state, (2, 2, 2, 2)))


def kernels(*names: str) -> dict[str, Any]:
    return {name: np.zeros((3, 3, 4, 8), np.float32) for name in names}


STRANGERS: dict[str, tuple[dict[str, Any], str]] = {
    "Flax's example": (
        kernels(*(f"params/BottleneckResNetBlock_{i}/Conv_{j}/kernel" for i in range(4) for j in range(3))),
        "Flax's own example; its strided convolutions are padded on one side",
    ),
    "TF-slim": (
        kernels(*(f"resnet_v1_50/block1/unit_{i}/bottleneck_v1/conv{j}/weights" for i in range(4) for j in range(3))),
        "TF-slim",
    ),
    "BiT": (
        kernels(*(f"resnet/block1/unit0{i}/{j}/standardized_conv2d/kernel" for i in range(4) for j in "abc")),
        "it is a BiT",
    ),
    "Keras": (
        kernels(*(f"conv2_block{i}_{j}_conv/kernel:0" for i in range(4) for j in range(3))),
        "Keras: strided in the 1×1 convolutions",
    ),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_networks_that_are_another_function_are_called_what_they_are(tmp_path: Path, name: str) -> None:
    content, words = STRANGERS[name]
    with pytest.raises(CheckpointError, match=re.escape(words)):
        read(tmp_path, content)


def test_names_of_no_network_here_are_said_to_be_anothers(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"it has Flax's or TensorFlow's names(.|\n)*do: +save its tensors by torchvision's"
    ):
        read(tmp_path, kernels(*(f"params/enc/unit{i}/kernel" for i in range(12))))


def test_axes_that_shapes_do_not_settle_make_no_backbone(tmp_path: Path) -> None:
    content = flax(resnet())
    content["params/layer1_0/conv1/kernel"] = content["params/layer1_0/conv1/kernel"].permute(3, 2, 0, 1)
    with pytest.raises(CheckpointError, match="holds no whole backbone"):
        read(tmp_path, content)
