"""What the shapes of a network's tensors say of its parts, in words; and in which parts it differs from one of the table.

An example: a ResNet-18 with a `conv1.weight` of (64, 3, 5, 5): "its stem is one convolution of 5 × 5 (resnet18: 7 × 7)".
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pretrain.backbones import Shapes
from pretrain.backbones.resnet import LAYERS

MOST = 6
"""Numbers of a row that are written."""


@dataclass(frozen=True)
class Fact:
    """What can be said of one part."""

    words: str
    """A clause about the network, with a place for what was found."""
    find: Callable[[Shapes], str]
    """Shapes of a whole network's tensors → what they show of the part; empty where they show nothing."""


def _side(shape: Iterable[int]) -> str:
    """Write the sides of a kernel, or of a patch: `7 × 7`."""
    return " × ".join(map(str, shape))


def _row(numbers: Iterable[int]) -> str:
    """Write some numbers; of a row that no network has, the first."""
    row = list(numbers)
    return ", ".join(map(str, row[:MOST])) + (", …" if len(row) > MOST else "")


def _of_tensor(name: str, at: int | slice) -> Callable[[Shapes], str]:
    """Find one number of a tensor's shape, or its last ones as sides."""

    def find(shapes: Shapes) -> str:
        shape = shapes.get(name, ())
        if isinstance(at, slice):
            return _side(shape[at])
        return str(shape[at]) if at < len(shape) else ""

    return find


def _numbers(shapes: Shapes, before: str) -> set[int]:
    """Collect the numbers that stand behind some words in names."""
    return {int(found[1]) for key in shapes if (found := re.match(rf"{before}\.(\d{{1,4}})\.", key))}


def _are_whole(numbers: set[int]) -> bool:
    return bool(numbers) and numbers == set(range(len(numbers)))


def _depths(shapes: Shapes) -> str:
    """Count the blocks of each layer of a ResNet; nothing where one has none, or its numbers leave some out: it is cut."""
    found = [_numbers(shapes, layer) for layer in LAYERS]
    return _row(map(len, found)) if all(map(_are_whole, found)) else ""


def _blocks(shapes: Shapes) -> list[str]:
    """List the blocks that a ResNet has, whatever their numbers."""
    return sorted({found[0] for key in shapes if (found := re.match(r"layer[1-4]\.\d+", key))})


def _convolutions(shapes: Shapes, block: str) -> list[tuple[int, ...]]:
    """List the shapes of a block's convolutions, in order, but for its shortcut's."""
    found = [shapes.get(f"{block}.conv{n}.weight", ()) for n in (1, 2, 3)]
    return [shape for shape in found if len(shape) > 2]


def _lengths(shapes: Shapes) -> str:
    return _row(sorted({len(convs) for block in _blocks(shapes) if (convs := _convolutions(shapes, block))}))


def _channels(which: int) -> Callable[[Shapes], str]:
    """Find the outputs of one convolution of each layer's first block; the inner ones of blocks of three alone."""

    def find(shapes: Shapes) -> str:
        first = [_convolutions(shapes, f"{layer}.0") for layer in LAYERS]
        if any(not convs or (which == 0 and len(convs) < 3) for convs in first):
            return ""
        return _row(convs[which][0] for convs in first)

    return find


def _kernels(name: str) -> Callable[[Shapes], str]:
    """Find the kernels of the convolution of that name, of all blocks together."""

    def find(shapes: Shapes) -> str:
        of_name = [shapes.get(f"{block}.{name}.weight", ())[2:] for block in _blocks(shapes)]
        return " and ".join(_side(kernel) for kernel in sorted({kernel for kernel in of_name if kernel})[:MOST])

    return find


def _groups(shapes: Shapes) -> str:
    """Find into how many groups the second convolutions split what the first ones put out."""
    found = set()
    for block in _blocks(shapes):
        convs = _convolutions(shapes, block)
        if len(convs) > 1:
            groups, rest = divmod(convs[0][0], convs[1][1] or 1)
            found.add(groups if not rest else 0)
    return _row(sorted(found)) if 0 not in found else ""


def _biased(shapes: Shapes) -> str:
    return "biases" if any(re.search(r"(conv\d|downsample\.0)\.bias$", key) for key in shapes) else "no biases"


def _depth(shapes: Shapes) -> str:
    numbers = _numbers(shapes, "blocks")
    return str(len(numbers)) if _are_whole(numbers) else ""


FACTS: dict[str, tuple[Fact, ...]] = {
    "resnet": (
        Fact("its stem is one convolution of {}", _of_tensor("conv1.weight", slice(2, None))),
        Fact("its first convolution takes {} channels", _of_tensor("conv1.weight", 1)),
        Fact("its stem puts out {} channels", _of_tensor("conv1.weight", 0)),
        Fact("layer1 to layer4 have {} blocks", _depths),
        Fact("its blocks have {} convolutions", _lengths),
        Fact("conv1 of its blocks is {}", _kernels("conv1")),
        Fact("conv2 of its blocks is {}", _kernels("conv2")),
        Fact("conv3 of its blocks is {}", _kernels("conv3")),
        Fact("conv2 of its blocks works in {} groups", _groups),
        Fact("inside the blocks of layer1 to layer4 are {} channels", _channels(0)),
        Fact("layer1 to layer4 put out {} channels", _channels(-1)),
        Fact("the convolution of its shortcuts is {}", _kernels("downsample.0")),
        Fact("its convolutions have {}", _biased),
    ),
    "vit": (
        Fact("its patches are of {} pixels", _of_tensor("patch_embed.proj.weight", slice(2, None))),
        Fact("its patches have {} channels", _of_tensor("patch_embed.proj.weight", 1)),
        Fact("its tokens are {} wide", _of_tensor("patch_embed.proj.weight", 0)),
        Fact("it has {} blocks", _depth),
        Fact("its perceptrons are {} wide", _of_tensor("blocks.0.mlp.fc1.weight", 0)),
    ),
}
"""Family → what its shapes show, the parts that a user knows best first."""


def differences(shapes: Shapes, name: str, expected: Shapes, family: str) -> list[str]:
    """Say in which parts a network differs from one of the table, a clause for each, what that one has beside it.

    Args:
        shapes: Of the network.
        name: Of the one of the table.
        expected: The shapes of that one.
        family: Of both.
    """
    every = [(fact, fact.find(shapes), fact.find(expected)) for fact in FACTS.get(family, ())]
    return [f"{fact.words.format(seen)} ({name}: {usual})" for fact, seen, usual in every if seen and usual and seen != usual]
