"""`bench convert`: a backbone as another tool reads it, and beside it what that tool must be told."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from bench.verbs import Request, introduce, loaded
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal
from pretrain.images.normalise import IMAGENET_MEAN, IMAGENET_STD
from transfer import convert, norms, sources
from transfer.norms import Scope
from transfer.sources import Backbone


@dataclass(frozen=True)
class Converted:
    """What was written."""

    file: Path
    about: Path
    """`OUT.json`."""


def run(
    request: Request, checkpoint: str, to: str, out: Path, *, norm_rescale: str | None = None, scope: str = "params"
) -> Converted:
    """Convert a checkpoint.

    Args:
        request: What all verbs are told; of it, how to read the checkpoint.
        checkpoint: What `transfer.sources.load` takes.
        to: A name of `transfer.convert.TARGETS`.
        out: The file to write.
        norm_rescale: A factor, or the checkpoint of an SGD-trained anchor; None: norms stay as they are.
        scope: Of the rescaling: `params` or `all`.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    target = convert.target(to, out)
    _require_place(out, checkpoint)
    backbone, journal = loaded(request, checkpoint), Journal(progress=request.progress)
    introduce(backbone, journal)
    state, rescaled = backbone.state, None
    if norm_rescale is not None:
        state, rescaled = _rescaled(backbone, norm_rescale, scope)
        journal.say(
            f"norms rescaled by {norm_rescale}: {rescaled['tensors']} tensors ({scope}), {len(rescaled['kept'])} of norm 0 kept"
            f"; typical norm {rescaled['norm_ratio_before']:.2f} → {rescaled['norm_ratio_after']:.2f} of a fresh network's"
        )
    content = convert.encoded(to, backbone.architecture, state, out.suffix)
    convert.write(out, content)
    about = {"file": out.name, "sha256": hashlib.sha256(content).hexdigest(), "to": to, "settings": dict(target.settings)}
    about |= _about(checkpoint, backbone, rescaled)
    return Converted(out, convert.write_about(out, about))


def _about(checkpoint: str, backbone: Backbone, rescaled: dict[str, Any] | None) -> dict[str, Any]:
    """What holds of the backbone whatever it is written for; rescaled weights are another backbone, with a row of its own."""
    provenance = backbone.provenance
    if rescaled is not None:
        provenance = provenance.replace({"method": f"{provenance.method}-normrescale"})
    return {
        "format": convert.FORMAT,
        "arch": backbone.arch,
        "channel_order": "RGB",
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        **backbone.architecture.unseen,
        "norm_rescale": rescaled,
        "source": {
            "checkpoint": Path(checkpoint).name,
            "sha256": backbone.sha256,
            "source": backbone.source,
            "branch": backbone.branch,
            "why": backbone.why,
            "dropped": sources.groups(backbone.dropped),
            "counters_filled": len(backbone.filled),
        },
        "provenance": provenance.model_dump(mode="json"),
    }


def _require_place(out: Path, checkpoint: str) -> None:
    if not out.parent.is_dir():
        raise ConfigError("no folder to write into", seen=out.parent, fix=f"mkdir -p {out.parent}")
    if out.exists() and Path(checkpoint).exists() and out.samefile(checkpoint):
        raise ConfigError("the output is the checkpoint itself", seen=out, fix="choose another --out")


def _rescaled(backbone: Backbone, anchor: str, scope: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The rescaled weights and what was done."""
    try:
        by: float | Backbone = float(anchor)
    except ValueError:
        by = sources.load(anchor)
    done = norms.rescale(backbone.state, by if isinstance(by, float) else by.state, scope=cast(Scope, scope))
    about = {
        "anchor": anchor,
        "anchor_sha256": None if isinstance(by, float) else by.sha256,
        "scope": scope,
        "tensors": done.scaled,
        "kept": list(done.kept),
        "norm_ratio_before": norms.norm_ratio(backbone.state, backbone.arch),
        "norm_ratio_after": norms.norm_ratio(done.state, backbone.arch),
    }
    return done.state, about
