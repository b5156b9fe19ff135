"""What a file calls its network: an architecture of the table, or one with the same names that computes something else.

timm's `resnetblur50` has the tensors of a ResNet-50, all of them and no other, and blurs before it halves; only its name tells.
"""

import re
from typing import Any

from pretrain import backbones

ALIASES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:tv_|ssl_|swsl_)?(resnet\d+)"), r"\1"),
    (re.compile(r"gluon_(resnet\d+)_v1b"), r"\1"),
    (re.compile(r"(?:vit|deit)_(small|base)(?:_patch16(?:_\d+)?)?"), r"vit_\1"),
)
"""Names, without what tells versions of weights apart → the architecture that they are."""

OTHERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\w*resne[tx]\w*aa\w*|resnetaa\w*"), "it averages (anti-aliasing) in the place of strides"),
    (re.compile(r"\w*(blur|antialias|anti_alias)\w*"), "it blurs (anti-aliasing) where it is strided"),
    (re.compile(r"(legacy_)?(se|eca|gc|ca|cbam|sk|bat|lambda)_?resne[tx]\w*"), "its blocks have attention"),
    (re.compile(r"(gluon_)?resnet\d+(_v1)?(c|d|s|t|ts|q|td)(_\w+)?"), "it has another stem, or averages in its shortcuts"),
    (
        re.compile(r"\w*(resnext|resnest|res2ne|wide_resnet|tresnet|resnetrs|resnetv2|nf_resnet|cspres)\w*"),
        "it is no plain ResNet",
    ),
    (re.compile(r"resnet\d+_(gn|clip|mlp|cifar)\w*"), "it has other norms or another stem"),
    (re.compile(r"resnet\d+(x|w)\d+\w*"), "it is wider"),
)
"""Names of other networks → in what they differ from the ResNet that their tensors may look like."""


def architecture_of(name: str) -> str | None:
    """Return the architecture that a name is of, whether the table has it or not; None for a name that nothing is known of."""
    bare = _bare(name)
    return next((pattern.sub(found, bare) for pattern, found in ALIASES if pattern.fullmatch(bare)), None)


def with_heads(name: str, heads: Any) -> tuple[str, str]:
    """Return the architecture that has the tensors of another and so many attention heads; and where there is none, the words.

    Args:
        name: An architecture, of the table or not.
        heads: How many are said; anything but a number is nothing said.
    """
    if name not in backbones.BACKBONES or not isinstance(heads, int):
        return name, ""
    alike = [each for each in backbones.every() if each.taken_for == backbones.get(name).taken_for]
    fits = [each.name for each in alike if each.unseen.get("heads", heads) == heads]
    return (fits[0], "") if fits else (name, f"its blocks have {heads} attention heads")


def other_of(name: str) -> str:
    """Say in what a network of that name differs from the one that its tensors may look like; empty where nothing is known."""
    bare = _bare(name)
    return next((words for pattern, words in OTHERS if pattern.fullmatch(bare)), "")


def _bare(name: str) -> str:
    """Take a name's publisher and its weights' tag away: `timm/resnet50.a1_in1k` and `microsoft/resnet-50` are `resnet50`."""
    return re.sub(r"(resnet)[-_](?=\d)", r"\1", name.strip().rpartition("/")[2].partition(".")[0].lower())
