"""Regions cut out of a pyramid."""

import torch
import torchvision

from transfer.engines.torchvision.pooling import levels, pool

STRIDES = (4, 8, 16, 32)


def squares(*sides: float) -> torch.Tensor:
    return torch.tensor([[3.0, 5.0, 3.0 + side, 5.0 + side] for side in sides])


def test_a_region_twice_as_large_comes_from_the_next_coarser_map() -> None:
    assert levels(squares(0, 10, 111, 112, 223, 224, 447, 448, 5000), STRIDES).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]


def test_the_level_follows_the_area_not_the_sides() -> None:
    assert levels(torch.tensor([[0.0, 0, 56, 896]]), STRIDES).tolist() == [2]


def test_each_region_is_cut_from_its_own_map_and_image() -> None:
    torch.manual_seed(0)
    maps = [torch.rand(2, 3, 256 // stride, 256 // stride) for stride in STRIDES]
    boxes = [squares(20, 230, 120), squares(500, 60)]
    pooled = pool(maps, STRIDES, boxes, 5)
    images, every = [0, 0, 0, 1, 1], torch.cat(boxes)
    for region, (image, box, level) in enumerate(zip(images, every, levels(every, STRIDES), strict=True)):
        alone = [maps[level][image : image + 1], [box[None]]]
        expected = torchvision.ops.roi_align(*alone, 5, spatial_scale=1 / STRIDES[level], sampling_ratio=0, aligned=True)
        assert torch.equal(pooled[region], expected[0])


def test_without_regions_nothing_is_cut() -> None:
    maps = [torch.rand(1, 3, 8, 8)] * 4
    assert pool(maps, STRIDES, [torch.zeros(0, 4)], 7).shape == (0, 3, 7, 7)
    assert pool(maps[:1], STRIDES[:1], [torch.zeros(0, 4)], 7).shape == (0, 3, 7, 7)
