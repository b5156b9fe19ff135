"""A whole backbone is found wherever it lies; where it can't be taken, the nearest is named with what it lacks or is."""

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


def weights(seed: int = 1, arch: str = "resnet18") -> State:
    """A ResNet's tensors, in each of them one random number of its own."""
    with torch.device("meta"):
        shapes = getattr(torchvision.models, arch)().state_dict()
    rng = torch.Generator().manual_seed(seed)
    return {
        name: (100 * torch.rand((), generator=rng)).to(tensor.dtype).expand(tensor.shape) for name, tensor in shapes.items()
    }


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def load(tmp_path: Path, content: Any, **how: Any) -> sources.Backbone:
    torch.save(content, tmp_path / "checkpoint.pth")
    return sources.load(str(tmp_path / "checkpoint.pth"), **how)


def is_read(backbone: sources.Backbone, state: State) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in backbone.state.items())


PLACES: dict[str, tuple[Any, str]] = {
    "a module's attribute": ({"state_dict": prefixed("net.", weights())}, "below net. in state_dict"),
    "a level of its own": ({"model_state_dict": weights(), "epoch": 3}, "at the top of model_state_dict"),
    "deep in lists": ({"runs": [{"best": {"weights": prefixed("a.b.", weights())}}]}, "below a.b. in runs/0/best/weights"),
    "a pair with the optimiser's state": ((weights(), {"lr": 0.1}), "at the top of 0"),
    "a stem in layer0": (
        {
            "net": {
                name.replace("conv1", "layer0.0", 1)
                if name.startswith("conv1")
                else name.replace("bn1", "layer0.1", 1)
                if name.startswith("bn1")
                else name: each
                for name, each in weights().items()
            }
        },
        "at the top of net",
    ),
    "wrapped inside": ({"state_dict": prefixed("encoder._orig_mod.", weights())}, "below encoder._orig_mod. in state_dict"),
    "sharded and checkpointed": (
        {
            "model": {
                name.replace("layer1.", "layer1._fsdp_wrapped_module.").replace(
                    "layer2.0.", "layer2.0._checkpoint_wrapped_module."
                ): each
                for name, each in prefixed("_forward_module.net.", weights()).items()
            }
        },
        "below _forward_module.net. in model",
    ),
    "wrapped outside, beside others": (
        {"ckpt": prefixed("module.trunk.", weights()) | {"temperature": torch.ones(1)}},
        "below module.trunk. in ckpt",
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_one_whole_backbone_is_taken_and_where_it_lay_is_said(tmp_path: Path, name: str) -> None:
    content, where = PLACES[name]
    backbone = load(tmp_path, content)
    assert (backbone.source, backbone.arch, backbone.provenance.method) == ("plain", "resnet18", "unknown")
    assert f"a whole resnet18 {where}" in backbone.why
    assert is_read(backbone, weights())


def test_children_of_a_sequential_are_found_below_any_prefix(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = torchvision.models.resnet18()
    names = nn.Sequential(*list(model.children())[:-1]).state_dict()
    state = dict(zip(names, weights().values(), strict=False))
    assert is_read(load(tmp_path, prefixed("f.", state)), weights())


def test_a_vision_transformer_is_found_and_its_heads_are_said_to_be_assumed(tmp_path: Path) -> None:
    state = timm.create_model("vit_small_patch16_224", num_classes=0).state_dict()
    backbone = load(tmp_path, {"state_dict": prefixed("net.", state)})
    assert backbone.arch == "vit_small"
    assert "below net. in state_dict" in backbone.why
    assert "read with 6 attention heads" in backbone.why


def test_several_are_listed_and_a_prefix_chooses(tmp_path: Path) -> None:
    content = {"state_dict": prefixed("first.", weights(1)) | prefixed("second.", weights(2))}
    with pytest.raises(CheckpointError, match=r"2 whole backbones(.|\n)*--prefix first\. or --prefix second"):
        load(tmp_path, content)
    for prefix in ("second", "second.", "state_dict/second.", "state_dict.second"):
        assert is_read(load(tmp_path, content, prefix=prefix), weights(2))
    assert load(tmp_path, content, prefix="first").sha256 != load(tmp_path, content, prefix="second").sha256
    with pytest.raises(CheckpointError, match=r"no backbone below 'third'(.|\n)*resnet18 below first\."):
        load(tmp_path, content, prefix="third")
    with pytest.raises(CheckpointError, match="leave one of the two away"):
        load(tmp_path, content, prefix="first", source="plain")


def test_levels_that_hold_one_each_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    content = {"best": prefixed("net.", weights(1)), "last": prefixed("net.", weights(2))}
    with pytest.raises(CheckpointError, match=r"--prefix best/net\. or --prefix last/net\."):
        load(tmp_path, content)
    assert is_read(load(tmp_path, content, prefix="last/net."), weights(2))


def test_one_network_under_two_names_is_one(tmp_path: Path) -> None:
    backbone = load(tmp_path, prefixed("net.", weights()) | prefixed("copy.net.", weights()))
    assert "the same tensors also below copy.net." in backbone.why


def test_a_pair_that_code_bases_name_so_is_told_by_the_branch(tmp_path: Path) -> None:
    content = prefixed("online_encoder.net.", weights(1)) | prefixed("target_encoder.net.", weights(2))
    online, momentum = load(tmp_path, content), load(tmp_path, content, branch="momentum")
    assert (online.branch, is_read(online, weights(1))) == ("online", True)
    assert (momentum.branch, is_read(momentum, weights(2))) == ("momentum", True)
    assert online.sha256 != momentum.sha256
    with pytest.raises(CheckpointError, match="holds no momentum encoder"):
        load(tmp_path, prefixed("net.", weights()), branch="momentum")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("state_dict/student_model.net.", "state_dict/teacher_model.net."),
        ("state_dict/net.", "ema_state_dict/net."),
        ("encoder/module.", "target_encoder/module."),
    ],
)
def test_a_pair_is_one_too_where_a_part_of_a_word_tells_its_encoders(tmp_path: Path, first: str, second: str) -> None:
    content: dict[str, State] = {}
    for place, seed in ((first, 1), (second, 2)):
        level, prefix = place.split("/")
        content[level] = content.get(level, {}) | prefixed(prefix, weights(seed))
    online, momentum = load(tmp_path, content), load(tmp_path, content, branch="momentum")
    assert (online.branch, is_read(online, weights(1))) == ("online", True)
    assert (momentum.branch, is_read(momentum, weights(2))) == ("momentum", True)
    assert "the online encoder; the momentum one is below" in online.why


def test_a_teacher_of_another_architecture_is_no_average(tmp_path: Path) -> None:
    content = prefixed("student.", weights(1)) | prefixed("teacher.", weights(2, "resnet34"))
    with pytest.raises(CheckpointError, match=r"2 whole backbones(.|\n)*--prefix student\. or --prefix teacher\."):
        load(tmp_path, content)


def clip() -> State:
    stem = {"conv1.weight": (32, 3, 3, 3), "conv2.weight": (32, 32, 3, 3), "conv3.weight": (64, 32, 3, 3)}
    return weights() | {name: torch.zeros(()).expand(shape) for name, shape in stem.items()}


NEAREST: dict[str, tuple[State, str]] = {
    "CLIP's stem": (prefixed("visual.", clip()), r"three 3×3 convolutions(.|\n)*below visual\."),
    "13 channels": (prefixed("net.", weights() | {"conv1.weight": torch.zeros(64, 13, 7, 7)}), "does not take 3 channels"),
    "a ResNeXt": (prefixed("net.", weights(arch="resnext50_32x4d")), "it is a ResNeXt"),
    "half of one": (
        prefixed("net.", {name: tensor for name, tensor in weights().items() if "layer4" not in name}),
        r"below net\. in the top level; nearest is resnet18, with 25 tensors amiss: 25 missing",
    ),
    "a dilated one": (
        prefixed("backbone.", weights()) | {"classifier.0.convs.0.0.weight": torch.zeros(1)},
        "is likely dilated: a head for segmentation lies beside it",
    ),
}


@pytest.mark.parametrize("name", NEAREST)
def test_the_nearest_is_named_with_what_it_lacks_or_is(tmp_path: Path, name: str) -> None:
    state, words = NEAREST[name]
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path, state)


def test_a_bare_state_dict_of_moco_is_known_by_its_encoders(tmp_path: Path) -> None:
    backbone = load(tmp_path, prefixed("encoder_q._orig_mod.", weights(1)) | prefixed("encoder_k._orig_mod.", weights(2)))
    assert (backbone.source, backbone.branch, backbone.provenance.method) == ("mocov1", "online", "unknown (MoCo's layout)")


def test_an_optimizer_s_state_is_called_so(tmp_path: Path) -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.zeros(2)
    optimizer = torch.optim.Adam([parameter])
    optimizer.step()
    with pytest.raises(CheckpointError, match="an optimiser's state alone"):
        load(tmp_path, optimizer.state_dict())
