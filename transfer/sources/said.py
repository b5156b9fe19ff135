"""Everything that a file and its neighbours say of its network: names, arguments and configurations, wherever they stand.

An example: timm's training script saves `{"arch": "resnet50", "args": {"mean": [0.5, 0.5, 0.5], ...}, "state_dict": ...}`.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from pretrain.core import plain
from pretrain.core.errors import BenchError
from pretrain.core.texts import read_text
from transfer.sources import configs, files
from transfer.sources.arguments import ARGUMENTS, OF_NETWORK, changed, unknown
from transfer.sources.backbone import COUNTER
from transfer.sources.files import Payload
from transfer.sources.recipe import Said, statement

NAMES = re.compile(
    r"(?:base_)?(?:arch|architecture|model|backbone|encoder|network|net|cnn)(?:_(?:arch|name|type))?", re.IGNORECASE
)
"""Matches entries that name a network, by text or by a mapping with a `name`, which may say more of it."""
NORMALISER = re.compile(r"(?:.*\.)?(?:pixel_|image_|img_|new_)?(?:mean|std)")
"""Matches buffers of what is subtracted from pixels and what these are divided by."""
COLOURS = 3
NEIGHBOURS = ("args.yaml", "args.json")
"""Files with such arguments: timm's and solo-learn's."""
CONFIGS = {"config.json": configs.of_config, "preprocessor_config.json": configs.of_preprocessor}
"""Files that the Hugging Face Hub has beside weights."""
LARGEST_TEXT = 2**21
"""Bytes of a configuration at most."""
DEEPEST = 3
"""Levels of arguments inside each other that are read."""


def inside(payload: Payload, path: Path, family: str) -> list[Said]:
    """List what a file says itself; each line says where.

    Args:
        payload: The file's content.
        path: Where it lies.
        family: Of its tensors, such as `resnet`.
    """
    said = [*_arguments(payload.content, "", family), *_meta(payload.content), *_normalisers(payload.content)]
    if payload.form == "safetensors":
        said += _arguments(_metadata(path), "its metadata", family)
    return _telling(said)


def beside(path: Path, source: str, family: str) -> list[Said]:
    """List what a file's neighbours say; each line says where.

    Args:
        path: Where the file lies.
        source: The line of `SOURCES` that recognised it.
        family: Of its tensors.
    """
    return _telling(_beside(path, source, family))


def _telling(said: Iterable[Said]) -> list[Said]:
    return [each for each in said if each.fields or each.architecture or each.other or each.unknown]


def _arguments(
    content: Mapping[Any, Any], where: str, family: str, depth: int = 0, *, of_network: bool = False
) -> Iterator[Said]:
    """Yield what names and arguments say.

    Args:
        content: What the file, or an entry of it, holds.
        where: What messages call it; empty: the file itself.
        family: Of the file's tensors.
        depth: How many entries it lies in.
        of_network: Whether it is a network's arguments and nothing else's.
    """
    inner = [(key, value) for key, value in content.items() if isinstance(key, str)]
    named = [(key, value) for key, value in inner if NAMES.fullmatch(key)]
    for key, value in named:
        inside = value if isinstance(value, Mapping) else {}
        name = next((inside[each] for each in ("name", "arch", "type") if isinstance(inside.get(each), str)), value)
        if isinstance(name, str):
            kwargs = content.get("model_kwargs")
            yield configs.of_arguments(
                name, {}, kwargs if isinstance(kwargs, Mapping) else {}, f"{where} {key}".strip(), family
            )
    fields = {"mean": content.get("mean"), "std": content.get("std"), "eps": content.get("bn_eps")} if where else {}
    other = changed(content, family, of_network=of_network)
    left = unknown(content) if of_network else ()
    yield statement(where or "its entries", fields, other=f"it was trained with {other}" if other else "", unknown=left)
    for key, value in inner if depth < DEEPEST else ():
        whole = bool(OF_NETWORK.fullmatch(key.lower()))
        if isinstance(value, Mapping) and (whole or NAMES.fullmatch(key) or re.fullmatch(ARGUMENTS, key.lower())):
            yield from _arguments(value, f"{where}/{key}" if where else f"its {key}", family, depth + 1, of_network=whole)


def _normalisers(content: Mapping[Any, Any]) -> Iterator[Said]:
    """Yield the means and deviations that networks keep as buffers, such as Detectron2's `pixel_mean`, and subtract first."""
    own = files.tensors({key: value for key, value in content.items() if isinstance(key, str) and NORMALISER.fullmatch(key)})
    for key, mean in own.items():
        std = own.get(key.removesuffix("mean") + "std")
        if std is not None and mean.numel() == std.numel() == COLOURS:
            yield statement(f"its {key}", {"mean": mean.flatten().tolist(), "std": std.flatten().tolist()})
    for value in content.values():
        if isinstance(value, Mapping):
            yield from _normalisers(value)


def _meta(content: Mapping[Any, Any]) -> Iterator[Said]:
    """Yield what MMDetection's family says of a run: its whole configuration, as text or as a mapping."""
    meta = content.get("meta")
    for key in ("cfg", "config") if isinstance(meta, Mapping) else ():
        value = meta.get(key)  # type: ignore[union-attr]  # a mapping, or the loop has no turn
        config = assigned(value) if isinstance(value, str) else value
        if isinstance(config, Mapping):
            yield configs.of_mm(config, f"its meta/{key}")


def assigned(text: str) -> dict[str, Any]:
    """Read a configuration in Python's words without running it: `name = value`, of literals and calls of `dict`."""
    try:
        lines = ast.parse(text[:LARGEST_TEXT]).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, Any] = {}
    for line in lines:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            found[line.targets[0].id] = _value(line.value, found)
    return found


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return what an expression is; None for what isn't plain."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {each.arg: _value(each.value, names) for each in node.keywords if each.arg is not None}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {key.value: _value(value, names) for key, value in pairs if isinstance(key, ast.Constant)}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(each, names) for each in node.elts]
    if isinstance(node, ast.Name):
        return names.get(node.id)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _beside(path: Path, source: str, family: str) -> Iterator[Said]:
    """Yield what the files beside it say."""
    for name, read in CONFIGS.items():
        found = _mapping(path.with_name(name))
        known = read(found)
        yield known
        if known == Said(known.where):  # of a library that is not known there: its arguments may have the usual names
            yield from _arguments(found, f"{name} beside it", family)
    for name in NEIGHBOURS:
        yield from _arguments(_mapping(path.with_name(name)), f"{name} beside it", family)
    if source == "detectron2":
        yield configs.of_detectron2(_mapping(path.with_name("config.yaml")))


def _mapping(path: Path) -> Mapping[str, Any]:
    """Read a small file of JSON or YAML; empty where there is none, or it is none."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_text(path, LARGEST_TEXT)) if path.suffix == ".json" else plain.read_yaml(path)
    except (ValueError, RecursionError, BenchError):
        return {}
    return found if isinstance(found, dict) else {}


def _metadata(path: Path) -> dict[str, Any]:
    """Return what a safetensors file says in words, each as JSON where it is."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            said = file.metadata() or {}
    except (OSError, safetensors.SafetensorError):  # packed in another file: no words are left of it
        return {}
    return {key: _decoded(value) for key, value in said.items()}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text) if text[:1] in "[{0123456789" else text
    except (ValueError, RecursionError):
        return text


def is_folded(state: Mapping[str, Tensor]) -> bool:
    """Recognise Caffe's networks, whose norms only scale: all running means are 0 and all variances 1, after training.

    A network that was never trained has those too, and constant weights, and counters of batches.
    """
    means, variances = ([t for name, t in state.items() if name.endswith(f"running_{word}")] for word in ("mean", "var"))
    if not means or any(bool(t.any()) for t in means) or any(bool((t != 1).any()) for t in variances):
        return False
    scales = [state[name.replace("running_mean", "weight")] for name in state if name.endswith("running_mean")]
    counted = any(name.endswith(COUNTER) for name in state)
    return not (counted and all(bool((t == t.flatten()[0]).all()) for t in scales))
