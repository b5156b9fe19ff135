"""The network behind the names: who says what a file's tensors don't show, and what is read, refused or assumed then."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torchvision
from torch import Tensor, nn

from pretrain.checkpoint import save_backbone
from pretrain.core.errors import CheckpointError
from pretrain.inputs import normalised
from pretrain.provenance import Provenance
from transfer import sources
from transfer.sources.said import assigned

State = dict[str, Tensor]
HALF, IMAGENET = (0.5, 0.5, 0.5), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
"""RGB, of 0 to 1."""


def trained(arch: str = "resnet50") -> nn.Module:
    """A network whose norms have statistics of their own, small enough for their eps to count."""
    torch.manual_seed(0)
    model: nn.Module = getattr(torchvision.models, arch)()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_var.uniform_(0.02, 0.2)
            module.running_mean.normal_(0, 0.1)
            nn.init.uniform_(module.weight, 0.05, 0.2)
    return model.eval()


@pytest.fixture(scope="module")
def weights() -> State:
    return dict(trained().state_dict())


def strided_in_1x1(model: Any) -> None:
    for layer in (model.layer2, model.layer3, model.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)


def eps_of_a_thousandth(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3


def imagenet(pixels: Tensor) -> Tensor:
    return torchvision.transforms.functional.normalize(pixels, *map(list, IMAGENET))


def from_minus_1_to_1(pixels: Tensor) -> Tensor:
    return 2 * pixels - 1


def bgr_bytes_less_mean(pixels: Tensor) -> Tensor:
    return 255 * pixels.flip(1) - torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)


def bytes_as_they_are(pixels: Tensor) -> Tensor:
    return 255 * pixels


class Case(NamedTuple):
    """Who says what, and what is meant by it."""

    content: Callable[[State], Any]
    beside: dict[str, str]
    told: dict[str, Any]
    network: Callable[[Any], None] | None
    seen: Callable[[Tensor], Tensor]
    said: tuple[str, ...]


def plain(state: State) -> State:
    return state


def timm_run(**args: Any) -> Callable[[State], Any]:
    return lambda state: {"version": 2, "arch": "resnet50", "args": {"model": "resnet50", **args}, "state_dict": state}


def mm_run(style: str, eps: str = "", images: str = "") -> Callable[[State], Any]:
    text = f"""
norm = dict(type='BN'{eps}, requires_grad=True)
model = dict(
    backbone=dict(type='ResNet', depth=50, style='{style}', norm_cfg=norm, frozen_stages=-1),
    {images})
"""
    return lambda state: {
        "meta": {"cfg": text, "mmpretrain_version": "1.2"},
        "state_dict": {f"backbone.{name}": tensor for name, tensor in state.items()},
    }


CAFFE_IMAGES = "data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False)"
CAFFE_TOLD = {"order": "BGR", "mean": [103.53, 116.28, 123.675], "std": 1.0}
ALL_SEEN = ("order", "mean", "std")
DETECTRON2 = """
INPUT: {FORMAT: BGR}
MODEL:
  PIXEL_MEAN: [103.53, 116.28, 123.675]
  PIXEL_STD: [1.0, 1.0, 1.0]
  RESNETS: {DEPTH: 50, STRIDE_IN_1X1: true, RES5_DILATION: 1}
"""


def hub_config(architecture: str = "resnet50", **cfg: Any) -> dict[str, str]:
    return {"config.json": json.dumps({"architecture": architecture, "num_classes": 1000, "pretrained_cfg": cfg})}


def in_detectron2_s_names(state: State) -> Any:
    from transfer.convert import to_detectron2

    trunk = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    return {"model": {f"backbone.bottom_up.{name}": tensor for name, tensor in to_detectron2(trunk).items()}}


def with_buffers(mean: list[float], std: list[float], name: str) -> Callable[[State], Any]:
    """The network keeps its normalisation: Detectron2's `pixel_mean` (until 2020), robustness' `normalizer.new_mean`."""
    buffers = {name: torch.tensor(mean).view(3, 1, 1), name.replace("mean", "std"): torch.tensor(std).view(3, 1, 1)}
    return lambda state: {"model": {f"backbone.{key}": tensor for key, tensor in state.items()} | buffers}


CASES: dict[str, Case] = {
    "nobody says anything": Case(plain, {}, {}, None, imagenet, ()),
    "stride in the 1x1, by the user": Case(plain, {}, {"stride": "1x1"}, strided_in_1x1, imagenet, ("stride",)),
    "stride in the 1x1, by a style": Case(mm_run("caffe"), {}, {}, strided_in_1x1, imagenet, ("stride",)),
    "eps, by the user": Case(plain, {}, {"eps": 1e-3}, eps_of_a_thousandth, imagenet, ("eps",)),
    "eps, by a run's arguments": Case(timm_run(bn_eps=1e-3), {}, {}, eps_of_a_thousandth, imagenet, ("eps",)),
    "eps, by a norm's settings": Case(
        mm_run("pytorch", ", eps=0.001"), {}, {}, eps_of_a_thousandth, imagenet, ("stride", "eps")
    ),
    "mean of a half, by the user": Case(plain, {}, {"mean": 0.5, "std": 0.5}, None, from_minus_1_to_1, ("mean", "std")),
    "mean of a half, by a run's arguments": Case(
        timm_run(mean=HALF, std=HALF), {}, {}, None, from_minus_1_to_1, ("mean", "std")
    ),
    "mean of a half, by config.json": Case(
        plain, hub_config(mean=HALF, std=HALF), {}, None, from_minus_1_to_1, ("mean", "std")
    ),
    "BGR, by the user": Case(plain, {}, CAFFE_TOLD, None, bgr_bytes_less_mean, ALL_SEEN),
    "BGR, by a configuration": Case(
        mm_run("pytorch", images=CAFFE_IMAGES), {}, {}, None, bgr_bytes_less_mean, (*ALL_SEEN, "stride")
    ),
    "BGR, by a mean backwards in a buffer": Case(
        with_buffers([103.53, 116.28, 123.675], [1.0, 1.0, 1.0], "pixel_mean"), {}, {}, None, bgr_bytes_less_mean, ALL_SEEN
    ),
    "mean of a half, by a buffer": Case(
        with_buffers([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "normalizer.new_mean"), {}, {}, None, from_minus_1_to_1, ("mean", "std")
    ),
    "0 to 255, by the user": Case(plain, {}, {"mean": 0.0, "std": 1 / 255}, None, bytes_as_they_are, ("mean", "std")),
    "MSRA's, by Detectron2's configuration": Case(
        in_detectron2_s_names,
        {"config.yaml": DETECTRON2},
        {},
        strided_in_1x1,
        bgr_bytes_less_mean,
        (*ALL_SEEN, "stride"),
    ),
    "MSRA's, by a configuration": Case(
        mm_run("caffe", images=CAFFE_IMAGES), {}, {}, strided_in_1x1, bgr_bytes_less_mean, (*ALL_SEEN, "stride")
    ),
}


def lay(case: Case, weights: State, folder: Path) -> Path:
    torch.save(case.content(weights), folder / "model.pth")
    for name, text in case.beside.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "model.pth"


def features(backbone: sources.Backbone) -> Tensor:
    with torch.no_grad():
        found: Tensor = backbone.network()(normalised(PIXELS, backbone.recipe.seen))
    return found


def by_hand(case: Case, weights: State) -> Tensor:
    model = torchvision.models.resnet50()
    model.load_state_dict(weights)
    model.fc = nn.Identity()
    if case.network is not None:
        case.network(model)
    with torch.no_grad():
        found: Tensor = model.eval()(case.seen(PIXELS))
    return found


@pytest.mark.parametrize("name", CASES)
def test_another_network_is_read_as_what_it_is_and_what_nobody_says_is_assumed(
    name: str, weights: State, tmp_path: Path
) -> None:
    case = CASES[name]
    backbone = sources.load(str(lay(case, weights, tmp_path)), recipe=case.told)
    torch.testing.assert_close(features(backbone), by_hand(case, weights), rtol=2e-4, atol=2e-4)
    assert backbone.assumed == tuple(field for field in ("order", "mean", "std", "stride", "eps") if field not in case.said)
    assumed = [line for line in backbone.summary() if line.startswith("assumed: ")]
    assert len(assumed) == 1


def test_each_of_these_networks_is_another(weights: State) -> None:
    different = {(case.network, case.seen): case for case in CASES.values()}
    usual = by_hand(different.pop((None, imagenet)), weights)
    for case in different.values():
        assert float((by_hand(case, weights) - usual).norm() / usual.norm()) > 0.005


OTHERS: dict[str, tuple[Callable[[State], Any], dict[str, str], str]] = {
    "blur, by arch": (lambda s: {"version": 2, "arch": "resnetblur50", "state_dict": s}, {}, "resnetblur50"),
    "average, by config.json": (plain, hub_config("resnetaa50"), "averages"),
    "average, by a tagged name": (plain, hub_config("timm/resnetaa50.a1h_in1k"), "averages"),
    "blur, by hyper-parameters": (
        lambda s: {"hyper_parameters": {"backbone": "resnetblur50"}, "state_dict": {f"net.{k}": v for k, v in s.items()}},
        {},
        "resnetblur50",
    ),
    "blur, by an argument": (
        timm_run(model_kwargs={"aa_layer": "blurpool"}),
        {},
        "aa_layer blurpool",
    ),
    "another activation": (plain, {"config.json": '{"architecture": "resnet50", "model_args": {"act_layer": "silu"}}'}, "silu"),
    "another depth": (lambda s: {"arch": "resnet101", "state_dict": s}, {}, "resnet101"),
    "dilated": (
        lambda s: {
            "meta": {"cfg": "model = dict(backbone=dict(type='ResNet', depth=50, dilations=(1, 1, 2, 4)))"},
            "state_dict": {f"backbone.{k}": v for k, v in s.items()},
        },
        {},
        "dilations",
    ),
    "with averages in its shortcuts, by a configuration": (
        lambda s: {
            "meta": {"cfg": "model = dict(backbone=dict(type='mmpretrain.ResNetV1d', depth=50))"},
            "state_dict": {f"backbone.{k}": v for k, v in s.items()},
        },
        {},
        "ResNetV1d",
    ),
    "dilated, by DETR's arguments": (
        lambda s: {"model": {f"backbone.0.body.{k}": v for k, v in s.items()}, "args": {"dilation": True}},
        {},
        "dilation True",
    ),
    "dilated, by another library's configuration": (plain, {"config.json": '{"model_type": "detr", "dilation": true}'}, "True"),
    "dilated, by torchvision's argument": (
        lambda s: {"hyper_parameters": {"net": {"replace_stride_with_dilation": [False, True, True]}}, "model": s},
        {},
        "replace_stride_with_dilation",
    ),
    "without a pooling, by pl_bolts' hyper-parameters": (
        lambda s: {"hyper_parameters": {"arch": "resnet50", "maxpool1": False}, "state_dict": s},
        {},
        "maxpool1 False",
    ),
    "another depth, by nested hyper-parameters": (
        lambda s: {"hyper_parameters": {"model": {"encoder": {"backbone_name": "resnet101"}}}, "state_dict": s},
        {},
        "resnet101",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_function_with_the_same_names_is_refused_by_its_name(name: str, weights: State, tmp_path: Path) -> None:
    content, beside, words = OTHERS[name]
    case = Case(content, beside, {}, None, imagenet, ())
    with pytest.raises(CheckpointError, match=f"another network behind the names of resnet50(.|\\n)*{words}"):
        sources.load(str(lay(case, weights, tmp_path)))


def test_arguments_that_leave_strides_as_they_are_are_no_other_function(weights: State, tmp_path: Path) -> None:
    usual = {"dilation": False, "output_stride": 32, "replace_stride_with_dilation": None, "maxpool1": True, "net": "mlp"}
    torch.save({"args": usual, "state_dict": weights}, tmp_path / "model.pth")
    assert sources.load(str(tmp_path / "model.pth")).arch == "resnet50"


CONTRADICTIONS: dict[str, tuple[Callable[[State], Any], dict[str, str], dict[str, Any], str]] = {
    "the file and what lies beside it": (timm_run(mean=HALF, std=HALF), hub_config(mean=IMAGENET[0]), {}, "its args"),
    "the file and the user": (mm_run("caffe"), {}, {"stride": "3x3"}, "--stride-in"),
    "config.json and the user": (plain, hub_config(mean=HALF, std=HALF), {"mean": 0.0}, "config.json beside it"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_two_who_contradict_each_other_are_named(name: str, weights: State, tmp_path: Path) -> None:
    content, beside, told, words = CONTRADICTIONS[name]
    with pytest.raises(CheckpointError, match=f"contradict each other(.|\\n)*{words}"):
        sources.load(str(lay(Case(content, beside, told, None, imagenet, ()), weights, tmp_path)), recipe=told)


def test_the_same_in_other_words_is_no_contradiction(weights: State, tmp_path: Path) -> None:
    content = mm_run("pytorch", images="data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])")
    told = {"order": "BGR", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "eps": 1e-5}
    backbone = sources.load(str(lay(Case(content, {}, told, None, imagenet, ()), weights, tmp_path)), recipe=told)
    assert backbone.recipe.differences() == {"order": "BGR"}
    assert backbone.assumed == ()


def folded(state: State) -> State:
    values = {"running_mean": 0.0, "running_var": 1.0}
    return {name: torch.full_like(t, values[w]) if (w := name.rpartition(".")[2]) in values else t for name, t in state.items()}


def test_caffe_s_folded_norms_are_refused_until_someone_says_how_they_are_read(weights: State, tmp_path: Path) -> None:
    torch.save(folded(weights), tmp_path / "resnet50_caffe.pth")
    path = str(tmp_path / "resnet50_caffe.pth")
    with pytest.raises(CheckpointError, match=r"likely Caffe's(.|\n)*--source caffe(.|\n)*--input-order"):
        sources.load(path)
    assert sources.load(path, source="caffe").recipe.plain()["stride"] == "1x1"
    assert sources.load(path, recipe={"stride": "1x1", "order": "BGR"}).recipe.seen.order == "BGR"
    assert sources.load(path, source="torchvision").recipe == sources.load("random:resnet50").recipe


def test_an_untrained_network_s_norms_are_no_mark_of_caffe(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "fresh.pth")
    assert sources.load(str(tmp_path / "fresh.pth")).arch == "resnet18"


def test_our_own_files_say_all_and_another_input_of_theirs_is_carried(tmp_path: Path) -> None:
    state = sources.load("random:resnet18:1").state
    save_backbone(tmp_path / "own.pth", state, Provenance(method="mocov2", arch="resnet18"))
    assert sources.load(str(tmp_path / "own.pth")).assumed == ()
    content = torch.load(tmp_path / "own.pth", weights_only=True)
    torch.save(content | {"preprocess": {"order": "BGR", "mean": [0, 0, 0], "std": [1, 1, 1]}}, tmp_path / "bgr.pth")
    backbone = sources.load(str(tmp_path / "bgr.pth"))
    assert backbone.recipe.differences() == {"order": "BGR", "mean": [0, 0, 0], "std": [1, 1, 1]}
    assert backbone.assumed == ()


def test_two_inputs_are_two_backbones_and_the_usual_one_is_known_by_its_digest_alone() -> None:
    usual, other = sources.load("random:resnet18"), sources.load("random:resnet18", recipe={"order": "BGR"})
    assert usual.identity == usual.sha256 == other.sha256 != other.identity
    assert sources.load("random:resnet18", recipe={"order": "RGB", "eps": 1e-5}).identity == usual.identity


@pytest.mark.parametrize(
    ("arch", "told", "words"),
    [
        ("resnet18", {"stride": "1x1"}, "no bottlenecks"),
        ("resnet50", {"stride": "2x2"}, "3x3 or 1x1"),
        ("resnet18", {"mean": [1.0, 2.0]}, "three numbers"),
        ("resnet18", {"std": 0.0}, "three numbers above 0"),
        ("resnet18", {"order": "GBR"}, "RGB or BGR"),
        ("resnet18", {"eps": 2.0}, "above 0 and below 1"),
    ],
)
def test_what_can_not_be_said_is_refused(arch: str, told: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        sources.load(f"random:{arch}", recipe=told)


def test_a_configuration_in_python_s_words_is_read_and_not_run(tmp_path: Path) -> None:
    ran = f"os.system('touch {tmp_path}/ran')"
    text = f"import os\n{ran}\nnorm = dict(eps=1e-3)\nmodel = dict(backbone=dict(norm_cfg=norm, depth=50))"
    assert assigned(text)["model"] == {"backbone": {"norm_cfg": {"eps": 1e-3}, "depth": 50}}
    assert assigned(f"a = __import__('os').{ran[3:]}\nb = 1") == {"a": None, "b": 1}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"downsample_in_first_stage": True}, "halves the image in its first stage"),
        ({"hidden_act": "gelu"}, "activation is gelu"),
    ],
)
def test_transformers_resnets_of_another_function_are_refused(
    config: dict[str, Any], words: str, weights: State, tmp_path: Path
) -> None:
    beside = {"config.json": json.dumps({"model_type": "resnet", "layer_type": "bottleneck", "depths": [3, 4, 6, 3], **config})}
    with pytest.raises(CheckpointError, match=words):
        sources.load(str(lay(Case(plain, beside, {}, None, imagenet, ()), weights, tmp_path)))


def test_transformers_says_the_stride_s_place_and_how_it_prepares_images(weights: State, tmp_path: Path) -> None:
    beside = {
        "config.json": '{"model_type": "resnet", "downsample_in_bottleneck": true}',
        "preprocessor_config.json": '{"do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}',
    }
    backbone = sources.load(str(lay(Case(plain, beside, {}, None, imagenet, ()), weights, tmp_path)))
    assert backbone.recipe.differences() == {"mean": [0.5] * 3, "std": [0.5] * 3, "stride": "1x1"}
    assert backbone.assumed == ("eps",)
