"""What the configurations of other libraries say of a network: each is a mapping, and gives a `Said`.

`of_config` takes a `config.json` of timm or of transformers, as the Hugging Face Hub has it; `of_preprocessor` what
transformers has beside it; `of_detectron2` a `config.yaml` of Detectron2; `of_mm` what MMDetection's family writes into files.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transfer.sources import networks
from transfer.sources.arguments import changed, unknown
from transfer.sources.recipe import LARGEST, STRIDES, Said, statement

Config = Mapping[str, Any]
RESNETS = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}
"""Kind of blocks and their numbers → the name."""
VIT_TYPES = ("vit", "deit", "vit_mae", "vit_msn")
"""What transformers calls its plain vision transformers; what a configuration leaves out is as in its ViT-B."""
VITS = {(384, 12): "vit_small", (768, 12): "vit_base"}
"""Width and number of blocks → the name of the one with the usual heads."""


def named(where: str, name: Any, said: Config | None = None, **how: Any) -> Said:
    """Make a `Said` of a network's name, and of fields that stand beside it."""
    text = name if isinstance(name, str) else ""
    known, other = networks.architecture_of(text), networks.other_of(text)
    title = known or (text if other else None)
    return statement(where, said or {}, **{"architecture": title, "other": other, **how})


def of_config(config: Config, where: str = "config.json beside it") -> Said:
    """Read a `config.json` of timm (`architecture`, `pretrained_cfg`, `model_args`) or transformers (`model_type`).

    Args:
        config: Its content.
        where: What messages call it.

    Returns:
        What it says: `architecture`, a name of the table or the network's own; `fields`, for `recipe.settled`; and `other`,
        where it is another function. Of a file that is neither's: nothing.
    """
    if config.get("model_type") == "resnet":
        return _transformers_resnet(config, where)
    if config.get("model_type") in VIT_TYPES:
        return _transformers_vit(config, where)
    name = config.get("architecture")
    if not isinstance(name, str):
        return Said(where)
    inner = config.get("pretrained_cfg")
    about = {**config, **inner} if isinstance(inner, Mapping) else config
    arguments = config.get("model_args")
    return of_arguments(name, about, arguments if isinstance(arguments, Mapping) else {}, where)


def of_arguments(name: str, about: Config, arguments: Config, where: str, family: str = "") -> Said:
    """Read what timm says of a model: its name, mean and deviation, and the arguments that it is made with.

    Args:
        name: Its name.
        about: What says mean and deviation.
        arguments: What it is made with.
        where: What messages call it.
        family: Of its tensors; empty: of its name.
    """
    family = family or ("resnet" if "res" in name else "vit")
    eps = arguments.get("bn_eps", about.get("bn_eps"))
    found = named(where, name, {"mean": about.get("mean"), "std": about.get("std"), "eps": eps})
    if found.architecture is not None and not found.other and "num_heads" in arguments:
        called, other = networks.with_heads(found.architecture, arguments["num_heads"])
        found = replace(found, architecture=called, other=other)
    other = changed(arguments, family, of_network=True)
    if found.other or not other:
        return replace(found, unknown=unknown(arguments))
    return Said(where, found.fields, name, f"it is made with {other}")


def _transformers_resnet(config: Config, where: str) -> Said:
    depths = config.get("depths")
    shape = (str(config.get("layer_type")), tuple(depths)) if isinstance(depths, list) and len(depths) == 4 else None
    other = "it halves the image in its first stage" if config.get("downsample_in_first_stage") else ""
    if config.get("hidden_act") not in (None, "relu"):
        other = f"its activation is {config['hidden_act']}"
    place = STRIDES[bool(config.get("downsample_in_bottleneck"))]
    return statement(where, {"stride": place}, architecture=RESNETS.get(shape) if shape else None, other=other)


def _transformers_vit(config: Config, where: str) -> Said:
    sizes = config.get("hidden_size", 768), config.get("num_hidden_layers", 12)
    name, other = networks.with_heads(VITS.get(sizes, ""), config.get("num_attention_heads", 12))
    if config.get("hidden_act", "gelu") != "gelu":
        other = f"its activation is {config['hidden_act']}"
    return statement(where, {"eps": config.get("layer_norm_eps", 1e-12)}, architecture=name or None, other=other)


def of_preprocessor(config: Config, where: str = "preprocessor_config.json beside it") -> Said:
    """Read how transformers prepares images: `image_mean`, `image_std`, and whether it divides by 255 and normalises."""
    if "image_mean" not in config and "do_normalize" not in config:
        return Said(where)
    plain = config.get("do_normalize") is False
    said = {
        "order": "BGR" if config.get("do_flip_channel_order") else "RGB",
        "mean": 0.0 if plain else config.get("image_mean"),
        "std": 1.0 if plain else config.get("image_std"),
    }
    return statement(where, said, largest=LARGEST if config.get("do_rescale") is False else 1.0)


def of_detectron2(config: Config, where: str = "config.yaml beside it") -> Said:
    """Read Detectron2's own configuration of a run, which its trainer writes beside the checkpoints."""
    model, inputs = _inside(config, "MODEL"), _inside(config, "INPUT")
    nets = _inside(model, "RESNETS")
    if not nets:
        return Said(where)
    place = nets.get("STRIDE_IN_1X1")
    said = {
        "order": inputs.get("FORMAT"),
        "mean": model.get("PIXEL_MEAN"),
        "std": model.get("PIXEL_STD"),
        "stride": STRIDES[place] if isinstance(place, bool) else None,
    }
    depth = nets.get("DEPTH")
    other = "its last stage is dilated" if nets.get("RES5_DILATION", 1) != 1 else ""
    return statement(where, said, largest=LARGEST, architecture=f"resnet{depth}" if depth else None, other=other)


def of_mm(config: Config, where: str) -> Said:
    """Read a configuration of MMDetection's family: `model.backbone`, and how images are normalised."""
    model = _inside(config, "model")
    backbone = _inside(model, "backbone") or _inside(_inside(model, "detector"), "backbone")
    images = _inside(model, "data_preprocessor") or _inside(config, "data_preprocessor")
    former = _inside(config, "img_norm_cfg")
    said: dict[str, Any] = {}
    if "mean" in images:
        rgb = images.get("bgr_to_rgb", images.get("to_rgb", False))
        said |= {"order": "RGB" if rgb else "BGR", "mean": images["mean"], "std": images.get("std")}
    elif "mean" in former:
        said |= {"order": "RGB" if former.get("to_rgb", True) else "BGR", "mean": former["mean"], "std": former.get("std")}
    kind = str(backbone.get("type")).rpartition(".")[2]
    if not kind.startswith("ResNet"):
        return statement(where, said, largest=LARGEST)
    said["stride"] = {"caffe": STRIDES[1], "pytorch": STRIDES[0]}.get(str(backbone.get("style")))
    said["eps"] = _inside(backbone, "norm_cfg").get("eps")
    odd = changed(backbone, "resnet", of_network=True)
    other = f"its backbone has {odd}" if odd else f"it is a {kind}" if kind != "ResNet" else ""
    return statement(where, said, largest=LARGEST, architecture=f"resnet{backbone.get('depth')}", other=other)


def _inside(config: Config, key: str) -> Config:
    value = config.get(key)
    return value if isinstance(value, Mapping) else {}
