"""The detectors, C4 and FPN."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pretrain.core.errors import ProofError
from transfer import prove, sources
from transfer.engines.torchvision.data import Sample
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.engine import FAMILIES
from transfer.engines.torchvision.fpn import FPN
from transfer.engines.torchvision.rpn import Target
from transfer.tasks.detection import DetectionSettings

Tiny = Callable[..., DetectionSettings]
both = pytest.mark.parametrize("task", ["coco-c4", "coco-fpn"])


def sample(height: int = 64, width: int = 80, objects: int = 1) -> Sample:
    boxes = torch.tensor([[8.0, 8, 50, 40]] * objects).view(-1, 4)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(height))
    masks = tuple((np.array([8.0, 8, 50, 8, 50, 40]),) for _ in range(objects))
    return Sample(image, Target(boxes, torch.zeros(objects, dtype=torch.int64)), masks)


def detector(settings: DetectionSettings, arch: str = "resnet18") -> Detector:
    torch.manual_seed(0)
    return FAMILIES[settings.family](arch, 3, settings)


@both
@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_the_loaded_backbone_is_proven_to_the_last_bit(tiny_detection: Tiny, arch: str, task: str) -> None:
    backbone = sources.load(f"random:{arch}:1")
    model = detector(tiny_detection(task), arch).eval()
    with pytest.raises(ProofError):
        prove.prove(backbone, model.backbone_state(), model.backbone_features, prove.reference(backbone))
    model.load_backbone(backbone.state)
    proof = prove.prove(backbone, model.backbone_state(), model.backbone_features, prove.reference(backbone))
    assert proof == {"tensors": float(len(backbone.state)), "max_feature_difference": 0.0}


@both
def test_every_parameter_is_trained(tiny_detection: Tiny, task: str) -> None:
    model = detector(tiny_detection(task)).train()
    losses = model.losses([sample(), sample(72, 64)], torch.Generator().manual_seed(0))
    assert losses.keys() == {"cls", "box_reg", "rpn_cls", "rpn_loc", "mask"}
    torch.stack(list(losses.values())).sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []


def test_without_masks_there_is_no_mask_head(tiny_detection: Tiny) -> None:
    model = detector(tiny_detection("voc07")).train()
    assert "mask" not in model.losses([sample()], torch.Generator().manual_seed(0))
    assert not any(name.startswith("mask") for name, _ in model.named_parameters())


@both
def test_the_losses_of_new_layers_start_near_chance(tiny_detection: Tiny, task: str) -> None:
    model = detector(tiny_detection(task)).train()
    losses = model.losses([sample(), sample()], torch.Generator().manual_seed(0))
    assert losses["cls"].item() == pytest.approx(np.log(4), abs=0.3)
    assert losses["mask"].item() == pytest.approx(np.log(2), abs=0.05)


@both
def test_the_same_generator_gives_the_same_losses(tiny_detection: Tiny, task: str) -> None:
    model = detector(tiny_detection(task, rois=3)).train()
    first, again, other = (model.losses([sample()], torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert {name: value.item() for name, value in first.items()} == {name: value.item() for name, value in again.items()}
    assert first["rpn_cls"].item() != other["rpn_cls"].item()


@both
def test_an_image_without_objects_gives_a_finite_loss(tiny_detection: Tiny, task: str) -> None:
    model = detector(tiny_detection(task)).train()
    losses = model.losses([sample(objects=0)], torch.Generator().manual_seed(0))
    assert all(np.isfinite(value.item()) for value in losses.values())
    assert losses["mask"].item() == losses["rpn_loc"].item() == losses["box_reg"].item() == 0


@both
def test_detections_are_sorted_limited_and_inside_the_image(tiny_detection: Tiny, task: str) -> None:
    model = detector(tiny_detection(task, detections_per_image=5, post_nms_test=20)).eval()
    found = model.detect([sample().image])[0]
    assert len(found.scores) == 5
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert found.masks is not None
    assert found.masks.shape == ((5, 4, 4) if task == "coco-c4" else (5, 16, 16))
    assert (found.boxes >= 0).all()
    assert (found.boxes <= torch.tensor([80.0, 64, 80, 64])).all()


@both
def test_nothing_above_the_threshold_is_nothing_found(tiny_detection: Tiny, task: str) -> None:
    model = detector(tiny_detection(task, score_threshold=0.99)).eval()
    found = model.detect([sample().image])[0]
    assert found.boxes.shape == (0, 4)
    assert found.masks is not None
    assert len(found.masks) == 0


def test_a_batch_is_padded_to_what_the_pyramid_divides_by(tiny_detection: Tiny) -> None:
    images = [torch.zeros(3, 33, 64, dtype=torch.uint8), torch.zeros(3, 20, 65, dtype=torch.uint8)]
    batch, sizes = detector(tiny_detection("coco-fpn")).batch(images)
    assert batch.shape == (2, 3, 64, 96)
    assert sizes == [(33, 64), (20, 65)]


def test_the_heads_are_of_the_4conv1fc_family(tiny_detection: Tiny) -> None:
    model = detector(tiny_detection("coco-fpn"))
    assert isinstance(model, FPN)
    kinds = [type(layer).__name__ for head in (model.box_body, model.mask_body) for layer in head.modules()]  # type: ignore[union-attr]
    assert (kinds.count("Conv2d"), kinds.count("BatchNorm2d"), kinds.count("Linear")) == (8, 8, 1)
    pyramid = [type(layer).__name__ for layer in model.pyramid.modules()]
    assert (pyramid.count("Conv2d"), pyramid.count("BatchNorm2d")) == (8, 8)
    assert all(layer.bias is None for layer in model.pyramid.modules() if isinstance(layer, torch.nn.Conv2d))
