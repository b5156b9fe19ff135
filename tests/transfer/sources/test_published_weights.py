"""torchvision's published weights by name, and where a converted file's provenance comes from."""

import hashlib
import json
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision

from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from pretrain.provenance import Provenance
from transfer import sources
from transfer.sources.addresses import download
from transfer.sources.addresses import torchvision as by_name

WEIGHTS = torchvision.models.ResNet18_Weights.IMAGENET1K_V1


def numbers(value: float) -> dict[str, torch.Tensor]:
    """A ResNet-18's state dict in which all is one number, which keeps files small."""
    with torch.device("meta"):
        state = torchvision.models.resnet18().state_dict()
    return {name: torch.tensor(value).to(tensor.dtype).expand(tensor.shape) for name, tensor in state.items()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache of downloads, empty, on a machine without a network."""

    def offline(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", offline)
    return tmp_path / "checkpoints"


def test_weights_in_the_cache_are_read_with_their_version(cache: Path) -> None:
    cache.mkdir()
    torch.save(numbers(0.0), cache / Path(WEIGHTS.url).name)
    backbone = sources.load("torchvision:resnet18/IMAGENET1K_V1")
    assert (backbone.source, backbone.arch, backbone.dropped) == ("torchvision", "resnet18", ("fc.weight", "fc.bias"))
    provenance = backbone.provenance
    assert (provenance.method, provenance.supervision, provenance.data) == ("supervised", "full", "imagenet")
    assert provenance.changed == {"weights": "torchvision IMAGENET1K_V1"}


def test_without_a_network_the_message_says_where_the_file_belongs(cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        sources.load("torchvision:resnet18/IMAGENET1K_V1")
    message = str(caught.value)
    assert "can't fetch torchvision's weights" in message
    assert "Name or service not known" in message
    assert str(cache / Path(WEIGHTS.url).name) in message


def test_what_is_fetched_is_checked_against_the_hash_in_its_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def fetched(wanted: download.Wanted, _: Journal) -> bool:
        asked[wanted.url] = wanted.sha256
        wanted.path.parent.mkdir()
        torch.save(numbers(0.0), wanted.path)
        return True

    monkeypatch.setattr(by_name, "download", fetched)
    assert sources.load("torchvision:resnet18/IMAGENET1K_V1").arch == "resnet18"
    assert asked == {WEIGHTS.url: "f37072fd"}


@pytest.mark.parametrize("name", ["torchvision:resnet50", "torchvision:resnet50/IMAGENET1K_V3"])
def test_a_version_must_be_named(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"no such weights(.|\n)*torchvision:resnet50/IMAGENET1K_V2"):
        sources.load(name)


def test_an_architecture_without_a_transfer_is_refused() -> None:
    with pytest.raises(CheckpointError, match="unknown architecture 'vit_b_16'"):
        sources.load("torchvision:vit_b_16/IMAGENET1K_V1")


def test_a_converted_file_keeps_its_provenance_as_long_as_it_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "converted.pth"
    torch.save(numbers(0.0), path)
    provenance = Provenance(method="byol-normrescale", supervision="self", arch="resnet18", data="imagenet")
    about = {"format": "bench-convert/1", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    about |= {"provenance": provenance.model_dump(mode="json")}
    (tmp_path / "converted.pth.json").write_text(json.dumps(about))
    assert sources.load(str(path)).provenance == provenance
    torch.save(numbers(1.0), path)
    assert sources.load(str(path)).provenance == Provenance(
        method="supervised", supervision="full", arch="resnet18", data="unknown (converted.pth)"
    )
