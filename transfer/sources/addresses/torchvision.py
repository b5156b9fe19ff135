"""`torchvision:ARCH/WEIGHTS`: torchvision's published weights, fetched once into torch's own cache."""

from pathlib import Path
from urllib.parse import urlparse

import torch
import torchvision

from pretrain import backbones
from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from pretrain.provenance import Provenance
from transfer.sources.addresses.download import Wanted, download
from transfer.sources.addresses.located import Located
from transfer.sources.addresses.web import UnfetchedError
from transfer.sources.backbone import Origin


def find(checkpoint: str, journal: Journal) -> Located:
    """Find the file of a version of torchvision's weights, and say where they came from.

    The version must be named: V1 and V2 of a ResNet-50 differ by points of AP.

    Raises:
        CheckpointError: If there are no such weights, or they are not in the cache and can't be fetched.
    """
    arch, _, version = checkpoint.removeprefix("torchvision:").partition("/")
    named = [each.name for each in backbones.every() if each.family == "resnet"]  # of the others torchvision has other names
    if arch not in named:
        raise CheckpointError.unknown("architecture", arch, named)
    weights = {weight.name: weight for weight in torchvision.models.get_model_weights(arch)}
    if version not in weights:
        raise CheckpointError(
            f"torchvision has no such weights of {arch}",
            seen=checkpoint,
            allowed=", ".join(f"torchvision:{arch}/{name}" for name in weights),
            fix="name the version: they transfer differently",
        )
    url = weights[version].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if not path.is_file():
        _fetch(url, path, journal)
    provenance = Provenance(
        method="supervised",
        supervision="full",
        label_fraction=1.0,
        arch=arch,
        data="imagenet",
        changed={"weights": f"torchvision {version}"},
    )
    return Located(path, Origin(checkpoint), provenance)


def _fetch(url: str, path: Path, journal: Journal) -> None:
    digits = path.stem.rpartition("-")[2]  # torchvision's file names end with the head of their SHA-256
    try:
        download(Wanted(url, path, sha256=digits), journal)
    except UnfetchedError as error:
        raise CheckpointError(
            "can't fetch torchvision's weights",
            seen=f"{url}: {error.reason}",
            allowed=f"the network, or the file at {path}",
            fix=f"on a machine with a network: download {url}; bring it to {path}, or pass the file with --ckpt",
        ) from None
