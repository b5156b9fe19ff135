"""A backbone as a folder that timm loads by itself, here and from the Hugging Face hub.

    timm.create_model("local-dir:FOLDER", pretrained=True, num_classes=0)

timm knows of a network what `config.json` says: its name, arguments, and what it sees. What that can't say is refused.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from pretrain.backbones import IMAGENET, shapes_of
from pretrain.core.errors import CheckpointError, ProofError
from pretrain.images.crops import SHARE_KEPT
from transfer.convert import encoded_about
from transfer.prove import FEATURE_TOLERANCE, PROBE_SHAPE
from transfer.sources import Backbone

WEIGHTS, CONFIG = "model.safetensors", "config.json"
"""Names that timm and the hub expect."""
ALLOWED = "what timm's own network computes, of pixels in the order RGB"
FIX = "`bench convert --to timm` writes the weights alone, and OUT.json says what to change in the network"


def config(backbone: Backbone) -> dict[str, Any]:
    """Describe a backbone as timm does: its name there, its arguments, what it sees; mean and deviation of pixels of 0 to 1.

    Raises:
        CheckpointError: If timm has no network that computes the same, with what it can't be told.
    """
    architecture, seen, shapes = backbone.architecture, backbone.recipe.seen, shapes_of(backbone.state)
    found = architecture.in_timm(shapes)
    lacks = unsaid(backbone)
    if found is None or lacks:
        seen_here = ", ".join(lacks) or f"the architecture {backbone.arch}"
        raise CheckpointError(f"timm can't be told how this {backbone.arch} is built", seen=seen_here, allowed=ALLOWED, fix=FIX)
    name, arguments = found
    side = architecture.size_of(shapes)
    pretrained = {
        "input_size": [3, side, side],
        "mean": list(seen.mean),
        "std": list(seen.std),
        "interpolation": "bilinear",
        "crop_pct": SHARE_KEPT,
        "crop_mode": "center",
        "num_classes": 0,
        "classifier": architecture.head,
        "first_conv": architecture.first.removesuffix(".weight"),
    }
    about = {"architecture": name, "num_classes": 0, "num_features": architecture.width, "pretrained_cfg": pretrained}
    return about | ({"model_args": dict(arguments)} if arguments else {})


def unsaid(backbone: Backbone) -> list[str]:
    """List what is unusual in a backbone and has no place in `config.json`, in words."""
    seen, variant = backbone.recipe.parts()
    unusual = {
        "the stem for small images": backbone.stem != IMAGENET,
        "strides in the 1×1 convolutions": variant.stride_in_1x1,
        f"norms that add {variant.eps or 0:g} to a variance": variant.eps is not None,
        f"channels in the order {seen.order}": seen.order != "RGB",
    }
    return [words for words, there in unusual.items() if there]


def files(backbone: Backbone) -> dict[str, bytes]:
    """Return the content of `model.safetensors` and `config.json`.

    Raises:
        CheckpointError: As `config`.
    """
    return {WEIGHTS: save(backbone.state, {"format": "pt"}), CONFIG: encoded_about(config(backbone))}


def prove_loads(folder: Path, backbone: Backbone) -> None:
    """Let timm load a folder, and check that it is the backbone: every tensor, and the features.

    Raises:
        ProofError: If it is not.
    """
    images = torch.randn(PROBE_SHAPE, generator=torch.Generator().manual_seed(0))
    try:
        loaded, features = _in_timm(folder, images)
    except Exception as error:  # of whatever kind timm's is
        raise _unproven(f"{type(error).__name__}: {error}") from error
    different = [name for name, tensor in backbone.state.items() if not torch.equal(loaded[name], tensor)]
    with torch.inference_mode():
        apart = float((features - backbone.network()(images)).abs().max())
    if different or apart > FEATURE_TOLERANCE:
        raise _unproven(f"{len(different)} different tensors, features {apart:.3g} apart")


def _in_timm(folder: Path, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return the tensors of the model that timm loads, and its features (N, D)."""
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    with torch.inference_mode():
        return model.state_dict(), model(images)


def _unproven(seen: str) -> ProofError:
    return ProofError(
        "timm's model is not the backbone that it was given",
        seen=seen,
        allowed=f"equal tensors, features at most {FEATURE_TOLERANCE:g} apart",
        fix="report it with the version of timm",
    )
