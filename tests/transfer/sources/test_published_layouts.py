"""Every code base's checkpoint is read: fixtures are built as its own code builds the modules and saves the file.

Names come from `nn.Module` itself, by the attributes that the cited code gives its parts, never from our table.
"""

import argparse
import itertools
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from pretrain.checkpoint import save_backbone
from pretrain.core.errors import CheckpointError
from pretrain.provenance import Provenance
from transfer import sources

State = dict[str, Tensor]
VITS = {"huggingface-vit", "mae", "deit"}
"""Sources of ViTs alone: `test_vit_checkpoints.py`."""
ONLINE, MOMENTUM = 1, 2
"""Seeds of the two encoders."""


class Module(nn.Module):
    """A module with the parts and buffers given; its state dict is named by them, in order."""

    def __init__(self, **parts: nn.Module | Tensor) -> None:
        super().__init__()
        for name, part in parts.items():
            self.register_buffer(name, part) if isinstance(part, Tensor) else self.add_module(name, part)


def resnet(seed: int, fc: nn.Module | None = None, arch: str = "resnet18") -> nn.Module:
    """torchvision's ResNet with a head in the place of `fc`, and in every tensor one random number of its own.

    One number each keeps the files small, and two tensors swapped still show.
    """
    with torch.device("meta"):
        model = getattr(torchvision.models, arch)()
    model.fc = nn.Identity()
    rng = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for name, old in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.randn((), generator=rng).expand(old.shape)))
        for name, old in module.named_buffers(recurse=False):
            number = torch.rand((), generator=rng) + 0.5 if old.is_floating_point() else torch.tensor(seed)
            setattr(module, name, number.expand(old.shape))
    model.fc = fc or nn.Identity()
    return model


@cache
def trunk(seed: int, arch: str = "resnet18") -> State:
    """What should be read of `resnet(seed)`."""
    return resnet(seed, arch=arch).state_dict()


def contiguous(state: State) -> State:
    """With memory of their own, as safetensors wants tensors."""
    return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}


def linear(*widths: int) -> nn.Sequential:
    """A head of linear layers with a norm and ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    return nn.Sequential(*layers[:-2])


def ddp(module: nn.Module) -> State:
    """DistributedDataParallel keeps the module under `module`."""
    return Module(module=module).state_dict()


def sgd(module: nn.Module) -> dict[str, Any]:
    """The state of an optimiser that took a step."""
    first = nn.Parameter(next(module.parameters()).detach().clone())
    optimizer = torch.optim.SGD([first], lr=0.1, momentum=0.9)
    first.grad = torch.zeros_like(first)
    optimizer.step()
    return optimizer.state_dict()


def queue() -> dict[str, Tensor]:
    return {"queue": torch.randn(8, 16), "queue_ptr": torch.zeros(1, dtype=torch.long)}


def moco_v1() -> Any:
    """facebookresearch/moco @7397dfe, moco/builder.py and main_moco.py save_checkpoint."""
    model = Module(encoder_q=resnet(ONLINE, nn.Linear(512, 8)), encoder_k=resnet(MOMENTUM, nn.Linear(512, 8)), **queue())
    return {"epoch": 200, "arch": "resnet18", "state_dict": ddp(model), "optimizer": sgd(model)}


def moco_v2() -> Any:
    """facebookresearch/moco @7397dfe, moco/builder.py, mlp: `encoder.fc = Sequential(Linear, ReLU, fc)`."""
    heads = [nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 8)) for _ in range(2)]
    model = Module(encoder_q=resnet(ONLINE, heads[0]), encoder_k=resnet(MOMENTUM, heads[1]), **queue())
    return {"epoch": 800, "arch": "resnet18", "state_dict": ddp(model), "optimizer": sgd(model)}


def unimoco() -> Any:
    """dddzg/unimoco: MoCo's builder with a queue of labels."""
    saved = moco_v2()
    saved["state_dict"]["module.label_queue"] = torch.zeros(16)
    return saved


def moco_v3() -> Any:
    """facebookresearch/moco-v3 @c349e6e, moco/builder.py MoCo_ResNet and main_moco.py."""
    model = Module(
        base_encoder=resnet(ONLINE, linear(512, 32, 8)),
        momentum_encoder=resnet(MOMENTUM, linear(512, 32, 8)),
        predictor=linear(8, 32, 8),
    )
    return {"epoch": 100, "arch": "resnet18", "state_dict": ddp(model), "optimizer": sgd(model), "scaler": {"scale": 65536.0}}


def airl_byol() -> Any:
    """megvii-research/revisitAIRL @7afeb02, models/siamese_network.py, exp/byol.py and utils/__init__.py get_state_dict."""
    model = Module(online_encoder=resnet(ONLINE, linear(512, 32, 8)), target_encoder=resnet(MOMENTUM, linear(512, 32, 8)))
    saved = {"start_epoch": 100, "model": ddp(model), "optimizer": sgd(model)}
    classifier = nn.Linear(512, 10)
    return saved | {"classifier": ddp(classifier), "optimizer_cls": sgd(classifier)}


def airl_moco() -> Any:
    """megvii-research/revisitAIRL @7afeb02, exp/mocov1.py MoCo_Network on one device: no wrapper."""
    model = Module(online_encoder=resnet(ONLINE, linear(512, 8)), target_encoder=resnet(MOMENTUM, linear(512, 8)), **queue())
    return {"start_epoch": 200, "model": model.state_dict(), "optimizer": sgd(model)}


def airl_teacher() -> Any:
    """megvii-research/revisitAIRL @7afeb02, convert-pretrain-to-detectron2.py: the older names it still reads."""
    model = Module(student_encoder=resnet(ONLINE, linear(512, 8)), teacher_encoder=resnet(MOMENTUM, linear(512, 8)))
    return {"start_epoch": 200, "model": ddp(model), "optimizer": sgd(model)}


def simsiam() -> Any:
    """facebookresearch/simsiam @a7bc177, simsiam/builder.py and main_simsiam.py."""
    model = Module(encoder=resnet(ONLINE, linear(512, 512, 512, 32)), predictor=linear(32, 8, 32))
    return {"epoch": 100, "arch": "resnet18", "state_dict": ddp(model), "optimizer": sgd(model)}


def _swav() -> nn.Module:
    model = resnet(ONLINE)
    del model.fc
    model.projection_head = linear(512, 32, 8)
    model.prototypes = nn.Linear(8, 30, bias=False)
    return model


def swav() -> Any:
    """facebookresearch/swav @06b1b7c, src/resnet50.py and main_swav.py."""
    return {"epoch": 400, "state_dict": ddp(_swav()), "optimizer": sgd(_swav()), "amp": {"loss_scaler0": {"loss_scale": 1.0}}}


def swav_released() -> Any:
    """facebookresearch/swav @06b1b7c, hubconf.py: the published file is the state dict alone, `module.` still on it."""
    return ddp(_swav())


def dino() -> Any:
    """facebookresearch/dino @7c446df, utils.py MultiCropWrapper, vision_transformer.py DINOHead, main_dino.py save_dict."""

    def crops(seed: int) -> nn.Module:
        head = Module(mlp=linear(512, 32, 8), last_layer=nn.utils.parametrizations.weight_norm(nn.Linear(8, 64, bias=False)))
        return Module(backbone=resnet(seed), head=head)

    saved = {"student": ddp(crops(ONLINE)), "teacher": ddp(crops(MOMENTUM)), "optimizer": {}, "epoch": 100}
    return saved | {"args": argparse.Namespace(arch="resnet18"), "dino_loss": {"center": torch.zeros(1, 64)}}


def barlow_twins() -> Any:
    """facebookresearch/barlowtwins @8e8d284, main.py BarlowTwins and its checkpoint.pth."""
    model = Module(backbone=resnet(ONLINE), projector=linear(512, 32, 8), bn=nn.BatchNorm1d(8, affine=False))
    return {"epoch": 1000, "model": ddp(model), "optimizer": sgd(model)}


def vicreg() -> Any:
    """facebookresearch/vicreg @4e12602, main_vicreg.py VICReg and its model.pth."""
    model = Module(backbone=resnet(ONLINE), projector=linear(512, 32, 8))
    return {"epoch": 1000, "model": ddp(model), "optimizer": sgd(model)}


def backbone_alone() -> Any:
    """facebookresearch/barlowtwins @8e8d284, main.py: its last line; VICReg and DINO publish the same form."""
    return resnet(ONLINE).state_dict()


def vissl() -> Any:
    """facebookresearch/vissl @09270ed2, models/trunks/resnext.py, base_ssl_model.py get_classy_state, hooks/log_hooks.py."""
    model = resnet(ONLINE)
    blocks = {
        name: getattr(model, name) for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    }
    feature_blocks = nn.ModuleDict({"conv1_relu" if name == "relu" else name: block for name, block in blocks.items()})
    parts = {
        "trunk": Module(_feature_blocks=feature_blocks).state_dict(),
        "heads": nn.ModuleList([linear(512, 8)]).state_dict(),
    }
    base = {"model": parts, "meta": {"trunk": {}, "heads": []}}
    state = {"train": True, "base_model": base, "meters": [], "optimizer": sgd(model), "phase_idx": 99}
    saved = {"phase_idx": 99, "iteration": 500, "loss": {}, "iteration_num": 500, "train_phase_idx": 99}
    return saved | {"classy_state_dict": state, "type": "consolidated"}


def vissl_old() -> Any:
    """facebookresearch/vissl @09270ed2, extra_scripts/convert_vissl_to_torchvision.py: the form with `model_state_dict`."""
    return {"model_state_dict": vissl()["classy_state_dict"]["base_model"]["model"]["trunk"]}


def solo_learn() -> Any:
    """vturrisi/solo-learn @9187ea3, solo/methods/base.py and byol.py; Lightning's save_checkpoint."""
    parts = {"backbone": resnet(ONLINE), "classifier": nn.Linear(512, 10), "momentum_backbone": resnet(MOMENTUM)}
    model = Module(**parts, projector=linear(512, 8), momentum_projector=linear(512, 8), predictor=linear(8, 8))
    saved = {"epoch": 99, "global_step": 5, "pytorch-lightning_version": "1.7.0", "state_dict": model.state_dict()}
    return saved | {"loops": {}, "callbacks": {}, "optimizer_states": [sgd(model)], "lr_schedulers": []}


def solo_learn_old() -> Any:
    """vturrisi/solo-learn @9187ea3, main_linear.py: older checkpoints say `encoder` for `backbone`."""
    model = Module(encoder=resnet(ONLINE), classifier=nn.Linear(512, 10), projector=linear(512, 8))
    return {"epoch": 99, "pytorch-lightning_version": "1.3.0", "state_dict": model.state_dict()}


def openselfsup_moco() -> Any:
    """open-mmlab/OpenSelfSup, now mmselfsup @0b768363, openselfsup/models/moco.py: `backbone` is encoder_q[0] once more."""
    query = nn.Sequential(resnet(ONLINE), Module(mlp=linear(512, 8)))
    key = nn.Sequential(resnet(MOMENTUM), Module(mlp=linear(512, 8)))
    model = Module(encoder_q=query, encoder_k=key, backbone=query[0], **queue())
    return {"meta": {"openselfsup_version": "0.3.0", "config": ""}, "state_dict": model.state_dict(), "optimizer": {}}


def openselfsup_byol() -> Any:
    """open-mmlab/OpenSelfSup, now mmselfsup @0b768363, openselfsup/models/byol.py."""
    online = nn.Sequential(resnet(ONLINE), Module(mlp=linear(512, 8)))
    target = nn.Sequential(resnet(MOMENTUM), Module(mlp=linear(512, 8)))
    model = Module(online_net=online, target_net=target, backbone=online[0], head=Module(predictor=linear(8, 8)))
    return {"meta": {"openselfsup_version": "0.3.0"}, "state_dict": model.state_dict(), "optimizer": {}}


def openselfsup_extracted() -> Any:
    """open-mmlab/OpenSelfSup, now mmselfsup @0b768363, tools/extract_backbone_weights.py."""
    return {"state_dict": resnet(ONLINE).state_dict(), "author": "OpenSelfSup"}


def _average(backbone: nn.Module) -> nn.Module:
    """mmengine's ExponentialMovingAverage: a copy under `module` and a counter."""
    return Module(module=nn.Sequential(backbone, Module(mlp=linear(512, 8))), steps=torch.tensor(5))


def _mmengine(model: nn.Module) -> Any:
    meta = {"epoch": 200, "iter": 1000, "seed": 0, "experiment_name": "x", "mmengine_version": "0.7.0"}
    return {"meta": meta, "state_dict": model.state_dict(), "optimizer": sgd(model), "param_schedulers": [{"last_step": 5}]}


def mmselfsup_moco() -> Any:
    """open-mmlab/mmselfsup @db861f30, models/algorithms/moco.py."""
    neck = Module(mlp=linear(512, 8))
    return _mmengine(Module(backbone=resnet(ONLINE), neck=neck, encoder_k=_average(resnet(MOMENTUM)), **queue()))


def mmselfsup_byol() -> Any:
    """open-mmlab/mmselfsup @db861f30, models/algorithms/byol.py; mmpretrain @ee7f2e88, models/selfsup/byol.py, is alike."""
    neck, head = Module(mlp=linear(512, 8)), Module(predictor=Module(mlp=linear(8, 8)))
    return _mmengine(Module(backbone=resnet(ONLINE), neck=neck, head=head, target_net=_average(resnet(MOMENTUM))))


def mmpretrain_mocov3() -> Any:
    """open-mmlab/mmpretrain @ee7f2e88, models/selfsup/mocov3.py; mmselfsup @db861f30 is alike."""
    neck, head = Module(mlp=linear(512, 8)), Module(predictor=Module(mlp=linear(8, 8)))
    return _mmengine(Module(backbone=resnet(ONLINE), neck=neck, head=head, momentum_encoder=_average(resnet(MOMENTUM))))


def mmselfsup_simsiam() -> Any:
    """open-mmlab/mmselfsup @db861f30, models/algorithms/simsiam.py: no second encoder."""
    return _mmengine(Module(backbone=resnet(ONLINE), neck=Module(mlp=linear(512, 8)), head=Module(predictor=linear(8, 8))))


def mmselfsup_extracted() -> Any:
    """open-mmlab/mmselfsup @db861f30, tools/model_converters/extract_backbone_weights.py."""
    return {"state_dict": resnet(ONLINE).state_dict(), "author": "MMSelfSup"}


def mmpretrain_classifier() -> Any:
    """open-mmlab/mmpretrain @ee7f2e88, models/classifiers/image.py with heads/linear_head.py."""
    return _mmengine(Module(backbone=resnet(ONLINE), head=Module(fc=nn.Linear(512, 10))))


def _children(seed: int) -> nn.Sequential:
    return nn.Sequential(*list(resnet(seed, nn.Linear(512, 10)).children())[:-1])


def _lightning(model: nn.Module) -> Any:
    return {"epoch": 99, "global_step": 5, "pytorch-lightning_version": "2.1.0", "state_dict": model.state_dict()}


def lightly_example_byol() -> Any:
    """lightly-ai/lightly @e8d317fc, examples/pytorch_lightning/byol.py: the backbone is a Sequential."""
    heads = {f"{kind}_head{of}": linear(512, 8) for kind in ("projection", "prediction") for of in ("", "_momentum")}
    return _lightning(Module(backbone=_children(ONLINE), **heads, backbone_momentum=_children(MOMENTUM)))


def lightly_example_dino() -> Any:
    """lightly-ai/lightly @e8d317fc, examples/pytorch_lightning/dino.py; its forward is the student's."""
    heads = {"student_head": linear(512, 8), "teacher_head": linear(512, 8)}
    return _lightning(Module(student_backbone=_children(ONLINE), teacher_backbone=_children(MOMENTUM), **heads))


def lightly_example_simsiam() -> Any:
    """lightly-ai/lightly @e8d317fc, examples/pytorch_lightning/simsiam.py."""
    return _lightning(Module(backbone=_children(ONLINE), projection_head=linear(512, 8), prediction_head=linear(8, 8)))


def lightly_benchmark_byol() -> Any:
    """lightly-ai/lightly @e8d317fc, benchmarks/imagenet/resnet50/byol.py."""
    heads = {"projection_head": linear(512, 8), "prediction_head": linear(8, 8), "teacher_projection_head": linear(512, 8)}
    model = Module(backbone=resnet(ONLINE), **heads, teacher_backbone=resnet(MOMENTUM))
    model.online_classifier = Module(classification_head=nn.Linear(512, 10))
    return _lightning(model)


def lightly_benchmark_moco() -> Any:
    """lightly-ai/lightly @e8d317fc, benchmarks/imagenet/resnet50/mocov2.py."""
    heads = {"projection_head": linear(512, 8), "key_projection_head": linear(512, 8)}
    return _lightning(Module(backbone=resnet(ONLINE), **heads, key_backbone=resnet(MOMENTUM)))


def lightly_benchmark_dino() -> Any:
    """lightly-ai/lightly @e8d317fc, benchmarks/imagenet/resnet50/dino.py: `backbone` is the average, and its forward."""
    heads = {"projection_head": linear(512, 8), "student_projection_head": linear(512, 8)}
    return _lightning(Module(backbone=resnet(MOMENTUM), **heads, student_backbone=resnet(ONLINE)))


def timm_training() -> Any:
    """huggingface/pytorch-image-models @aa4b5850, timm/utils/checkpoint_saver.py _save."""
    model, ema = resnet(ONLINE, nn.Linear(512, 10)), resnet(MOMENTUM, nn.Linear(512, 10))
    saved = {
        "epoch": 99,
        "arch": "resnet18",
        "optimizer": sgd(model),
        "version": 2,
        "args": argparse.Namespace(model="resnet18"),
    }
    return saved | {"state_dict": model.state_dict(), "state_dict_ema": ema.state_dict(), "metric": 70.0}


def timm_training_alone() -> Any:
    """huggingface/pytorch-image-models @aa4b5850, timm/utils/checkpoint_saver.py _save without an average."""
    saved = timm_training()
    del saved["state_dict_ema"]
    return saved


def torchvision_file() -> Any:
    """pytorch/vision, torchvision/models/resnet.py: the published files, here without counters, as the oldest are."""
    state = resnet(ONLINE, nn.Linear(512, 1000)).state_dict()
    return OrderedDict((name, tensor) for name, tensor in state.items() if "num_batches" not in name)


def torchvision_training() -> Any:
    """pytorch/vision, references/classification/train.py: its checkpoint."""
    model = resnet(ONLINE, nn.Linear(512, 1000))
    return {"model": model.state_dict(), "optimizer": sgd(model), "lr_scheduler": {}, "epoch": 1, "args": argparse.Namespace()}


def compiled() -> Any:
    """torch.compile keeps the module under `_orig_mod`."""
    return ddp(Module(_orig_mod=resnet(ONLINE)))


class Case(NamedTuple):
    """A fixture and what should be read of it."""

    make: Callable[[], Any]
    source: str
    method: str = "unknown"
    pair: bool = False
    default: int = ONLINE


CASES = [
    Case(moco_v1, "mocov1", "unknown (MoCo's layout)", pair=True),
    Case(moco_v2, "mocov2", "unknown (MoCo's layout)", pair=True),
    Case(unimoco, "unimoco", "unimoco", pair=True),
    Case(moco_v3, "mocov3", "mocov3", pair=True),
    Case(airl_byol, "byol", "byol", pair=True),
    Case(airl_moco, "revisitairl", pair=True),
    Case(airl_teacher, "revisitairl", pair=True),
    Case(simsiam, "simsiam", "simsiam"),
    Case(swav, "swav", "swav"),
    Case(swav_released, "swav", "swav"),
    Case(dino, "dino", "dino", pair=True, default=MOMENTUM),
    Case(barlow_twins, "barlowtwins", "barlowtwins"),
    Case(vicreg, "vicreg", "unknown (VICReg's layout)"),
    Case(backbone_alone, "plain"),
    Case(vissl, "vissl"),
    Case(vissl_old, "vissl"),
    Case(solo_learn, "solo-learn", pair=True),
    Case(solo_learn_old, "solo-learn"),
    Case(openselfsup_moco, "openselfsup", pair=True),
    Case(openselfsup_byol, "openselfsup", pair=True),
    Case(openselfsup_extracted, "openselfsup"),
    Case(mmselfsup_moco, "mmselfsup", pair=True),
    Case(mmselfsup_byol, "mmselfsup", pair=True),
    Case(mmpretrain_mocov3, "mmselfsup", pair=True),
    Case(mmselfsup_simsiam, "mmselfsup"),
    Case(mmselfsup_extracted, "mmselfsup"),
    Case(mmpretrain_classifier, "mmpretrain"),
    Case(lightly_example_byol, "lightly", pair=True),
    Case(lightly_example_dino, "lightly", pair=True),
    Case(lightly_example_simsiam, "lightly"),
    Case(lightly_benchmark_byol, "lightly", pair=True),
    Case(lightly_benchmark_moco, "lightly", pair=True),
    Case(lightly_benchmark_dino, "lightly", pair=True, default=MOMENTUM),
    Case(timm_training, "timm", pair=True, default=MOMENTUM),
    Case(timm_training_alone, "timm"),
    Case(torchvision_file, "torchvision", "supervised"),
    Case(torchvision_training, "torchvision", "supervised"),
    Case(compiled, "plain"),
]


def all_tensors(value: Any) -> int:
    """How many tensors a file holds, wherever."""
    if isinstance(value, Tensor):
        return 1
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return sum(all_tensors(part) for part in inside)


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.make.__name__)
def test_a_project_s_own_file_gives_the_encoder_its_own_conversion_takes(tmp_path: Path, case: Case) -> None:
    content, path = case.make(), tmp_path / "checkpoint.pth"
    torch.save(content, path)
    backbone = sources.load(str(path))
    assert (backbone.source, backbone.provenance.method, backbone.arch) == (case.source, case.method, "resnet18")
    assert same(backbone.state, trunk(case.default) | {name: torch.tensor(0) for name in backbone.filled})
    account = backbone.account()
    assert account["source_tensors"] == all_tensors(content) == account["source_used"] + account["source_dropped"]
    if case.pair:
        _check_branches(path, case, backbone)


def _check_branches(path: Path, case: Case, backbone: sources.Backbone) -> None:
    names = {ONLINE: "online", MOMENTUM: "momentum"}
    other = ONLINE + MOMENTUM - case.default
    chosen = sources.load(str(path), branch=names[other])
    assert same(chosen.state, trunk(other))
    assert chosen.branch == names[other] != backbone.branch
    assert chosen.sha256 != backbone.sha256 == sources.load(str(path), branch=names[case.default]).sha256


def test_every_source_of_the_table_has_a_fixture_here() -> None:
    elsewhere = {"huggingface", "detectron2", "caffe", *VITS}
    assert {case.source for case in CASES} | elsewhere == set(sources.SOURCES)


@pytest.mark.parametrize(("arch", "head"), [("resnet18", True), ("resnet50", False)])
def test_transformers_resnets_are_read(tmp_path: Path, arch: str, head: bool) -> None:
    """huggingface/transformers @ae005ce, models/resnet/modeling_resnet.py: ResNetModel, ResNetForImageClassification."""
    model = resnet(ONLINE, arch=arch)

    def layer(convolution: nn.Module, normalization: nn.Module) -> nn.Module:
        return Module(convolution=convolution, normalization=normalization)

    def block(own: Any) -> nn.Module:
        pairs = [(own.conv1, own.bn1), (own.conv2, own.bn2)] + ([(own.conv3, own.bn3)] if hasattr(own, "conv3") else [])
        shortcut = layer(*own.downsample) if own.downsample is not None else nn.Identity()
        return Module(shortcut=shortcut, layer=nn.Sequential(*[layer(*pair) for pair in pairs]))

    stages = [Module(layers=nn.Sequential(*[block(own) for own in getattr(model, f"layer{n}")])) for n in (1, 2, 3, 4)]
    base = Module(embedder=Module(embedder=layer(model.conv1, model.bn1)), encoder=Module(stages=nn.ModuleList(stages)))
    width = 512 if arch == "resnet18" else 2048
    whole = Module(resnet=base, classifier=nn.Sequential(nn.Flatten(), nn.Linear(width, 10))) if head else base
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(contiguous(whole.state_dict()), path, metadata={"format": "pt"})
    backbone = sources.load(str(path))
    assert (backbone.source, backbone.arch, len(backbone.dropped)) == ("huggingface", arch, 2 * head)
    assert same(backbone.state, trunk(ONLINE, arch))


def test_safetensors_of_timm_are_read(tmp_path: Path) -> None:
    """huggingface/pytorch-image-models @aa4b5850, timm/models/_hub.py: a ResNet's state dict, `fc` and all."""
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(contiguous(resnet(ONLINE, nn.Linear(512, 10)).state_dict()), path, metadata={"format": "pt"})
    backbone = sources.load(str(path))
    assert (backbone.source, backbone.dropped) == ("timm", ("fc.bias", "fc.weight"))
    assert same(backbone.state, trunk(ONLINE))


def detectron2_name(name: str) -> str:
    """facebookresearch/detectron2 @02b5c4e, tools/convert-torchvision-to-d2.py: its chain of replacements."""
    name = name if "layer" in name else f"stem.{name}"
    for t in (1, 2, 3, 4):
        name = name.replace(f"layer{t}", f"res{t + 1}")
    for t in (1, 2, 3):
        name = name.replace(f"bn{t}", f"conv{t}.norm")
    return name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


@pytest.mark.parametrize(("arch", "author"), [("resnet18", "torchvision"), ("resnet50", "MOCO")])
def test_pickles_of_detectron2_s_and_moco_s_converters_are_read(tmp_path: Path, arch: str, author: str) -> None:
    """facebookresearch/detectron2 @02b5c4e and facebookresearch/moco @7397dfe: both leave the head in, under `stem`."""
    named = {detectron2_name(name): tensor.detach().contiguous().numpy() for name, tensor in trunk(ONLINE, arch).items()}
    named |= {"stem.fc.weight": torch.zeros(10, 4).numpy(), "stem.fc.bias": torch.zeros(10).numpy()}
    with (tmp_path / "r.pkl").open("wb") as file:
        pickle.dump({"model": named, "__author__": author, "matching_heuristics": True}, file)
    backbone = sources.load(str(tmp_path / "r.pkl"))
    assert (backbone.source, backbone.arch, backbone.dropped) == ("detectron2", arch, ("stem.fc.weight", "stem.fc.bias"))
    assert same(backbone.state, trunk(ONLINE, arch))


@pytest.mark.parametrize("kind", ["C4", "FPN"])
def test_the_backbone_of_a_detector_of_detectron2_is_read(tmp_path: Path, kind: str) -> None:
    """facebookresearch/detectron2 @02b5c4e: modeling/roi_heads Res5ROIHeads keeps res5, modeling/backbone/fpn.py bottom_up;

    MoCo's Res5ROIHeadsExtraNorm (@7397dfe, detection/train_net.py) adds res5.norm. Saved by fvcore's Checkpointer.
    """

    def place(name: str) -> str:
        if kind == "FPN":
            return f"backbone.bottom_up.{name}"
        return f"roi_heads.{name}" if name.startswith("res5") else f"backbone.{name}"

    named = {place(detectron2_name(name)): tensor for name, tensor in trunk(ONLINE).items() if "num_batches" not in name}
    heads = ("proposal_generator.rpn_head.conv.weight", "backbone.fpn_lateral5.weight", "roi_heads.res5.norm.weight")
    saved = {"model": named | {name: torch.zeros(4) for name in heads}, "optimizer": {}, "iteration": 89999}
    torch.save(saved, tmp_path / "model_final.pth")
    backbone = sources.load(str(tmp_path / "model_final.pth"))
    assert (backbone.source, backbone.dropped, len(backbone.filled)) == ("detectron2", heads, 20)
    assert same(backbone.state, trunk(ONLINE) | {name: torch.tensor(0) for name in backbone.filled})


@pytest.mark.parametrize("named", ["barlowtwins", "vicreg", "dino", "timm"])
def test_a_plain_file_is_whose_the_user_says(tmp_path: Path, named: str) -> None:
    path = tmp_path / "resnet50.pth"
    torch.save(backbone_alone(), path)
    backbone = sources.load(str(path), source=named)
    assert (backbone.source, backbone.provenance.method) == (named, "unknown" if named == "timm" else named)
    assert same(backbone.state, trunk(ONLINE))
    assert "as --source says" in backbone.why


def test_a_source_that_the_file_is_not_of_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet50.pth"
    torch.save(backbone_alone(), path)
    with pytest.raises(CheckpointError, match=r"no backbone of unimoco recognised(.|\n)*encoder_q"):
        sources.load(str(path), source="unimoco")
    with pytest.raises(CheckpointError, match=r"unknown source 'mocov4'(.|\n)*did you mean 'mocov"):
        sources.load(str(path), source="mocov4")


def test_a_branch_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet50.pth"
    torch.save(backbone_alone(), path)
    with pytest.raises(CheckpointError, match="holds no momentum encoder"):
        sources.load(str(path), branch="momentum")
    with pytest.raises(CheckpointError, match="unknown branch 'teacher'"):
        sources.load(str(path), branch="teacher")


def test_what_was_recognised_and_why_is_said(tmp_path: Path) -> None:
    path = tmp_path / "moco.pth"
    torch.save(moco_v2(), path)
    first, second, _ = sources.load(str(path)).summary()
    assert first == (
        "checkpoint: mocov2, resnet18; online encoder, what its own conversion takes; "
        "recognised by module.encoder_q.conv1.weight in state_dict"
    )
    assert second == (
        "of its 251 tensors 120 are the backbone; "
        "dropped: queue (1), queue_ptr (1), encoder_q.fc (4), encoder_k (124), optimizer (1)"
    )


def test_files_of_detectron2_s_zoo_are_taken_only_on_the_user_s_word(tmp_path: Path) -> None:
    """Detectron2's zoo is published with this author; most of it began as MSRA's ResNets (its MODEL_ZOO.md)."""
    named = {f"backbone.{detectron2_name(name)}": tensor for name, tensor in trunk(ONLINE).items()}
    torch.save({"model": named, "__author__": "Detectron2 Model Zoo"}, tmp_path / "zoo.pth")
    with pytest.raises(CheckpointError, match=r"likely not what it would be read as(.|\n)*--source detectron2"):
        sources.load(str(tmp_path / "zoo.pth"))
    backbone = sources.load(str(tmp_path / "zoo.pth"), source="detectron2")
    assert same(backbone.state, trunk(ONLINE))
    assert any(line.startswith("assumed: RGB") and "--source caffe" in line for line in backbone.summary())


@pytest.mark.parametrize("steps", ["model", "state_dict"])
def test_msra_s_resnets_are_read_as_caffe_s_on_the_user_s_word(tmp_path: Path, steps: str) -> None:
    """Detectron2 @ 18f6958, modeling/backbone/resnet.py and config/defaults.py; mmdetection @ cfd5d3a, style='caffe'."""
    state = trunk(ONLINE)
    detectron2 = {f"backbone.bottom_up.{detectron2_name(name)}": tensor for name, tensor in state.items()}
    named = detectron2 if steps == "model" else {f"backbone.{name}": tensor for name, tensor in state.items()}
    torch.save({steps: named, "meta": {}}, tmp_path / "msra.pth")
    backbone = sources.load(str(tmp_path / "msra.pth"), source="caffe")
    assert same(backbone.state, state)
    assert (backbone.recipe.seen.order, backbone.recipe.seen.pixel_std) == ("BGR", (1.0, 1.0, 1.0))
    assert backbone.recipe.seen.pixel_mean == (103.53, 116.28, 123.675)
    assert "order" in backbone.assumed


def test_a_source_or_branch_of_what_is_no_pair_is_refused(tmp_path: Path) -> None:
    save_backbone(tmp_path / "own.pth", trunk(ONLINE), Provenance(method="mocov2", arch="resnet18"))
    for checkpoint in ("random:resnet18", "torchvision:resnet18/IMAGENET1K_V1", str(tmp_path / "own.pth")):
        for how in ({"source": "mocov2"}, {"branch": "momentum"}):
            with pytest.raises(CheckpointError, match="leave that away"):
                sources.load(checkpoint, **how)
