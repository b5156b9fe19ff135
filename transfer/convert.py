"""Canonical names → Detectron2's and MMSegmentation's: rename tables, total functions."""

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from pretrain.errors import CheckpointError

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
    """A canonical backbone under Detectron2's names; every key appears once.

    Raises:
        CheckpointError: If two keys would get one name.
    """
    return _renamed(state, _TO_DETECTRON2)


def to_mmseg(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A canonical backbone under the names of MMSegmentation's `ResNet`, which are torchvision's."""
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
