"""Anchors, box arithmetic, matching and sampling, against their definitions in plain loops."""

import math

import pytest
import torch
from torchvision.ops import box_iou

from transfer.engines.torchvision import boxes as box_ops


def random_boxes(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 60
    return torch.cat([corner, corner + 2 + torch.rand(count, 2, generator=generator) * 40], dim=1)


def test_anchors_have_their_area_and_ratio_and_are_centred_on_the_cell_corners() -> None:
    anchors = box_ops.grid_anchors(box_ops.cell_anchors((32, 64)), 2, 3, 16).view(2, 3, 6, 4)
    for row in range(2):
        for column in range(3):
            for index, (size, ratio) in enumerate((size, ratio) for size in (32, 64) for ratio in (0.5, 1.0, 2.0)):
                left, top, right, bottom = anchors[row, column, index].tolist()
                assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((16 * column, 16 * row), abs=1e-4)
                assert (right - left) * (bottom - top) == pytest.approx(size**2, rel=1e-5)
                assert (bottom - top) / (right - left) == pytest.approx(ratio, rel=1e-5)


def test_decoding_undoes_encoding() -> None:
    boxes, targets = random_boxes(20), random_boxes(20, seed=1)
    for weights in ((1.0, 1.0, 1.0, 1.0), box_ops.BOX_WEIGHTS):
        moved = box_ops.decode(box_ops.encode(boxes, targets, weights)[:, None], boxes, weights)[:, 0]
        assert torch.allclose(moved, targets, atol=1e-4)


def test_offsets_are_relative_to_the_source_and_its_size() -> None:
    source, target = torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([[5.0, 10, 25, 50]])
    offsets = box_ops.encode(source, target, (10.0, 10.0, 5.0, 5.0))[0].tolist()
    assert offsets == pytest.approx([10 * (15 - 5) / 10, 10 * (30 - 10) / 20, 5 * math.log(2), 5 * math.log(2)])


def test_a_predicted_side_is_bounded() -> None:
    wide = box_ops.decode(torch.tensor([[[0.0, 0, 50, 0]]]), torch.tensor([[0.0, 0, 16, 16]]), (1.0, 1.0, 1.0, 1.0))[0, 0]
    assert float(wide[2] - wide[0]) == pytest.approx(1000)


def test_overlap_is_intersection_over_union_and_zero_apart() -> None:
    boxes, others = random_boxes(7), random_boxes(9, seed=1)
    assert torch.allclose(box_ops.overlap(boxes, others), box_iou(boxes, others), atol=1e-6)
    empty = torch.tensor([[3.0, 3, 3, 3]])
    assert box_ops.overlap(empty, empty).tolist() == [[0.0]]


def test_matching_follows_the_thresholds() -> None:
    quality = torch.tensor([[0.1, 0.3, 0.69, 0.7, 0.0], [0.0, 0.2, 0.1, 0.9, 0.0]])
    index, label = box_ops.match(quality, 0.3, 0.7)
    assert index.tolist() == [0, 0, 0, 1, 0]
    assert label.tolist() == [0, -1, -1, 1, 0]


def test_rescue_gives_every_object_its_best_anchors() -> None:
    quality = torch.tensor([[0.1, 0.25, 0.25], [0.8, 0.0, 0.0]])
    assert box_ops.match(quality, 0.3, 0.7)[1].tolist() == [1, 0, 0]
    assert box_ops.match(quality, 0.3, 0.7, rescue=True)[1].tolist() == [1, 1, 1]


def test_without_objects_everything_is_background() -> None:
    index, label = box_ops.match(torch.zeros(0, 4), 0.3, 0.7, rescue=True)
    assert label.tolist() == index.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"), [(50, 50, (8, 24)), (3, 50, (3, 29)), (50, 4, (8, 4)), (0, 2, (0, 2))]
)
def test_sampling_takes_at_most_the_share_and_fills_up_with_background(
    positives: int, negatives: int, expected: tuple[int, int]
) -> None:
    labels = torch.cat([torch.full((positives,), 2), torch.full((negatives,), 7), torch.full((5,), -1)])
    objects, background = box_ops.sample(labels, 32, 0.25, 7, torch.Generator().manual_seed(0))
    assert (len(objects), len(background)) == expected
    assert (labels[objects] == 2).all()
    assert (labels[background] == 7).all()
    assert len(set(objects.tolist())) == len(objects)


def test_clipped_boxes_stay_inside_and_lose_their_area_outside() -> None:
    clipped = box_ops.clip(torch.tensor([[-5.0, -5, 200, 50], [150.0, 10, 160, 20]]), (40, 100))
    assert clipped.tolist() == [[0, 0, 100, 40], [100, 10, 100, 20]]
    assert box_ops.has_area(clipped).tolist() == [True, False]
