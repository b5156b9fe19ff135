"""Writing a backbone for other tools: rename tables from canonical names, and the files those tools read."""

import dataclasses
import io
import json
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pretrain import backbones
from pretrain.backbones import PUBLISHED, Architecture, Variant
from pretrain.core.atomic import replacing
from pretrain.core.errors import CheckpointError, ConfigError
from pretrain.images.normalise import Input

_Rename = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

# torchvision's ResNet names → Detectron2's, applied in order
# (facebookresearch/moco @7397dfe, detection/convert-pretrain-to-detectron2.py).
_TO_DETECTRON2: tuple[_Rename, ...] = (
    (re.compile(r"^(conv1|bn1)\."), r"stem.\1."),
    (re.compile(r"^layer(\d)\."), lambda m: f"res{int(m[1]) + 1}."),
    (re.compile(r"\bbn(\d)\."), r"conv\1.norm."),
    (re.compile(r"\bdownsample\.0\."), "shortcut."),
    (re.compile(r"\bdownsample\.1\."), "shortcut.norm."),
)


def to_detectron2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a canonical ResNet to Detectron2's names; every key appears once.

    Raises:
        CheckpointError: If two keys would get one name.
    """
    return _renamed(state, _TO_DETECTRON2)


def to_mmseg(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name a canonical ResNet as MMSegmentation's `ResNet` does, which is as torchvision does."""
    return _renamed(state, ())


def _renamed(state: Mapping[str, Tensor], table: tuple[_Rename, ...]) -> dict[str, Tensor]:
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in table:
            name = pattern.sub(replacement, name)
        if name in result:
            raise CheckpointError(f"two tensors would be named {name!r} after conversion", seen=key)
        result[name] = value
    return result


FORMAT = "bench-convert/1"
"""The format of `OUT.json`."""


def _canonical_file(state: Mapping[str, Tensor], suffix: str) -> bytes:
    return _torch_bytes(dict(state))


def detectron2_payload(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what a file for Detectron2 holds; without `matching_heuristics` it loads nothing and only warns."""
    return {"model": to_detectron2(state), "__author__": "bench", "matching_heuristics": True}


def mmseg_payload(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what a file for MMSegmentation holds."""
    return {"state_dict": to_mmseg(state), "meta": {"author": "bench"}}


def _detectron2_file(state: Mapping[str, Tensor], suffix: str) -> bytes:
    payload = detectron2_payload(state)
    if suffix != ".pkl":
        return _torch_bytes(payload)
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=4).dump(payload | {"model": {key: value.numpy() for key, value in payload["model"].items()}})
    return buffer.getvalue()


def _mmseg_file(state: Mapping[str, Tensor], suffix: str) -> bytes:
    return _torch_bytes(mmseg_payload(state))


class _Pickler(pickle.Pickler):
    """Arrays as calls of `numpy.ndarray`, which every version of numpy has; numpy's own pickles name private modules that
    numpy 1 and 2 call differently, and Detectron2 is often installed with the other one."""

    def reducer_override(self, obj: object) -> Any:
        if type(obj) is np.ndarray:
            return np.ndarray, (obj.shape, obj.dtype.str, bytearray(obj.tobytes()))
        return NotImplemented


def _torch_bytes(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@dataclass(frozen=True)
class Target:
    """A tool that a backbone can be written for."""

    suffixes: tuple[str, ...]
    """Endings its loader tells the format by."""
    encode: Callable[[Mapping[str, Tensor], str], bytes]
    """Function of canonical names and the ending that returns the file's bytes."""
    settings: Callable[[Input, Variant], dict[str, Any]]
    """What the tool must be told to be the backbone and to see what it was trained to see."""
    lacks: tuple[str, ...] = ()
    """Fields of `Variant` that it can't be told: its own code must be changed there."""
    families: tuple[str, ...] = ("resnet",)
    """Families of backbones (`Architecture.family`) whose names it knows."""


def _plain_settings(seen: Input, variant: Variant) -> dict[str, Any]:
    return {"mean": list(seen.mean), "std": list(seen.std), "order": seen.order}


def _detectron2_settings(seen: Input, variant: Variant) -> dict[str, Any]:
    return {
        "INPUT.FORMAT": seen.order,
        "MODEL.PIXEL_MEAN": list(seen.pixel_mean),
        "MODEL.PIXEL_STD": list(seen.pixel_std),
        "MODEL.RESNETS.STRIDE_IN_1X1": variant.stride_in_1x1,
    }


def _mmseg_settings(seen: Input, variant: Variant) -> dict[str, Any]:
    settings = {
        "backbone.type": "ResNet",
        "backbone.style": "caffe" if variant.stride_in_1x1 else "pytorch",
        "data_preprocessor.bgr_to_rgb": seen.order == "RGB",
        "data_preprocessor.mean": list(seen.pixel_mean),
        "data_preprocessor.std": list(seen.pixel_std),
    }
    return settings if variant.eps is None else settings | {"backbone.norm_cfg.eps": variant.eps}


NETWORK = tuple(field.name for field in dataclasses.fields(Variant))
TARGETS: dict[str, Target] = {
    "torchvision": Target((".pth", ".pt"), _canonical_file, _plain_settings, lacks=NETWORK),
    "timm": Target((".pth", ".pt"), _canonical_file, _plain_settings, lacks=NETWORK, families=("resnet", "vit")),
    "detectron2": Target((".pkl", ".pth"), _detectron2_file, _detectron2_settings, lacks=("eps",)),
    "mmseg": Target((".pth",), _mmseg_file, _mmseg_settings),
}
"""Name, as in `--to`, → target."""


def unbuilt(name: str, variant: Variant) -> list[str]:
    """List the fields of a variant that a target builds otherwise unless its code is changed."""
    return [field for field in TARGETS[name].lacks if getattr(variant, field) != getattr(PUBLISHED, field)]


def target(name: str, out: Path) -> Target:
    """Return a line of `TARGETS`, if it can write a file of that name.

    Raises:
        ConfigError: If there is no such target, or it doesn't read files with that ending.
    """
    if name not in TARGETS:
        raise ConfigError.unknown("target", name, TARGETS)
    found = TARGETS[name]
    if out.suffix not in found.suffixes:
        endings = " or ".join(found.suffixes)
        raise ConfigError(
            f"{name} reads no file of that ending", seen=out.name, allowed=endings, fix=f"--out NAME{found.suffixes[0]}"
        )
    return found


def encoded(name: str, architecture: Architecture, state: Mapping[str, Tensor], suffix: str) -> bytes:
    """Return the bytes of a target's file.

    Args:
        name: A name of `TARGETS`.
        architecture: What the backbone is.
        state: Canonical names → tensors.
        suffix: Ending of the file.

    Raises:
        CheckpointError: If the target knows no backbone of that family.
    """
    if architecture.family not in TARGETS[name].families:
        readers = [other for other, each in TARGETS.items() if architecture.family in each.families]
        raise CheckpointError(
            f"{architecture.name} can't be written for {name}, which has no names for its tensors",
            seen=architecture.name,
            allowed=", ".join(each.name for each in backbones.every() if each.family in TARGETS[name].families),
            fix=f"--to {readers[0]}" if readers else None,
        )
    return TARGETS[name].encode(state, suffix)


def write(out: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        StorageError: If the disk is full or the folder can't be written to.
    """
    with replacing(out) as file:
        file.write(content)


def write_about(out: Path, about: Mapping[str, Any]) -> Path:
    """Write `OUT.json` beside a converted file."""
    path = out.with_name(out.name + ".json")
    write(path, encoded_about(about))
    return path


def encoded_about(about: Mapping[str, Any]) -> bytes:
    """Return plain values as the JSON that lies beside weights."""
    return (json.dumps(about, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
