"""How a file's backbone is read: what it, its neighbours, the table and the user say of it, and what is left to assume."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pretrain import backbones
from pretrain.core.errors import CheckpointError
from transfer.sources import own, published
from transfer.sources.backbone import Backbone
from transfer.sources.codebases import SOURCES
from transfer.sources.files import Payload
from transfer.sources.own import OWN
from transfer.sources.recipe import USUAL, Said, by_hand, relevant, settled
from transfer.sources.said import beside, inside, is_folded

MOST_NAMED = 6
"""Arguments of which nothing is known that a remark names."""
TELLS_FOLDED = {"order", "stride"}
"""Fields of which one must be said of a network with Caffe's norms."""


def read_as(
    backbone: Backbone, payload: Payload, path: Path, told: Mapping[str, Any], *, sure: bool, source: str | None
) -> Backbone:
    """Return a file's backbone with its recipe.

    Args:
        backbone: Without.
        payload: What the file holds.
        path: Where it lies.
        told: What the user says: field → value.
        sure: Whether the file is published weights of torchvision's, which are known.
        source: Whose file the user says it is, if so.

    Raises:
        CheckpointError: If what is said contradicts, is of another network, or leaves open what Caffe's norms ask.
    """
    said = _said(backbone, payload, path, sure=sure)
    line = SOURCES.get(backbone.source)
    if line is not None and line.networks:
        backbone = replace(backbone, arch=line.architecture(backbone.arch) or backbone.arch)
    elif line is not None:
        backbone = _called(backbone, said)
    said += [by_hand(told, backbone.architecture)] if told else []
    recipe, assumed = settled(backbone.architecture, path, said, line.recipe if line else USUAL)
    open_still = TELLS_FOLDED & set(relevant(backbone.architecture)) <= set(assumed)
    if source is None and open_still and backbone.source != OWN:
        _require_unfolded(backbone.state, path)
    doubted = line is not None and line.beware and {"order", "stride"} & set(assumed)
    remarks = tuple(dict.fromkeys((*backbone.remarks, *_unknown(said))))
    beware = line.beware if line and doubted else ""
    return replace(backbone, recipe=recipe, assumed=assumed, beware=beware, remarks=remarks)


def _unknown(said: Sequence[Said]) -> list[str]:
    """Say which of a network's arguments nothing is known of, a remark for each row of them."""
    every = {words.unknown: words.where for words in said if words.unknown}
    return [f"assumed to change nothing that the network computes: {_some(found)} ({where})" for found, where in every.items()]


def _some(found: Sequence[str]) -> str:
    more = len(found) - MOST_NAMED
    return ", ".join(found[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _called(backbone: Backbone, said: Sequence[Said]) -> Backbone:
    """Return a backbone as the architecture that it is said to be, where its tensors are taken for that one's relative."""
    names = {each.architecture for each in said}
    alike = {each.name for each in backbones.every() if each.taken_for == backbone.architecture.taken_for} & names
    return replace(backbone, arch=alike.pop()) if len(alike) == 1 else backbone


def told_of(backbone: Backbone, told: Mapping[str, Any]) -> Backbone:
    """Return a backbone of no file with the recipe that the user says."""
    recipe, _ = settled(backbone.architecture, Path(backbone.source), [by_hand(told, backbone.architecture)])
    return replace(backbone, recipe=recipe)


def _said(backbone: Backbone, payload: Payload, path: Path, *, sure: bool) -> list[Said]:
    """List what is said but by the user. Our own networks are the library's, as torchvision's published ones."""
    if backbone.source == OWN or sure:
        library = {"stride": "3x3", "eps": backbone.architecture.eps}
        seen = own.recipe_said(payload) if backbone.source == OWN else Said("torchvision", USUAL.fields())
        return [Said(f"{backbone.source}'s networks", library), seen]
    own_words, line = inside(payload, path, backbone.architecture.family), SOURCES.get(backbone.source)
    if line is not None:  # in the file stands what that code base calls its network; what lies beside it may be anyone's
        own_words = [replace(each, architecture=line.architecture(each.architecture)) for each in own_words]
    written = published.beside(path)
    ours = [published.recipe_said(written, f"{published.about(path).name} beside it")] if written else []
    return [*own_words, *beside(path, backbone.source, backbone.architecture.family), *ours]


def _require_unfolded(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse Caffe's networks where nobody says how they are read.

    Raises:
        CheckpointError: With the sources that say so.
    """
    if not is_folded(state):
        return
    raise CheckpointError(
        f"{path} is likely Caffe's: its norms only scale, which leaves open what else it differs in",
        seen="all running means are 0 and all variances 1, beside trained weights",
        allowed="a ResNet of which that is said; MSRA's: BGR of 0 to 255 less the mean, strides in the 1×1",
        fix="--source caffe; or --input-order, --mean, --std and --stride-in",
    )
