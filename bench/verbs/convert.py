"""`bench convert`: write a backbone as another tool reads it, and beside it the settings which that tool needs."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from bench.options import READING, Reading
from bench.verbs.recording import audited, introduce
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal, Progress
from transfer import convert, norms, sources
from transfer.audit import UNSEEN
from transfer.datasets import imagefolder
from transfer.norms import Scope
from transfer.sources import Backbone, published
from transfer.sources.recipe import relevant

STRIDE = {
    "3x3": "in the 3×3 convolution of a bottleneck (torchvision's; STRIDE_IN_1X1 False, style pytorch)",
    "1x1": "in the 1×1 convolution of a bottleneck (Caffe's; STRIDE_IN_1X1 True, style caffe)",
}
"""Which convolution is strided, in the words of the tools."""
PARAMS = "params"
"""Scope of a rescaling that leaves running statistics as they are."""


@dataclass(frozen=True)
class Converted:
    """What was written."""

    file: Path
    about: Path
    """`OUT.json`."""


def run(
    checkpoint: str,
    to: str,
    out: Path,
    progress: Progress,
    *,
    reading: Reading = READING,
    norm_rescale: str | None = None,
    scope: str = PARAMS,
    audit: Path | None = None,
) -> Converted:
    """Convert a checkpoint.

    Args:
        checkpoint: What `transfer.sources.load` takes.
        to: A name of `transfer.convert.TARGETS`.
        out: The file to write.
        progress: Called with every line about the checkpoint.
        reading: How to read the checkpoint.
        norm_rescale: A factor, or the checkpoint of an SGD-trained anchor; None: norms stay as they are.
        scope: What is rescaled: `params`, or `all` for running statistics, too.
        audit: A folder of images whose statistics are compared with the checkpoint's; None: none are.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    convert.target(to, out)
    _require_writable(out, checkpoint)
    if norm_rescale is None and scope != PARAMS:
        raise ConfigError("nothing is rescaled", seen=f"--scope {scope}", fix="give --norm-rescale, too, or leave --scope away")
    journal = Journal(progress=progress)
    backbone = reading.load(checkpoint, journal)
    introduce(backbone, journal)
    verdict = UNSEEN if audit is None else audited(backbone, imagefolder.read(audit, needs=()), "cpu", journal)
    state, rescaled = backbone.state, None
    if norm_rescale is not None:
        state, rescaled = _rescaled(backbone, norm_rescale, scope, journal)
    for name in convert.unbuilt(to, backbone.recipe.variant):
        journal.say(f"{to} has no setting for {name}, which is unusual here: change it in its network, as OUT.json says")
    content = convert.encoded(to, backbone.architecture, state, out.suffix)
    _require_ours(out, content)
    convert.write(out, content)
    said = about(out.name, content, to, backbone, checkpoint, rescaled)
    said["audit"] = None if audit is None else verdict.plain()
    return Converted(out, convert.write_about(out, said))


def about(
    name: str, content: bytes, to: str, backbone: Backbone, checkpoint: str, rescaled: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Describe a converted file: what it is, what the tool must be told, and where the backbone came from.

    Args:
        name: Of the file.
        content: Of the file.
        to: A name of `transfer.convert.TARGETS`.
        backbone: What was converted.
        checkpoint: What it was read from.
        rescaled: What a rescaling of its norms did; None: there was none.
    """
    file = {"file": name, "sha256": hashlib.sha256(content).hexdigest(), "to": to}
    settings = convert.TARGETS[to].settings(*backbone.recipe.parts())
    return file | {"settings": settings} | _about(checkpoint, backbone, rescaled)


def _about(checkpoint: str, backbone: Backbone, rescaled: dict[str, Any] | None) -> dict[str, Any]:
    """Describe the backbone, whatever it is written for. Rescaled weights are another backbone, with a row of its own."""
    provenance, origin = backbone.provenance, backbone.origin
    if rescaled is not None:
        changed = {**provenance.changed, "norm_rescale": [rescaled["anchor_sha256"] or rescaled["anchor"], rescaled["scope"]]}
        provenance = provenance.replace({"method": f"{provenance.method}-normrescale", "changed": changed})
    recipe = backbone.recipe.plain() | {"eps": backbone.recipe.variant.eps or backbone.architecture.eps}
    return {
        "format": convert.FORMAT,
        "arch": backbone.arch,
        "channel_order": recipe["order"],
        "mean": recipe["mean"],
        "std": recipe["std"],
        **({"stride": STRIDE[recipe["stride"]]} if "stride" in relevant(backbone.architecture) else {}),
        **backbone.architecture.unseen,
        "recipe": recipe,
        "assumed": list(backbone.assumed),
        "norm_rescale": rescaled,
        "source": {
            "checkpoint": origin.address if origin else Path(checkpoint).name,
            "revision": origin and origin.revision,
            "sha256": backbone.sha256,
            "source": backbone.source,
            "branch": backbone.branch,
            "why": backbone.why,
            "dropped": sources.groups(backbone.dropped),
            "counters_filled": len(backbone.filled),
        },
        "provenance": provenance.model_dump(mode="json"),
    }


def _require_writable(out: Path, checkpoint: str) -> None:
    if not out.parent.is_dir():
        raise ConfigError("no folder to write into", seen=out.parent, fix=f"mkdir -p {out.parent}")
    if out.exists() and os.path.exists(checkpoint) and out.samefile(checkpoint):
        raise ConfigError("the output is the checkpoint itself", seen=out, fix="choose another --out")


def _require_ours(out: Path, content: bytes) -> None:
    """Refuse to write over a file that no `bench convert` wrote."""
    if out.exists() and not published.beside(out) and out.read_bytes() != content:
        raise ConfigError(
            "there is another file already, which bench convert didn't write",
            seen=out,
            allowed="a new name, or a file that bench convert wrote",
            fix="choose another --out, or move that file away",
        )


def _rescaled(backbone: Backbone, anchor: str, scope: str, journal: Journal) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Rescale the weights and say so; returns them and a description of what was done."""
    try:
        by: float | Backbone = float(anchor)
    except ValueError:
        by = sources.load(anchor, journal=journal)
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
    journal.say(
        f"norms rescaled by {anchor}: {about['tensors']} tensors ({scope}), {len(done.kept)} of norm 0 kept"
        f"; typical norm {about['norm_ratio_before']:.2f} → {about['norm_ratio_after']:.2f} of a fresh network's"
    )
    return done.state, about
