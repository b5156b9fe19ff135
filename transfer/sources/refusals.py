"""Why a file holds no backbone that can be taken, in words: the likeliest reason first."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pretrain import backbones
from pretrain.backbones import BACKBONES, Shapes, shapes_of
from pretrain.backbones.vit import PATCH, VisionTransformer
from pretrain.core.errors import CheckpointError
from transfer.sources import files
from transfer.sources.codebases import SOURCES
from transfer.sources.files import Payload
from transfer.sources.found import Found

Reason = tuple[Callable[[Shapes], bool], str]
"""A question about names and shapes, and the words for where it is answered with yes. An example: in a state dict of timm's
resnet50d, `conv1.0.weight` stands in the place of `conv1.weight`, so that the first of `MISFITS` says that its stem is three
3 × 3 convolutions."""

DEEP = "its stem is three 3×3 convolutions (ResNetV1c, timm's d models), which is another function than a 7×7 stem"
TRANSFORMER_WORDS = ("cls_token", "class_token", "pos_embed", "position_embedding", "patch_embed")
ONE_SIDED = "its strided convolutions are padded on one side ('SAME'), another function than torch's"
OWN_NAME = "backbone.pth"
"""What `bench pretrain` calls the file to transfer, beside the state it resumes from."""
PORT = "save its tensors by torchvision's or timm's names with torch.save: its own are not those of a network here"
OTHER_DEPTHS = {(3, 8, 36, 3): 152, (3, 24, 36, 3): 200}
"""Blocks of layer1 to layer4 → the depth they make."""


def _conv1(shapes: Shapes) -> tuple[int, ...]:
    """(outputs, inputs, height, width) of the first convolution; ResNet's own where there is none."""
    return _of_convolution(shapes, "conv1.weight", (64, 3, 7, 7))


def _ends_stem(shapes: Shapes) -> bool:
    """Tell whether the first block takes what the first convolution puts out."""
    return shapes.get("layer1.0.conv1.weight", ())[1:2] == _conv1(shapes)[:1]


def _middle(shapes: Shapes) -> tuple[int, ...]:
    """(outputs, inputs, height, width) of the first block's second convolution, which is 64 wide in every ResNet."""
    return _of_convolution(shapes, "layer1.0.conv2.weight", (64, 64, 3, 3))


def _of_convolution(shapes: Shapes, name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    """Return a convolution's shape; the usual one where it is missing or no convolution's."""
    shape = shapes.get(name, ())
    return shape if len(shape) == 4 else usual


def _patch(shapes: Shapes) -> tuple[int, ...]:
    """(height, width) of a ViT's patches; the table's own where there are none."""
    return shapes.get("patch_embed.proj.weight", ())[2:] or (PATCH, PATCH)


def _has_positions(shapes: Shapes) -> bool:
    return any(word in key for key in shapes for word in TRANSFORMER_WORDS)


def _has(shapes: Shapes, pattern: str) -> bool:
    return any(re.search(pattern, key) for key in shapes)


def _convolves(shapes: Shapes) -> bool:
    """Tell whether a network has bottlenecks, whatever they are called: convolutions of 3 × 3, and no transformer's blocks."""
    return any(shape[2:] == (3, 3) for shape in shapes.values()) and not any("blocks." in key for key in shapes)


def _blocks(shapes: Shapes) -> tuple[int, ...]:
    return tuple(len({key.split(".")[1] for key in shapes if key.startswith(f"layer{n}.")}) for n in (1, 2, 3, 4))


MORE_THAN_A_BLOCK = (
    r"^layer\d\.\d+\.(?!((conv|bn)\d|downsample\.[01])\.(weight|bias|running_mean|running_var|num_batches_tracked)$)"
)
"""Matches what stands in a block and is no convolution or norm of a ResNet's."""
WIDTHS = tuple({(each.width,): None for each in backbones.every() if isinstance(each, VisionTransformer)} | {(): None})
"""Outputs of the projection of patches, as a shape, of every vision transformer here; and that of a network without one."""
LORA: Reason = (
    lambda s: _has(s, r"(^|[._])lora_[AB]\b"),
    "it has adapters (LoRA), beside its weights or alone: merge them first, with the weights (merge_and_unload)",
)
EMPTY: Reason = (
    lambda s: sum(0 in shape for shape in s.values()) > len(s) / 4,
    "its tensors are empty, the weights lie in other files (ZeRO stage 3, FSDP): join them first (zero_to_fp32.py)",
)
FROZEN = "it is TorchScript whose weights are constants of its code (frozen, or made for phones): save it before that"
NOT_ITS_OWN = "its names are those of no network that is read here"
STRANGERS: tuple[Reason, ...] = (
    (lambda s: not s, "it holds no tensors by name"),
    EMPTY,
    LORA,
    (lambda s: all(len(shape) < 2 for shape in s.values()), "its tensors are no weights: all are of one dimension or none"),
    (
        lambda s: _has(s, r"(^|\.)(ln_pre|pre_layrnorm)\."),
        "it is a vision transformer with a norm before its blocks, such as CLIP's",
    ),
    (
        lambda s: _has(s, r"(^|\.)stages\.\d\.blocks\.\d+\.(norm|conv)\d\."),
        "it is a pre-activation ResNet (ResNetV2, BiT): norms before convolutions",
    ),
    (lambda s: _has(s, r"ResNetBlock_\d+\."), f"it is a ResNet of Flax's own example; {ONE_SIDED}"),
    (lambda s: _has(s, r"resnet_v[12]_\d+\."), f"it is a ResNet of TF-slim, strided at the end of its layers; {ONE_SIDED}"),
    (lambda s: _has(s, r"standardized_conv2d"), "it is a BiT: its convolutions are standardised, and its norms are of groups"),
    (lambda s: _has(s, r"(^|\.)~\."), f"it is of Haiku; {ONE_SIDED}"),
    (
        lambda s: _has(s, r"conv\d_block\d+_\d_(conv|bn)"),
        "it is a ResNet of Keras: strided in the 1×1 convolutions, with biases and another eps",
    ),
    (lambda s: _has_positions(s) and _convolves(s), "it is a ResNet with a pooling by attention, such as CLIP's"),
    (lambda s: _has_positions(s), "it is a vision transformer"),
    (
        lambda s: all(len(shape) < 4 for shape in s.values()),
        "it has no convolution: it is a head or projector only, or no network of images",
    ),
    (
        lambda s: "res2_0_branch2a_w" in s,
        "it is one of MSRA's ResNets (Caffe2's names): stride in the 1×1 convolutions and BGR images, another function",
    ),
)
"""Reasons for files in which nothing looks like a backbone that the source may hold. An example: a ViT-S in
MoCo v2's layout has `encoder_q.cls_token`; how many attention heads it has would show in no tensor, and that code has none."""

MISFITS: tuple[Reason, ...] = (
    (
        lambda s: any(".parametrizations." in key or key.endswith("_orig") for key in s),
        "its weights are made by functions that the file doesn't hold (parametrizations)",
    ),
    LORA,
    EMPTY,
    (
        lambda s: any(len(shape) == 5 for shape in s.values()),
        "it is a network of videos or volumes, whose kernels have three sides",
    ),
    (lambda s: len(s.get("conv1.weight", ())) == 3, "it is a network of signals such as sound, whose kernels have one side"),
    (
        lambda s: _has(s, r"fake_quant|activation_post_process|\._packed_params"),
        "it was quantised, or trained for that: another function",
    ),
    (
        lambda s: "conv1.bias" in s and "layer1.0.conv1.bias" in s and not _has(s, r"(^|\.)bn1\."),
        "its norms were folded into its convolutions",
    ),
    (lambda s: _has(s, r"(^|\.)filt$"), "it blurs (anti-aliasing) where it is strided"),
    (lambda s: _has(s, r"^(?!.*layer\d\.).*(stem|conv1)\.0\.weight$"), DEEP),
    (lambda s: _conv1(s)[2] == 3 and not _ends_stem(s), DEEP),
    (lambda s: _conv1(s)[2:] == (3, 3), "its stem is one 3×3 convolution, for images of 32 pixels (CIFAR)"),
    (lambda s: _conv1(s)[1] != 3, "its first convolution does not take 3 channels"),
    (lambda s: _middle(s)[1] < _middle(s)[0], "it is a ResNeXt (grouped convolutions)"),
    (lambda s: _conv1(s)[0] > 64 or _middle(s)[0] > 64, "it is wider than a ResNet"),
    (lambda s: _blocks(s) in OTHER_DEPTHS, "it is a deeper ResNet"),
    (lambda s: _blocks(s) == (2, 2, 2, 2) and "layer1.0.conv3.weight" in s, "it is timm's ResNet-26"),
    (lambda s: any(".se." in key for key in s), "its blocks have squeeze-and-excitation"),
    (lambda s: _has(s, MORE_THAN_A_BLOCK), "its blocks have more parts than a ResNet's, such as attention: another function"),
    (
        lambda s: "bn1.weight" in s and not any(key.endswith("running_mean") for key in s),
        "its norms have no running statistics (GroupNorm, or statistics left out)",
    ),
    (
        lambda s: "layer1.0.downsample.0.weight" in s and "layer1.0.conv3.weight" not in s,
        "the shortcut of its first block has a projection, as PaddleClas builds its ResNet-18 and 34",
    ),
    (lambda s: _patch(s) != (PATCH, PATCH), f"it is a vision transformer whose patches are not of {PATCH} × {PATCH} pixels"),
    (
        lambda s: s.get("patch_embed.proj.weight", ())[:1] not in WIDTHS,
        "it is a vision transformer of another size than ViT-S and ViT-B",
    ),
    (lambda s: _has(s, r"^blocks\.0\.attn\.relative"), "it is a vision transformer with relative positions, such as BEiT"),
    (lambda s: any(".ls1." in key for key in s), "it is a vision transformer with layer scale, such as DINOv2's"),
    (lambda s: "norm_pre.weight" in s, "it is a vision transformer with a norm before its blocks, such as CLIP's"),
    (lambda s: not {"reg_token", "dist_token"}.isdisjoint(s), "it is a vision transformer with more tokens than the class's"),
    (
        lambda s: "patch_embed.proj.weight" in s and "cls_token" not in s,
        "it is a vision transformer without a class token, of which its features are read",
    ),
    (
        lambda s: _has(s, r"(^|\.)fc_norm\.") and "norm.weight" not in s,
        "it is a vision transformer that was fine-tuned on the mean of its patches (fc_norm), and has no norm before that",
    ),
)
"""Reasons for files in which a backbone was found that is none of the table. An example: the first block's second convolution
(128, 4, 3, 3) has fewer inputs than outputs, so that its file is called a ResNeXt."""


DILATED = re.compile(
    r"(^|\.)(classifier\.0\.(convs|project)\.|classifier\.0\.weight$|aux_classifier\.|(aspp|ppm|psp|psp_modules)\.|"
    r"(decode_head|auxiliary_head)\.(?!lateral_convs|fpn_convs|scale_heads|fpn_bottleneck|psp_modules))"
)
"""Matches tensors of heads that segment the maps of a dilated backbone: DeepLab's, PSPNet's, FCN's; those on a pyramid, such as
UPerNet's, do not."""


def require_undilated(path: Path, found: Found) -> None:
    """Refuse a backbone beside a head that was trained with dilated layers in it, which no tensor shows.

    Raises:
        CheckpointError: With the first tensor of that head.
    """
    head = next((key for key in found.dropped if DILATED.search(key)), None)
    pyramid = any(re.search(r"(lateral_convs|fpn_convs|scale_heads)\.", key) for key in found.dropped)
    if head is None or pyramid:
        return
    raise CheckpointError(
        f"the backbone in {path} is likely dilated: a head for segmentation lies beside it",
        seen=f"{head}; {found.why}",
        allowed="a backbone whose last layers halve the resolution, as torchvision builds it",
        fix="take the checkpoint that the segmenter began with; or, where its layers are not dilated, say --prefix",
    )


def nothing_recognised(path: Path, payload: Payload, source: str | None) -> CheckpointError:
    """Return the error for a file in which nothing looks like a backbone, or none as the source named keeps it."""
    shapes = shapes_of(files.fullest(payload.content))
    reason = "it is an optimiser's state alone" if _is_optimizer(payload.content) else reason_of(STRANGERS, shapes)
    reason = FROZEN if payload.form == "TorchScript" and not shapes else reason
    reason = reason or (f"it has {payload.words}" if payload.words else NOT_ITS_OWN if not source else None)
    fix = (
        "leave --source away"
        if source
        else PORT
        if payload.words
        else "pass the checkpoint of a whole backbone; --source NAME says whose it is"
    )
    if path.with_name(OWN_NAME).is_file() and path.name != OWN_NAME:
        fix = f"pass the {OWN_NAME} beside it"
    return CheckpointError(
        f"no backbone {f'of {source} ' if source else ''}recognised in {path}" + (f": {reason}" if reason else ""),
        seen=f"{len(shapes)} tensors, the first are {list(shapes)[:3]}" if shapes else f"entries {list(payload.content)[:8]}",
        allowed=_patterns(source) if source else _families(),
        fix=fix,
    )


def _is_optimizer(content: Mapping[Any, Any]) -> bool:
    """Tell whether a file holds what `Optimizer.state_dict()` returns, at its top or in each of its entries with tensors."""
    if {"state", "param_groups"} <= content.keys():
        return True
    entries = [each for value in content.values() for each in (value if isinstance(value, list) else [value])]
    inside = [value for value in entries if isinstance(value, Mapping) and files.fullest(value)]
    return bool(inside) and all({"state", "param_groups"} <= value.keys() for value in inside)


def reason_of(table: tuple[Reason, ...], shapes: Shapes) -> str | None:
    """Return the words of the first reason that holds; None where none does."""
    return next((words for fits, words in table if fits(shapes)), None)


def _patterns(source: str) -> str:
    """Say where a source keeps its backbones."""
    places = dict.fromkeys(layout.online for layout in SOURCES[source].layouts)
    return " or ".join(f"keys {place.partition(':')[2]}… in {place.partition(':')[0] or 'the top level'}" for place in places)


def _families() -> str:
    """Say which architectures are taken, and whose ViTs."""
    vits = [name for name, line in SOURCES.items() if "vit" in line.families]
    return f"{', '.join(BACKBONES)}, under any prefix; ViTs as {', '.join(vits)} keep them (`bench ls sources`)"
