"""Arguments stored beside the weights that change what a network computes and no tensor: refused, passed, or called assumed."""

import json
from argparse import Namespace
from functools import partial
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


def plain(build: Any = torchvision.models.resnet18) -> State:
    """A state dict of numbers that are all one."""
    with torch.device("meta"):
        shapes = build().state_dict()
    return {name: torch.full((), 0.5).to(each.dtype).expand(each.shape) for name, each in shapes.items()}


def vit() -> State:
    return plain(lambda: timm.create_model("vit_small_patch16_224"))


RESNET18, VIT = plain(), vit()


def loaded(folder: Path, beside: dict[str, Any], weights: State = RESNET18) -> sources.Backbone:
    torch.save({"state_dict": weights, **beside}, folder / "model.pth")
    return sources.load(str(folder / "model.pth"))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "timm's, by args": ({"arch": "resnet18", "args": {"act_layer": "silu"}}, "act_layer silu (allowed: relu)"),
    "hyper-parameters": ({"hyper_parameters": {"activation": "LeakyReLU"}}, "activation LeakyReLU (allowed: relu)"),
    "a namespace": ({"opt": Namespace(arch="resnet18", act_layer="gelu")}, "act_layer gelu (allowed: relu)"),
    "a class": ({"args": {"act_layer": nn.SiLU}}, "(allowed: relu)"),
    "a class, as text": ({"args": {"act_layer": "<class 'torch.nn.modules.activation.Mish'>"}}, "(allowed: relu)"),
    "a call, as text": ({"args": {"activation": "nn.LeakyReLU(0.1)"}}, "activation nn.LeakyReLU(0.1) (allowed: relu)"),
    "the settings of a layer": ({"config": {"act_cfg": {"type": "Swish"}}}, "act_cfg Swish (allowed: relu)"),
    "dashes": ({"args": {"act-layer": "elu"}}, "act-layer elu (allowed: relu)"),
    "a path of names": ({"hparams": {"model.backbone.act_layer": "elu"}}, "model.backbone.act_layer elu"),
    "a part in the name": ({"args": {"backbone_activation": "elu"}}, "backbone_activation elu (allowed: relu)"),
    "a network's mapping": ({"config": {"backbone": {"name": "resnet18", "norm_layer": "instance"}}}, "norm_layer instance"),
    "an entry of the file": ({"act_layer": "silu"}, "its entries: it was trained with act_layer silu (allowed: relu)"),
    "another norm": ({"args": {"norm_layer": nn.GroupNorm}}, "(allowed: batchnorm2d)"),
    "a norm with the same tensors": ({"args": {"norm": "InPlaceABN"}}, "norm InPlaceABN (allowed: batchnorm2d)"),
    "a blur": ({"args": {"aa_layer": "blurpool"}}, "aa_layer blurpool (allowed: false)"),
    "attention without weights": ({"hyper_parameters": {"attn_layer": "simam"}}, "attn_layer simam (allowed: false)"),
    "squeeze and excitation": ({"args": {"se_layer": "se"}}, "se_layer se (allowed: false)"),
    "standardised weights": ({"args": {"conv_layer": "StdConv2d"}}, "conv_layer StdConv2d (allowed: conv2d)"),
    "without a pooling": ({"args": {"no_maxpool": True}}, "no_maxpool True (allowed: false)"),
    "the last stride, in re-identification": ({"config": {"last_stride": 1}}, "last_stride 1 (allowed: 2)"),
    "padding, of a network": ({"backbone_kwargs": {"padding_mode": "reflect"}}, "padding_mode reflect (allowed: zeros)"),
    "of its blocks": ({"model_kwargs": {"block_args": {"attn_layer": "eca"}}}, "attn_layer eca (allowed: false)"),
    "two": (
        {"args": {"act_layer": "silu", "aa_layer": "avg"}},
        "act_layer silu (allowed: relu), aa_layer avg (allowed: false)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_argument_that_makes_another_function_is_refused_with_its_value_and_what_is_allowed(
    tmp_path: Path, name: str
) -> None:
    beside, words = REFUSED[name]
    with pytest.raises(CheckpointError, match="another network behind the names of resnet18") as caught:
        loaded(tmp_path, beside)
    assert words in str(caught.value)


def test_what_a_vision_transformer_usually_has_is_another_function_in_a_resnet_and_the_other_way_round(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"args": {"act_layer": "gelu", "norm_layer": "LayerNorm"}}, VIT).arch == "vit_small"
    with pytest.raises(CheckpointError, match=r"act_layer relu \(allowed: gelu\)"):
        loaded(tmp_path, {"args": {"act_layer": "relu"}}, VIT)


USUAL: dict[str, Any] = {
    "act_layer": "ReLU",
    "activation": nn.ReLU,
    "norm_layer": "torch.nn.SyncBatchNorm",
    "norm_type": 2.0,
    "norm": "layer",
    "aa_layer": None,
    "aa": "rand-m9-mstd0.5-inc1",
    "attn_layer": "",
    "se_layer": False,
    "padding_mode": "reflect",
    "antialias": True,
    "global_pool": True,
    "gp": "avg",
    "use_max_pool": True,
    "dilations": [1, 1, 1, 1],
    "strides": (1, 2, 2, 2),
    "head": {"activation": "silu"},
    "act_cfg": {"type": "ReLU", "inplace": True},
}


def test_usual_values_and_what_is_said_of_something_else_pass_without_a_word(tmp_path: Path) -> None:
    for beside in (
        {"args": USUAL},
        {"hyper_parameters": {"activation": "sigmoid", **{k: None for k in USUAL if k != "activation"}}},
    ):
        backbone = loaded(tmp_path, beside)
        assert (backbone.arch, backbone.remarks) == ("resnet18", ())


def test_arguments_of_a_network_of_which_nothing_is_known_are_said_to_be_assumed(tmp_path: Path) -> None:
    known = {"num_classes": 7, "drop_path_rate": 0.1, "act_layer": "relu", "off": False, "none": None}
    backbone = loaded(tmp_path, {"arch": "resnet18", "model_kwargs": {**known, "shuffles": 3, "act_fn": partial(nn.ReLU)}})
    (remark,) = backbone.remarks
    assert remark.startswith("assumed to change nothing that the network computes: shuffles 3, act_fn ")
    assert remark.endswith("(its model_kwargs)")
    assert loaded(tmp_path, {"args": {"shuffles": 3}}).remarks == ()  # a training has hundreds, of other things


def test_many_of_them_are_counted(tmp_path: Path) -> None:
    (remark,) = loaded(tmp_path, {"model_kwargs": {f"made_up_{n}": n for n in range(1, 10)}}).remarks
    assert "made_up_6 6 and 3 more (" in remark


def test_a_partial_layer_norm_is_no_other_norm(tmp_path: Path) -> None:
    written = "functools.partial(<class 'torch.nn.modules.normalization.LayerNorm'>, eps=1e-06)"
    assert loaded(tmp_path, {"args": {"norm_layer": written}}, VIT).arch == "vit_small"
    assert loaded(tmp_path, {"args": {"norm_layer": partial(nn.LayerNorm, eps=1e-6)}}, VIT).arch == "vit_small"


def test_metadata_and_files_beside_say_it_too(tmp_path: Path) -> None:
    torch.save(RESNET18, tmp_path / "model.pth")
    (tmp_path / "args.json").write_text(json.dumps({"act_layer": "silu"}))
    with pytest.raises(CheckpointError, match=r"args.json beside it: it was trained with act_layer silu \(allowed: relu\)"):
        sources.load(str(tmp_path / "model.pth"))
