"""SnapMix against its definition in plain loops; its class activation maps; and who may ask for them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain.augment.guide import Guide
from pretrain.augment.mixed import Mixed
from pretrain.augment.snapmix import SnapMix
from pretrain.batch import Batch, Progress
from pretrain.config import PretrainConfig
from pretrain.core.errors import ConfigError
from pretrain.guides import guides
from pretrain.images.labels import UNLABELLED
from pretrain.losses.cross_entropy import cross_entropy
from pretrain.trainer import Trainer

N, SIDE = 24, 20


def rng(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


IMAGES = torch.randn(N, 3, SIDE, SIDE, generator=rng(0))
MAPS = torch.rand(N, SIDE, SIDE, generator=rng(2)) ** 4
MAPS[3] = MAPS[7] = 0  # images without a label


def box(share: float, y: float, x: float) -> tuple[int, int, int, int]:
    """CutMix's: √(1 − λ) of the image's sides around a centre that is anywhere, clipped."""
    side = math.floor(math.sqrt(1 - share) * SIDE)
    top, left = math.floor(y * SIDE) - side // 2, math.floor(x * SIDE) - side // 2
    return max(top, 0), max(left, 0), min(top + side, SIDE), min(left + side, SIDE)


def test_a_box_of_the_partner_is_drawn_over_another_and_labels_count_by_what_is_seen_of_their_class() -> None:
    mixed = SnapMix().guided(Guide(IMAGES, {"class activation": MAPS}))(IMAGES, rng())
    draws = rng()
    partner = torch.randperm(N, generator=draws).tolist()
    left, cut = (
        np.random.default_rng(int(torch.randint(2**62, (1,), generator=draws))).beta(5.0, 5.0, N).astype(np.float32)
        for _ in range(2)
    )
    u = torch.rand(5, N, generator=draws).tolist()
    assert mixed.sources.tolist() == [[n, partner[n]] for n in range(N)]
    for n in range(N):
        top, start, bottom, end = box(left[n], u[0][n], u[1][n])
        top2, start2, bottom2, end2 = box(cut[n], u[2][n], u[3][n])
        expected, other = IMAGES[n].clone(), IMAGES[partner[n]]
        own, share = 1.0, 0.0
        if min(bottom - top, end - start, bottom2 - top2, end2 - start2) > 0:
            piece = other[None, :, top2:bottom2, start2:end2]
            expected[:, top:bottom, start:end] = F.interpolate(
                piece, size=(bottom - top, end - start), mode="bilinear", align_corners=True
            )[0]
            area = (bottom - top) * (end - start) / SIDE**2
            mine, theirs = MAPS[n], MAPS[partner[n]]
            own = 1 - float(mine[top:bottom, start:end].sum() / mine.sum()) if float(mine.sum()) else 1 - area
            share = float(theirs[top2:bottom2, start2:end2].sum() / theirs.sum()) if float(theirs.sum()) else area
        torch.testing.assert_close(mixed.images[n], expected, rtol=1e-4, atol=1e-4)
        assert mixed.weights[n].tolist() == pytest.approx([own, share], abs=1e-5)
    assert float((mixed.weights.sum(dim=1) - 1).abs().max()) > 0.1  # they need not add up to 1


def test_with_probability_zero_every_image_and_its_label_stay() -> None:
    mixed = SnapMix(probability=0)(IMAGES, rng())
    assert torch.equal(mixed.images, IMAGES)
    assert torch.equal(mixed.weights, torch.tensor([1.0, 0.0]).expand(N, 2))


def test_the_loss_is_the_sum_over_both_labels_by_their_weights() -> None:
    outputs, labels = torch.randn(3, 4, generator=rng()), torch.tensor([0, 2, 2])
    weights = torch.tensor([[0.9, 0.4], [0.3, 0.2], [0.5, 0.8]])
    view = Mixed(torch.zeros(3, 3, 1, 1), torch.tensor([[0, 1], [1, 2], [2, 0]]), weights)
    loss, _ = cross_entropy(outputs, view, labels, blends=True)
    logs = -outputs.log_softmax(dim=1)
    expected = [weights[n, 0] * logs[n, labels[n]] + weights[n, 1] * logs[n, labels[(n + 1) % 3]] for n in range(3)]
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def config(**fields: Any) -> PretrainConfig:
    tiny = {"arch": "resnet18", "stem": "small", "size": 32, "epochs": 1, "batch": 4, "precision": "fp32"}
    return PretrainConfig.read({**tiny, "method": "supervised", "supervision": "full", **fields})


def test_class_activation_is_what_each_place_adds_to_the_output_of_the_class_less_its_least() -> None:
    made = Trainer(config(aug="snapmix"), images=8, classes=3, device="cpu")
    labels = torch.tensor([2, 0, UNLABELLED, 1])
    images = torch.randn(4, 3, 32, 32, generator=rng())
    batch = Batch((), (images,), labels, torch.arange(4), Progress(0, 1, 0, 1))
    before = {name: tensor.clone() for name, tensor in made.learner.state_dict().items()}
    (answer,), losses = guides(made.learner, batch, ["class activation"], shared=False)
    assert losses is None
    assert all(torch.equal(before[name], tensor) for name, tensor in made.learner.state_dict().items())
    with torch.no_grad():
        features = made.config.shape(3).architecture.maps(made.learner.query.trunk, images)[-1]
        head = made.learner.query.head
        for n, label in enumerate(labels.tolist()):
            if label == UNLABELLED:
                assert not answer.maps["class activation"][n].any()
                continue
            h, w = features.shape[2:]
            adds = torch.tensor([[float(features[n, :, i, j] @ head.weight[label]) for j in range(w)] for i in range(h)])
            whole = F.interpolate(adds[None, None], size=(32, 32), mode="bilinear", align_corners=False)[0, 0]
            torch.testing.assert_close(answer.maps["class activation"][n], whole - whole.min(), rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(adds.mean() + head.bias[label], head(features.mean(dim=(2, 3)))[n, label])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"method": "mocov2", "queue": 16},
            r"snapmix asks for class activation maps, which 'mocov2' has none of; .*supervised",
        ),
        ({"method": "mocov2", "queue": 16, "aug": "none+snapmix"}, "snapmix asks for class activation maps"),
        ({"arch": "vit_small", "stem": "imagenet"}, "mean over a map; vit_small's are the class token"),
    ],
)
def test_who_has_no_class_activation_maps_is_told_so(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**{"aug": "snapmix", **fields})
