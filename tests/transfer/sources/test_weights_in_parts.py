"""Weights that a file keeps in parts are what torch's own network computes with, and the record says so."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from bench.verbs.recording import remarks
from pretrain.core.errors import CheckpointError
from transfer import sources
from transfer.sources import effective
from transfer.sources.effective import Room
from transfer.sources.files import Payload
from transfer.sources.levels import File, unwrapped


def network(change: Callable[[nn.Module], Any]) -> nn.Module:
    """A ResNet-18 two of whose convolutions are changed, in eval mode."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=2)
    change(model.conv1)
    change(model.layer2[0].downsample[0])
    return model.eval()


def save(tmp_path: Path, state: Any) -> str:
    torch.save(state, tmp_path / "c.pth")
    return str(tmp_path / "c.pth")


WAYS: dict[str, tuple[Callable[[nn.Module], Any], str]] = {
    "pruned": (lambda m: prune.l1_unstructured(m, "weight", 0.4), "pruned, weight_orig × weight_mask"),
    "pruned by channels": (lambda m: prune.ln_structured(m, "weight", 0.5, n=2, dim=0), "pruned"),
    "weight norm, by hooks": (lambda m: weight_norm(m), "of weight norm"),
    "weight norm, over inputs": (lambda m: weight_norm(m, dim=1), "of weight norm"),
    "weight norm, one length": (lambda m: weight_norm(m, dim=None), "of weight norm"),
    "weight norm": (lambda m: parametrizations.weight_norm(m), "of weight norm"),
    "spectral norm, by hooks": (lambda m: spectral_norm(m), "of spectral norm"),
    "spectral norm": (lambda m: parametrizations.spectral_norm(m), "of spectral norm"),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prefix", ["", "module.net."])
def test_the_backbone_computes_what_the_network_computes(tmp_path: Path, way: str, prefix: str) -> None:
    change, words = WAYS[way]
    model = network(change)
    backbone = sources.load(save(tmp_path, {prefix + name: tensor for name, tensor in model.state_dict().items()}))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model(images)  # hooks compute the weight before each pass
        model.fc = nn.Identity()
        assert torch.allclose(backbone.network()(images), model(images), rtol=1e-4, atol=1e-5)
    assert [note for note in remarks(backbone) if note.startswith("2 weights were computed") and words in note]


def test_a_pruned_bias_beside_the_backbone_is_dropped_part_by_part(tmp_path: Path) -> None:
    model = network(lambda m: None)
    prune.random_unstructured(model.fc, "weight", 0.5)
    backbone = sources.load(save(tmp_path, model.state_dict()))
    assert set(backbone.dropped) == {"fc.weight_orig", "fc.weight_mask", "fc.bias"}
    assert not backbone.remarks


def test_parts_of_another_shape_and_parametrizations_of_ones_own_are_refused_with_the_reason(tmp_path: Path) -> None:
    state = network(lambda m: prune.identity(m, "weight")).state_dict()
    state["conv1.weight_mask"] = torch.ones(3)
    with pytest.raises(CheckpointError, match="made by functions that the file doesn't hold"):
        sources.load(save(tmp_path, state))
    model = network(lambda m: nn.utils.parametrize.register_parametrization(m, "weight", nn.Hardtanh()))
    with pytest.raises(CheckpointError, match="made by functions that the file doesn't hold"):
        sources.load(save(tmp_path, model.state_dict()))


def test_many_weights_in_parts_take_no_longer_each_than_few() -> None:
    part, before = torch.zeros(1), time.process_time()
    level = unwrapped({f"a{number}.weight_{end}": part for number in range(20_000) for end in ("orig", "mask")}, Room())
    assert len(level.tensors) == 20_000
    assert time.process_time() - before < 20  # minutes, where each looks at all


def test_the_bound_of_what_is_computed_holds_for_all_mappings_of_a_file_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effective, "MOST_NUMBERS", 100)
    parts = {f"a.weight_{end}": torch.ones(40) for end in ("orig", "mask")}
    file = File(Payload({str(number): dict(parts) for number in range(4)}, "torch"))
    assert sum(len(file.level(str(number)).computed) for number in range(4)) == 2
