"""Why a file holds no backbone that can be taken, in words: the likeliest reason first."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from torch import Tensor

from pretrain.core.errors import CheckpointError
from transfer.sources.backbone import ARCHS, COUNTER, SMALL_STEM, listed, skeleton
from transfer.sources.table import SOURCES

Shapes = Mapping[str, tuple[int, ...]]
Reason = tuple[Callable[[Shapes], bool], str]

DEEP = "its stem is three 3×3 convolutions (ResNetV1c, timm's d models), which is another function than a 7×7 stem"
TRANSFORMER_WORDS = ("cls_token", "class_token", "pos_embed", "position_embedding", "patch_embed")
OWN_NAME = "backbone.pth"
"""What `bench pretrain` calls the file to transfer, beside the state it goes on from."""
OTHER_DEPTHS = {(3, 8, 36, 3): 152, (3, 24, 36, 3): 200}
"""Blocks of layer1 to layer4 → the depth they make."""


def _conv1(shapes: Shapes) -> tuple[int, ...]:
    """(outputs, inputs, height, width) of the first convolution; ResNet's own where there is none."""
    return shapes.get("conv1.weight", (64, 3, 7, 7))


def _middle(shapes: Shapes) -> tuple[int, ...]:
    """(outputs, inputs, height, width) of the first block's second convolution, which is 64 wide in every ResNet."""
    return shapes.get("layer1.0.conv2.weight", (64, 64, 3, 3))


def _blocks(shapes: Shapes) -> tuple[int, ...]:
    return tuple(len({key.split(".")[1] for key in shapes if key.startswith(f"layer{n}.")}) for n in (1, 2, 3, 4))


STRANGERS: tuple[Reason, ...] = (
    (lambda s: not s, "it holds no tensors by name"),
    (lambda s: any(word in key for key in s for word in TRANSFORMER_WORDS), "it is a vision transformer"),
    (lambda s: all(len(shape) < 4 for shape in s.values()), "it is a head or projector only, without a convolution"),
    (
        lambda s: "res2_0_branch2a_w" in s,
        "it is one of MSRA's ResNets (Caffe2's names): stride in the 1×1 convolutions and BGR images, another function",
    ),
)
"""Of files in which nothing looks like a backbone."""

MISFITS: tuple[Reason, ...] = (
    (lambda s: any(key.endswith(("stem.0.weight", "conv1.0.weight")) for key in s), DEEP),
    (lambda s: _conv1(s)[2] == 3 and _conv1(s)[0] < 64, DEEP),
    (lambda s: _conv1(s)[2] == 3, "its stem is one 3×3 convolution, for images of 32 pixels (CIFAR)"),
    (lambda s: _conv1(s)[1] != 3, "its first convolution does not take 3 channels"),
    (lambda s: _middle(s)[1] < _middle(s)[0], "it is a ResNeXt (grouped convolutions)"),
    (lambda s: _conv1(s)[0] > 64 or _middle(s)[0] > 64, "it is wider than a ResNet"),
    (lambda s: _blocks(s) in OTHER_DEPTHS, "it is a deeper ResNet"),
    (lambda s: _blocks(s) == (2, 2, 2, 2) and "layer1.0.conv3.weight" in s, "it is timm's ResNet-26"),
    (lambda s: any(".se." in key for key in s), "its blocks have squeeze-and-excitation"),
    (
        lambda s: "bn1.weight" in s and not any(key.endswith("running_mean") for key in s),
        "its norms have no running statistics (GroupNorm, or statistics left out)",
    ),
)
"""Of files in which a backbone was found that is none of `ARCHS`."""


def nothing_recognised(path: Path, tensors: Mapping[str, Tensor], source: str | None) -> CheckpointError:
    """The error for a file that no line of the table fits, or not the one that was named."""
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    reason = _reason(STRANGERS, shapes)
    fix = "leave --source away" if source else "pass a whole ResNet checkpoint; --source NAME says whose it is"
    if path.with_name(OWN_NAME).is_file() and path.name != OWN_NAME:
        fix = f"pass the {OWN_NAME} beside it"
    return CheckpointError(
        f"no backbone {f'of {source} ' if source else ''}recognised in {path}" + (f": {reason}" if reason else ""),
        seen=f"{len(shapes)} tensors, the first are {list(shapes)[:3]}",
        allowed=_patterns(source) if source else f"a ResNet of one of {', '.join(SOURCES)} (`bench ls sources`)",
        fix=fix,
    )


def _patterns(source: str) -> str:
    """Where a source keeps its backbones."""
    places = dict.fromkeys(layout.online for layout in SOURCES[source].layouts)
    return " or ".join(f"keys {place.partition(':')[2]}… in {place.partition(':')[0] or 'the top level'}" for place in places)


def arch_of(
    state: Mapping[str, Tensor], path: Path, *, source: str, beside: Iterable[str] = (), small_stem: bool = False
) -> str:
    """The architecture whose tensors these are, all of them (counters may be missing) and no other.

    Args:
        state: Under torchvision's names.
        path: Of the file, for messages.
        source: The line that recognised it, for messages.
        beside: The file's other keys, for the reason of a refusal.
        small_stem: Whether a stem of one 3 × 3 convolution is known to be ours; of others' the weights don't say
            whether a pooling follows.

    Raises:
        CheckpointError: With what is missing, extra or of another shape, and the likeliest reason.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    if small_stem and shapes.get("conv1.weight") == SMALL_STEM:
        shapes["conv1.weight"] = tuple(skeleton(ARCHS[0])["conv1.weight"].shape)
    wrong = {arch: _wrong(shapes, arch) for arch in ARCHS}
    nearest = min(wrong, key=lambda arch: len(wrong[arch]))
    if not wrong[nearest]:
        return nearest
    expected = skeleton(nearest)
    kinds = {
        "missing": [key for key in wrong[nearest] if key not in shapes],
        "extra": [key for key in wrong[nearest] if key not in expected],
        "of another shape": [f"{key} {list(shapes[key])}" for key in wrong[nearest] if key in shapes and key in expected],
    }
    seen = "; ".join(f"{len(keys)} {kind}: {', '.join(keys[:3])}" for kind, keys in kinds.items() if keys)
    beside = tuple(beside)
    seen += f"; dropped: {listed(beside)}" if beside else ""
    reason = _reason(MISFITS, dict.fromkeys(beside, ()) | shapes)
    raise CheckpointError(
        f"{path} holds no whole backbone" + (f": {reason}" if reason else ""),
        seen=f"a file of {source}; nearest is {nearest}, with {len(wrong[nearest])} tensors amiss: {seen}",
        allowed=", ".join(ARCHS) + ", as torchvision builds them",
        fix="take a checkpoint of one of those"
        if reason
        else "part of a backbone transfers as noise; get the whole checkpoint",
    )


def _wrong(shapes: Shapes, arch: str) -> list[str]:
    expected = {key: tuple(value.shape) for key, value in skeleton(arch).items()}
    wrong = [key for key in expected.keys() | shapes.keys() if expected.get(key) != shapes.get(key)]
    return sorted(key for key in wrong if key in shapes or not key.endswith(COUNTER))


def _reason(table: tuple[Reason, ...], shapes: Shapes) -> str | None:
    return next((words for fits, words in table if fits(shapes)), None)
