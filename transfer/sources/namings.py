"""How code bases call the tensors of a backbone: tables of replacements that turn their names into canonical ones."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

Names = tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]
"""Replacements, applied in order, that turn a code base's names into canonical ones."""


def _names(*pairs: tuple[str, str | Callable[[re.Match[str]], str]]) -> Names:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


DETECTRON2 = _names(
    (r"^(?:backbone\.(?:bottom_up\.)?)?stem\.conv1\.norm\.", "bn1."),
    (r"^(?:backbone\.(?:bottom_up\.)?)?stem\.conv1\.", "conv1."),
    (r"^(?:backbone\.(?:bottom_up\.)?|roi_heads\.)?res([2-5])\.(?=\d)", lambda m: f"layer{int(m[1]) - 1}."),
    (r"(?<=\d)\.conv([123])\.norm\.", r".bn\1."),
    (r"\.shortcut\.norm\.", ".downsample.1."),
    (r"\.shortcut\.(?!norm)", ".downsample.0."),
)
TRANSFORMERS = _names(
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
    (r"^encoder\.stages\.([0-3])\.layers\.", lambda m: f"layer{int(m[1]) + 1}."),
    (r"\.layer\.([012])\.convolution\.", lambda m: f".conv{int(m[1]) + 1}."),
    (r"\.layer\.([012])\.normalization\.", lambda m: f".bn{int(m[1]) + 1}."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
)
TRANSFORMERS_VIT = _names(
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.qkv\.", r"blocks.\1.attn.qkv."),
    (r"^encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"blocks.\1.attn.proj."),
    (r"^encoder\.layer\.(\d+)\.layernorm_before\.", r"blocks.\1.norm1."),
    (r"^encoder\.layer\.(\d+)\.layernorm_after\.", r"blocks.\1.norm2."),
    (r"^encoder\.layer\.(\d+)\.intermediate\.dense\.", r"blocks.\1.mlp.fc1."),
    (r"^encoder\.layer\.(\d+)\.output\.dense\.", r"blocks.\1.mlp.fc2."),
    (r"^layernorm\.", "norm."),
)
"""Queries, keys and values are joined before (`joined`)."""
SEQUENTIAL = _names((r"^0\.(?=weight)", "conv1."), (r"^1\.(?!\d)", "bn1."), (r"^([4-7])\.", lambda m: f"layer{int(m[1]) - 3}."))
"""`nn.Sequential(*list(resnet.children())[:-1])`: conv1, bn1, relu, maxpool, layer1 to layer4, avgpool."""
STEM_IN_LAYER0 = _names((r"^layer0\.0\.(?=weight)", "conv1."), (r"^layer0\.1\.(?!\d)", "bn1."), (r"^(?=layer[1-4]\.)", ""))
"""`layer0 = nn.Sequential(conv1, bn1, relu, maxpool)`, as code for segmentation has it."""
NAMINGS: tuple[Names, ...] = ((), SEQUENTIAL, STEM_IN_LAYER0, DETECTRON2, TRANSFORMERS, TRANSFORMERS_VIT)
"""Every naming, the canonical one first, for files of which nobody says whose they are."""

_WORD = r"(?:^|(?<=\.))"
PORTED = _names(
    (_WORD + r"(layer[1-4])[._](?:layers?[._]?|blocks?[._]?)?(\d+)\.", r"\1.\2."),
    (_WORD + r"downsample[._](?:layers?_)?([01])\.", r"downsample.\1."),
    (_WORD + r"(?:downsample[._]conv|conv_downsample)\.", "downsample.0."),
    (_WORD + r"(?:downsample[._](?:bn|norm)|(?:bn|norm)_downsample)\.", "downsample.1."),
    (_WORD + r"embedding\.(?=weight|bias)", "patch_embed.proj."),
    (_WORD + r"cls$", "cls_token"),
    (_WORD + r"(?:Transformer\.posembed_input\.)?pos_embedding$", "pos_embed"),
    (_WORD + r"Transformer\.encoder_norm\.", "norm."),
    (_WORD + r"Transformer\.encoderblock_(\d+)\.", r"blocks.\1."),
    (r"(?<=\.)LayerNorm_0\.(?=weight|bias)", "norm1."),
    (r"(?<=\.)LayerNorm_[12]\.(?=weight|bias)", "norm2."),
    (r"(?<=\.)MultiHeadDotProductAttention_\d\.out\.", "attn.proj."),
    (r"(?<=\.)MultiHeadDotProductAttention_\d\.(?=query|key|value)", "attn."),
    (r"(?<=\.)MlpBlock_\d\.Dense_([01])\.", lambda m: f"mlp.fc{int(m[1]) + 1}."),
)
"""Names of ports of torch's ResNets, and those of the vision transformers that Flax's code publishes, whose last words are
torch's already; below any prefix."""
_UNIT = re.compile(
    r"(?P<at>(?:.*\.)?)(?:stem\.(?P<stem>\d)|blocks\.(?P<block>\d+)\.(?:conv(?P<conv>[0-2])|short))\.(?P<kind>conv|bn)\."
)


def paddleclas(names: Iterable[str]) -> dict[str, str]:
    """Find torchvision's names for those of PaddleClas's ResNets (ppcls/arch/backbone/legendary_models/resnet.py).

    Their blocks are numbered through all layers: a layer begins where a block has a projection in its shortcut.
    """
    units = {name: unit for name in names if (unit := _UNIT.match(name))}
    stems = Counter(unit["at"] for unit in units.values() if unit["stem"] and unit["kind"] == "conv")
    starts: dict[str, list[int]] = {}
    for unit in units.values():
        if unit["block"] and not unit["conv"] and int(unit["block"]) not in starts.setdefault(unit["at"], [0]):
            starts[unit["at"]].append(int(unit["block"]))
    return {
        name: unit["at"] + _torchvision(unit, starts[unit["at"]], stems[unit["at"]]) + name[unit.end() :]
        for name, unit in units.items()
        if unit["at"] in starts and unit["at"] in stems
    }


def _torchvision(unit: re.Match[str], starts: list[int], stems: int) -> str:
    first = unit["kind"] == "conv"
    if unit["stem"]:
        return ("conv1." if first else "bn1.") + (f"{unit['stem']}." if stems > 1 else "")
    block = int(unit["block"])
    layer = sum(start <= block for start in starts)
    inside = f"downsample.{int(not first)}" if not unit["conv"] else f"{unit['kind']}{int(unit['conv']) + 1}"
    return f"layer{layer}.{block - sorted(starts)[layer - 1]}.{inside}."


PARTS = ("query", "key", "value")
"""Layers of an attention that transformers keeps apart, in the order in which others join their outputs."""


def joined(tensors: Mapping[str, Tensor], attention: str = "attention.attention") -> dict[str, list[str]]:
    """Find tensors that are one elsewhere: its name, with `qkv` in the place of `query`, → their names, in its order.

    Those whose shapes or types don't fit each other are left as they are.

    Args:
        tensors: All tensors of a backbone.
        attention: What stands before `query` in their names: that of transformers by default.
    """
    query = re.compile(rf"(.*\.{re.escape(attention)}\.)query(\.(?:weight|bias))")
    found = {}
    for before, after in (match.groups() for match in map(query.fullmatch, tensors) if match):
        names = [f"{before}{part}{after}" for part in PARTS]
        if len({(tensors[name].shape, tensors[name].dtype) if name in tensors else None for name in names}) == 1:
            found[f"{before}qkv{after}"] = names
    return found
