"""Files of other frameworks, in torch's names and axes: Flax, TensorFlow, PaddlePaddle, and names divided by slashes.

An example: Flax keeps a convolution as `params/layer1_0/conv1/kernel`, of shape (3, 3, 64, 64), height and width first, and a
norm's statistics as `batch_stats/layer1_0/bn1/mean`. In torch's words that is `layer1.0.conv1.weight`, (64, 64, 3, 3) with
outputs first, and `layer1.0.bn1.running_mean`. Axes are taken from shapes alone, and only where all of a file agree; whether
the result is a whole backbone, each tensor of its shape, is asked as of any other file.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretrain.core.errors import CheckpointError
from transfer.sources import files
from transfer.sources.namings import PORTED, joined, paddleclas

ENOUGH = 10
"""Tensors of another framework's names that make a file its."""
LEAVES = {
    **dict.fromkeys(("kernel", "weights", "scale", "gamma"), "weight"),
    **dict.fromkeys(("biases", "beta", "offset"), "bias"),
    **dict.fromkeys(("mean", "moving_mean", "_mean"), "running_mean"),
    **dict.fromkeys(("var", "moving_variance", "_variance"), "running_var"),
}
"""Last words of names → torch's."""
COLLECTIONS = ("params", "batch_stats")
"""Flax's trees of one network: a tensor has the same name in the one as its neighbours in the other."""
TRAINING = {"opt_state", "opt_states", "param_states", "mu", "nu"}
"""Words of names of an optimiser's state, which is as large as the network and no network."""
LARGEST_KERNEL = 16
"""Side of the largest kernels: those of patches."""
WIDTH_OF_HEAD = 64
"""Numbers of each attention head, in the vision transformers here and in those that Flax's code publishes."""


@dataclass(frozen=True)
class Ported:
    """A file's tensors as torch has them."""

    content: dict[str, Tensor]
    own: dict[str, str]
    """torch's name → the file's."""
    left: tuple[str, ...]
    """The file's names of an optimiser's state."""
    words: str
    """Whose names and axes they were."""


def ported(content: Mapping[str, Any], path: Path) -> Ported | None:
    """Write a file's tensors in torch's names and axes; None where they are torch's already.

    Raises:
        CheckpointError: If it is a vision transformer whose heads no backbone here has.
    """
    every = dict(_tensors(content))
    kept = {words: tensor for words, tensor in every.items() if TRAINING.isdisjoint(words)}
    whose = _whose(kept, content)
    if whose is None:
        return None
    named, own = _named(kept)
    turned, axes = _turned(named, path)
    left = tuple("/".join(words) for words in every if words not in kept)
    return Ported(turned, own, left, f"{whose}, {axes}" if axes else whose)


def _tensors(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Yield every tensor of a file with the words of its name."""
    inside = dict(enumerate(value)) if isinstance(value, list) else value
    if isinstance(inside, Mapping):
        own = files.tensors(inside)
        for key, each in inside.items():
            words = (*at, *re.split(r"[/.]", str(key).removesuffix(":0")))
            if str(key) in own:
                yield words, own[str(key)]
            else:
                yield from _tensors(each, words)


def _whose(tensors: Mapping[tuple[str, ...], Tensor], content: Mapping[str, Any]) -> str | None:
    """Say whose names or axes they are; None where they are torch's."""
    last = Counter(words[-1] for words in tensors)
    if last["kernel"] + last["weights"] >= ENOUGH:
        return "Flax's or TensorFlow's names"
    if last["_mean"] >= ENOUGH:
        return "PaddlePaddle's names"
    if sum("/" in str(key) for key in files.fullest(content)) >= ENOUGH and last["weight"] >= ENOUGH:
        return "names divided by slashes"
    dense = sum(words[-1] == "weight" and tensor.dim() == 2 for words, tensor in tensors.items())
    return "PaddlePaddle's axes" if dense >= ENOUGH and _inputs_first(tensors) else None


def _named(tensors: Mapping[tuple[str, ...], Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Give the tensors torch's names; with the file's. What would stand twice keeps the trees that it lies in."""
    short = {words: _name(words, whole=False) for words in tensors}
    if len(set(short.values())) < len(short):
        short = {words: _name(words, whole=True) for words in tensors}
    names = dict(zip(short.values(), short, strict=True)) if len(set(short.values())) == len(short) else {}
    renamed = paddleclas(names) if names else {}
    own = {renamed.get(name, name): "/".join(words) for name, words in names.items()}
    return {renamed.get(name, name): tensors[words] for name, words in names.items()}, own


def _name(words: tuple[str, ...], *, whole: bool) -> str:
    """Return torch's name; `whole` keeps what stands before Flax's trees."""
    tree = next((at for at, word in enumerate(words) if word in COLLECTIONS), None)
    if tree is not None:
        words = (*(words[:tree] if whole else ()), *words[tree + 1 :])
    name = ".".join((*words[:-1], LEAVES.get(words[-1], words[-1]))) if words else ""
    for pattern, replacement in PORTED:
        name = pattern.sub(replacement, name)
    return name


def _turned(tensors: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Tensor], str]:
    """Give the tensors torch's axes; with what was turned, in words."""
    inputs_first = _inputs_first({tuple(name.split(".")): tensor for name, tensor in tensors.items()})
    sides_first = _sides_first([tensor for name, tensor in tensors.items() if name.endswith("weight") and tensor.dim() == 4])
    turned: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("weight") and tensor.dim() == 4 and sides_first:
            turned[name] = tensor.permute(3, 2, 0, 1)
        elif name.endswith("weight") and tensor.dim() == 2 and inputs_first:
            turned[name] = tensor.T
        else:
            turned[name] = _attention(name, tensor, path)
    which = ["kernels"] * sides_first + ["dense layers"] * inputs_first
    for whole, parts in joined(turned, "attn").items():  # as timm has them
        turned[whole] = torch.cat([turned.pop(part) for part in parts])
    return turned, f"{' and '.join(which)} turned to torch's axes" if which else ""


def _inputs_first(tensors: Mapping[tuple[str, ...], Tensor]) -> bool:
    """Tell whether dense layers are (inputs, outputs): no bias has the length that torch's would have, and some the other."""
    found: Counter[int | None] = Counter()
    for words, tensor in tensors.items():
        bias = tensors.get((*words[:-1], "bias"))
        if words[-1] in ("weight", "kernel") and tensor.dim() == 2 and bias is not None and tensor.shape[0] != tensor.shape[1]:
            found[tuple(tensor.shape).index(len(bias)) if bias.dim() == 1 and len(bias) in tensor.shape else None] += 1
    return found[1] > 0 and found.keys() == {1}


def _sides_first(kernels: list[Tensor]) -> bool:
    """Tell whether convolutions are (height, width, inputs, outputs): all can be, and some can't be torch's."""
    sides = all(each.shape[0] == each.shape[1] <= LARGEST_KERNEL for each in kernels)
    return sides and any(each.shape[2] != each.shape[3] for each in kernels)


def _attention(name: str, tensor: Tensor, path: Path) -> Tensor:
    """Return a tensor of Flax's attention, which has an axis for its heads, as torch's dense layer; any other as it is.

    Raises:
        CheckpointError: If its heads are not those of a backbone here.
    """
    part = re.search(r"\.attn\.(query|key|value|proj)\.(weight|bias)$", name)
    if part is None or tensor.dim() != (3 if part[2] == "weight" else 2):
        return tensor
    width = tensor.shape[1] if part[1] == "proj" else tensor.shape[-1]
    if width != WIDTH_OF_HEAD:
        raise CheckpointError(
            f"the attention heads of {path} are not those of a backbone here",
            seen=f"{name} of shape {list(tensor.shape)}: {width} numbers a head",
            allowed=f"heads of {WIDTH_OF_HEAD} numbers",
            fix="take a checkpoint of a ViT-S or ViT-B with 6 or 12 heads",
        )
    if part[2] == "bias":
        return tensor.flatten()
    return tensor.flatten(0, 1).T if part[1] == "proj" else tensor.flatten(1).T
