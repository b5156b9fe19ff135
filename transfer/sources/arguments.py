"""Arguments that are stored beside weights and change what a network computes, but none of its tensors.

An example: timm's ResNet-50 made with `act_layer="silu"` has the names and shapes of a plain one. Only the arguments tell.
"""

import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from torch import Tensor

Arguments = Mapping[Any, Any]
NETWORK = r"(?:base_)?(?:arch|architecture|model|backbone|encoder|network|net|cnn|trunk|resnet|vit|timm)"
"""What a network is called, as a pattern."""
ARGUMENTS = r"(?:kw)?args|opts?|options|hparams|hyper_parameters|config|cfg|conf|init_args|method_kwargs"
"""What the arguments of a training, or of a network, are called, as a pattern."""
OF_NETWORK = re.compile(rf"{NETWORK}_?(?:(?:kw)?args|params|opts?|options|config|cfg|conf)")
"""Matches entries whose content is a network's arguments, and nothing else's."""
PREFIX = re.compile(rf"{NETWORK}_")
LAYER = re.compile(r"(?:partial\(|^)[<']*(?:class ')?(?:\w+\.)*([\w -]*)")
"""Finds the name of a layer in what Python writes of it: `<class 'torch.nn.ReLU'>`, `nn.ReLU(inplace=True)`, a `partial`."""
OPAQUE = ("partial", "function", "lambda")
"""Words for what is made when it is called, of which no file tells what."""
LONGEST = 100
"""Characters of a name, and of a value, that are looked at."""


@dataclass(frozen=True)
class Argument:
    """Names of one argument in several libraries, and the values that leave a network what its tensors look like."""

    names: str
    """Matches the whole of each, as a pattern."""
    resnet: tuple[str, ...]
    """Of ResNets: values in small letters without marks; messages show the first."""
    vit: tuple[str, ...] | None = None
    """Of vision transformers; None: the same."""
    others: tuple[str, ...] | None = None
    """Values that are another function, where the name is also that of other things; None: all but the usual ones."""
    anywhere: bool = True
    """Whether a training's argument of that name is its network's; of another, only one that stands among a network's is."""
    layer: bool = True
    """Whether its values name a layer, so that numbers and yes or no are said of something else."""
    row: bool = False
    """Whether its value is a row of numbers, and not each of them one value."""

    def usual(self, family: str) -> tuple[str, ...]:
        """Return the values of a family that change nothing."""
        return self.vit if self.vit is not None and family == "vit" else self.resnet

    def is_other(self, family: str, word: str | None) -> bool:
        """Tell whether a value makes another function of a family's network; of None, what has no words, nothing is known."""
        return word is not None and word not in self.usual(family) and (self.others is None or word in self.others)


ACTIVATIONS = (
    *("relu", "gelu", "silu", "swish", "mish", "elu", "selu", "celu", "prelu", "rrelu", "leakyrelu", "lrelu", "relu6", "crelu"),
    *("frelu", "softplus", "hardswish", "hswish", "hardsigmoid", "hardmish", "quickgelu", "gelutanh", "gelunew", "starrelu"),
)
"""What stands between layers, of names that also say what comes out of a head, such as `sigmoid`."""
BATCH_NORMS = (
    *("batchnorm2d", "bn", "batchnorm", "batch", "bn2d", "batchnormact2d", "batchnormalization", "sync", "syncbn"),
    *("syncbatchnorm", "naivesyncbn", "naivesyncbatchnorm", "torchsyncbn", "mmsyncbn", "apexsyncbn", "frozen", "frozenbn"),
    *("frozenbatchnorm", "frozenbatchnorm2d", "fbn"),
)
LAYER_NORMS = ("layernorm", "ln", "layer", "layernormfp32", "layernorm2d")
SAME_TENSORS = ("in", "instance", "instancenorm", "instancenorm2d", "abn", "iabn", "inplaceabn", "batchrenorm", "brn")
"""Norms that keep what a batch norm keeps, and compute something else."""
OFF = ("false", "", "0", "none", "no", "off", "identity")
ON = ("true", "1", "yes", "on", "max", "maxpool", "maxpool2d")
EVERY: tuple[Argument, ...] = (
    Argument("act_(layer|type|func?|cfg)|activation_(layer|func?|type|cfg)|non_?linearity", ("relu",), ("gelu",)),
    Argument("act|activation", ("relu",), ("gelu",), others=ACTIVATIONS),
    Argument("norm_layer|norm_cfg|bn_(layer|type)|normali[sz]ation_layer", BATCH_NORMS, LAYER_NORMS),
    Argument("norm|norm_type|normali[sz]ation", BATCH_NORMS, LAYER_NORMS, others=SAME_TENSORS),
    Argument("conv_(layer|cfg)", ("conv2d", "conv", "convolution")),
    Argument(
        "attn_layer|attention_(layer|module)|se_layer", OFF, (*OFF, "attention", "attn", "selfattention", "memeffattention")
    ),
    Argument("aa_layer|use_blur_?pool|blur_?pool|blur_layer", OFF, layer=False),
    Argument("(use|with)_(se|eca|cbam|simam)|(use_)?weight_standardi[sz]ation|use_ws", OFF, layer=False),
    Argument("global_pool|gp", ("avg", "token", "", "fast", "mean", "adaptiveavgpool2d", "cls")),
    Argument("dilation", ("false", "0", "1"), layer=False),
    Argument("dilations", ("1",), layer=False),
    Argument("replace_stride_with_dilation", ("false",), layer=False),
    Argument("strides", ("1 2 2 2",), layer=False, row=True),
    Argument("output_stride", ("32",), layer=False),
    Argument("(stem|conv1|first_conv)_stride|last_(conv_)?stride", ("2",), layer=False),
    Argument("maxpool1|(use|with|first|stem|initial)_max_?pool", ON, layer=False),
    Argument("(no|without|remove|skip|remove_first)_max_?pool", OFF, layer=False),
    Argument("(use_)?rope|(use_)?rotary(_embed\\w*)?|causal|is_causal", OFF, anywhere=False, layer=False),
    Argument("pad(ding)?_(mode|type)", ("zeros", "zero", "constant", ""), anywhere=False),
    Argument("block(_fn|_type)?", ("basicblock", "basic", "bottleneck"), ("block", "transformerblock"), anywhere=False),
    Argument("stem_type", ("", "7x7", "conv"), anywhere=False),
    Argument("avg_down|replace_stem_pool|deep_stem|pre_norm|scale_(attn|mlp)_norm|qk_norm", OFF, anywhere=False, layer=False),
)
"""The first whose name fits decides. A training's `padding_mode` may be its augmentations'; a network's is not."""
SHOWN = re.compile(
    r"(?:num|n)_classes|classes|name|type|arch|pretrained\w*|weights|checkpoint\w*|in_cha?n\w*|img_size|image_size|input_size|"
    r"patch_size|depths?|layers|width\w*|base_\w+|stem_width|channels|cardinality|groups|embed_dim|hidden_\w+|num_\w+|mlp_ratio|"
    r"qkv_bias|\w*drop\w*|bn_\w+|norm_e(?:val|ps)|zero_init\w*|init\w*|weight_init|frozen\w*|freeze\w*|out_\w+|features_only|"
    r"style|with_cp|stages|scriptable|exportable|no_jit|dynamic_img_\w+|strict_img_size|class_token|reg_tokens|device|dtype"
)
"""Matches arguments of networks that tensors show, that are read elsewhere, or that count in training alone."""


def changed(arguments: Arguments, family: str, *, of_network: bool = False) -> str:
    """Say which arguments make another function of a network of this family, their values, and which are allowed.

    Args:
        arguments: As they are stored: of a training, or of a network.
        family: `resnet` or `vit`.
        of_network: Whether they are a network's and nothing else's.

    Returns:
        `act_layer silu (allowed: relu)`, several of them with commas; empty where none does.
    """
    found = [
        f"{key} {_shown(value)} (allowed: {argument.usual(family)[0] or 'none'})"
        for key, value, argument in _known(arguments, of_network=of_network)
        if any(map(argument.is_other, repeat(family), _words(value, argument)))
    ]
    deeper = _inside(arguments) if of_network else ()
    return ", ".join(filter(None, [*found, *(changed(inner, family, of_network=True) for inner in deeper)]))


def unknown(arguments: Arguments) -> tuple[str, ...]:
    """List arguments of a network, with their values, of which nothing is known here, and which are not switched off."""
    known = {key: _words(value, argument) for key, value, argument in _known(arguments, of_network=True)}
    found = []
    for key, value in _named(arguments):
        opaque = key in known and None in known[key]
        switched_off = isinstance(value, (bool, int, float, str, list, tuple)) and not value
        if opaque or not (
            key in known or switched_off or value is None or isinstance(value, Mapping) or SHOWN.fullmatch(_bare(key))
        ):
            found.append(f"{key} {_shown(value)}")
    return (*found, *(each for inner in _inside(arguments) for each in unknown(inner)))


def _named(arguments: Arguments) -> list[tuple[str, Any]]:
    every = ((key, value) for key, value in arguments.items() if isinstance(key, str) and len(key) <= LONGEST)
    return [(key, value) for key, value in every if not isinstance(value, Tensor)]


def _known(arguments: Arguments, *, of_network: bool) -> Iterator[tuple[str, Any, Argument]]:
    """Yield the arguments that the table has and that say something, with their line."""
    for key, value in _named(arguments):
        bare = _bare(key)
        argument = next((each for each in EVERY if re.fullmatch(each.names, bare)), None)
        if argument is not None and value is not None and (of_network or argument.anywhere):
            yield key, value, argument


def _inside(arguments: Arguments) -> list[Arguments]:
    """List the mappings among a network's arguments that are no layer's settings, such as those of its blocks."""
    layers = {key for key, _, _ in _known(arguments, of_network=True)}
    return [value for key, value in _named(arguments) if isinstance(value, Mapping) and key not in layers]


def _bare(key: str) -> str:
    """Write a name as the table has it: `model.Act-Layer`, `backbone_act_layer` and `act_layer` are one."""
    *before, last = re.split(r"[./]", key.lower().replace("-", "_"))
    return PREFIX.sub("", last) if all(re.fullmatch(f"{NETWORK}|{ARGUMENTS}", word) for word in before) else key


def _words(value: Any, argument: Argument) -> list[str | None]:
    """List what a value says, or each of its values, in small letters without marks; None for what has no words."""
    if isinstance(value, (list, tuple)):
        words = [word for each in value for word in _words(each, argument)]
        return [" ".join(map(str, words))] if argument.row else words
    if isinstance(value, Mapping):
        value = _title(value)
    if isinstance(value, str):
        found = LAYER.search(value.strip()[:LONGEST])
        word = re.sub(r"[\W_]+", "", found[1].lower()) if found else ""
        return [None if word in OPAQUE else word]
    if isinstance(value, (bool, int, float)):
        return [] if argument.layer else [f"{value:g}" if isinstance(value, float) else str(value).lower()]
    return [None]


def _title(settings: Arguments) -> str | None:
    """Return what a layer's settings call it: `ReLU` of `{"type": "ReLU", "inplace": True}`."""
    return next((settings[name] for name in ("type", "name") if isinstance(settings.get(name), str)), None)


def _shown(value: Any) -> str:
    """Write a value for a message."""
    value = (_title(value) or "…") if isinstance(value, Mapping) else value
    return value[:LONGEST] if isinstance(value, str) else reprlib.repr(value)
