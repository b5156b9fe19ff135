#!/usr/bin/env python3
"""Print how often the audit of running statistics notices each fault, and how often it warns of a right reading.

    audit_power.py --data NAME=FOLDER ... [--images NAME=FOLDER ...] [--out FOLDER] [--more]

Trains small backbones on the training images of each `--data` (reused if they are in FOLDER/models), and audits them with the
validation images of each, and with the `--images`, which may be any folder of images. Faults of the reading are declared of
backbones that have none. Functions that can't be declared are given to the backbone instead: its running statistics are taken
anew, on training images, with the other function between its norms. Prints one JSON line for each audit, then a table.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.options import Place, Setup
from bench.verbs import pretrain as pretraining
from pretrain.backbones import set_eps
from pretrain.images import imageset
from pretrain.images.normalise import IMAGENET
from pretrain.inputs import normalised
from transfer import audit, sources
from transfer.audit import alternatives, distance, pictures
from transfer.audit.looked import Looked
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines.precise_bn import precise_bn
from transfer.record import Data
from transfer.sources import Backbone

GRID = [("supervised", "resnet18", 0), ("mocov2", "resnet18", 0), ("supervised", "resnet50", 0)]
MORE = [("supervised", "resnet18", 1), ("mocov2", "resnet50", 0)]
SIZE = 32
PLAIN = {"jitter": 0.0, "grey": 0.0, "blur": 0.0, "crop_scale": [0.08, 1.0]}
"""torchvision's pipeline of supervised training: crops and mirroring."""
CAFFE = {"order": "BGR", "mean": alternatives.INPUTS["BGR of 0 to 255 less ImageNet's mean"].mean, "std": alternatives.BYTES}
DECLARED: dict[str, dict[str, Any]] = {
    "none: read as trained": {},
    "0 to 255 for normalised": {"mean": (0.0,) * 3, "std": alternatives.BYTES},
    "Caffe's input for the usual": CAFFE,
    "0 to 1 for normalised": {"mean": (0.0,) * 3, "std": (1.0,) * 3},
    "−1 to 1 for ImageNet's mean and deviation": {"mean": (0.5,) * 3, "std": (0.5,) * 3},
    "CLIP's mean and deviation for ImageNet's": {"mean": (0.481, 0.458, 0.408), "std": (0.269, 0.261, 0.276)},
    "BGR for RGB, mean and deviation turned, too": {"order": "BGR", "mean": IMAGENET.mean[::-1], "std": IMAGENET.std[::-1]},
    "BGR for RGB, mean and deviation as they were": {"order": "BGR"},
    "eps 1e-3 for 1e-5": {"eps": 1e-3},
    "stride in the 1×1 for the 3×3": {"stride": "1x1"},
}
Change = Callable[[nn.Module], None]


def activation(other: nn.Module) -> Change:
    """Replace each ReLU."""

    def change(network: nn.Module) -> None:
        for module in list(network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.ReLU):
                    setattr(module, name, other)

    return change


def stem(pool: nn.Module) -> Change:
    """Replace the pooling of the stem."""
    return lambda network: setattr(network, "maxpool", pool)


FUNCTIONS: dict[str, Change] = {
    "none: statistics taken anew": lambda network: None,
    "stride in the 1×1, read as in the 3×3": alternatives.move_strides,
    "halved by average pooling (anti-aliased)": alternatives.anti_alias,
    "SiLU for ReLU": activation(nn.SiLU()),
    "GELU for ReLU": activation(nn.GELU()),
    "leaky ReLU of 0.1 for ReLU": activation(nn.LeakyReLU(0.1)),
    "the stem's pooling an average": stem(nn.AvgPool2d(3, 2, 1)),
    "the stem's pooling rounded up, without padding": stem(nn.MaxPool2d(3, 2, ceil_mode=True)),
    "two pixels less padding in the stem": lambda network: setattr(network.conv1, "padding", (2, 2)),
    "eps 1e-3, read as 1e-5": lambda network: set_eps(network, 1e-3),
}


def content(images: imageset.ImageSet) -> ClassificationData:
    """Make these the training images of a data set."""
    ref = Data(name="any", layout="imagefolder", fingerprint="", train=len(images), val=0, classes=1)
    return ClassificationData(images, images.part([]), ref)


def trained(name: str, folder: str, more: bool, out: Path) -> Iterator[tuple[str, Backbone]]:
    """Train, or find, the backbones of a domain."""
    for method, arch, seed in GRID + (MORE if more else []):
        options = {"method": method, "arch": arch, "size": SIZE, "stem": "imagenet", "seed": seed, "epochs": 1, "batch": 64}
        options |= {"pipeline_options": PLAIN if method == "supervised" else {"blur": 0.0}, "bn_splits": 1}
        options |= {"schedule": {"shape": "cosine", "per": "step"}, **({"queue": 1024} if method == "mocov2" else {})}
        where = out / f"{name}-{method}-{arch}-{SIZE}-{seed}"
        if not (where / "backbone.pth").exists():
            pretraining.run(options, Setup(budget="small"), Place(data=folder, out=where), lambda *_: None)
        yield where.name, sources.load(str(where / "backbone.pth"))


def anew(backbone: Backbone, pixels: Tensor, change: Change) -> Backbone:
    """Give a backbone the running statistics that another function between its norms has on its training images."""
    network = backbone.network()
    change(network)
    for norm in distance.norms(network):
        norm.train()
    precise_bn(network, network, normalised(pixels, IMAGENET).split(128))
    kept = {"running_mean", "running_var"}
    own = network.state_dict()
    state = {name: own[name] if name.rpartition(".")[2] in kept else value for name, value in backbone.state.items()}
    return replace(backbone, state=state)


def line(fault: str, model: str, images: str, backbone: Backbone, pixels: Tensor) -> dict[str, Any]:
    """Audit once, and return what came of it."""
    looked = Looked(backbone, pixels)
    verdict = audit.judged(looked)
    first, others = looked.inputs
    ratios = {each.title: round(math.log(found / first), 2) for each, found in others.items()}
    if verdict.typical:
        typical, functions = looked.functions
        ratios |= {each.title: round(math.log(found / typical), 2) for each, found in functions.items()}
    said = verdict.better[0].title if verdict.better else "far" if verdict.warning() else ""
    own = model.split("-")[0] == images
    return {
        "fault": fault,
        "model": model,
        "images": images,
        "own": own,
        "said": said,
        "first": first,
        "typical": verdict.typical,
        **ratios,
    }


def audits(models: dict[str, Backbone], views: dict[str, Tensor], training: dict[str, Tensor]) -> Iterator[dict[str, Any]]:
    """Audit every backbone under every fault on every set of images."""
    for model, backbone in models.items():
        bottleneck = getattr(backbone.architecture, "bottleneck", False)
        faulty = {
            fault: replace(backbone, recipe=backbone.recipe.replaced(told))
            for fault, told in DECLARED.items()
            if bottleneck or "stride" not in told
        }
        for fault, change in FUNCTIONS.items():
            if bottleneck or not fault.startswith("stride"):
                faulty[fault] = anew(backbone, training[model.split("-")[0]], change)
        for fault, wrong in faulty.items():
            for images, pixels in views.items():
                yield line(fault, model, images, wrong, pixels)


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """Write the share noticed of each fault, on images of the training's domain and of others."""
    yield "| fault | own domain | other domains | distance (own; others), nats |"
    yield "|---|---|---|---|"
    for fault in dict.fromkeys(each["fault"] for each in found):
        shares, away = [], []
        for own in (True, False):
            some = [each for each in found if each["fault"] == fault and each["own"] == own]
            shares.append(f"{sum(bool(each['said']) for each in some)} of {len(some)}")
            values = sorted(each["first"] for each in some) or [0.0]
            after = sorted(each["typical"] for each in some) or [0.0]
            away.append(f"{values[len(values) // 2]:.2g}, {after[len(after) // 2]:.2g}")
        yield f"| {fault} | {' | '.join(shares)} | {'; '.join(away)} |"


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--images", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, default=Path("audit-power"))
    parser.add_argument("--more", action="store_true", help="Two more backbones of each domain.")
    options = parser.parse_args()
    domains = dict(each.split("=", 1) for each in options.data)
    models = {key: one for name, at in domains.items() for key, one in trained(name, at, options.more, options.out / "models")}
    sets = {name: imageset.read(Path(at), "val") for name, at in domains.items()}
    sets |= {name: imageset.read(Path(at), "train") for name, at in (each.split("=", 1) for each in options.images)}
    views = {name: pictures.pixels(content(images), SIZE) for name, images in sets.items()}
    training = {}
    for name, at in domains.items():
        images = imageset.read(Path(at), "train")
        parts = [images.part(range(start, len(images), 64)[: pictures.IMAGES]) for start in range(8)]
        training[name] = torch.cat([pictures.pixels(content(part), SIZE) for part in parts])
    found = []
    for each in audits(models, views, training):
        found.append(each)
        print(json.dumps(each, ensure_ascii=False), flush=True)
    print(*table(found), sep="\n")


if __name__ == "__main__":
    main()
