"""What a step costs, against the counts of each method's passes."""

from typing import Any

import pytest

from pretrain.config import PretrainConfig
from pretrain.plan import cost, passes

SMALL_CROP = 3 * (96 / 224) ** 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"method": "mocov2"}, 4),
        ({"method": "mocov2", "aug": "cutmix", "mixed_target": "un-mix"}, 7),
        ({"method": "mocov2", "local_views": 6}, 4 + 6 * SMALL_CROP),
        ({"method": "simclr"}, 6),
        ({"method": "barlowtwins"}, 6),
        ({"method": "vicreg", "aug": "cutout"}, 6),
        ({"method": "simsiam"}, 6),
        ({"method": "simsiam", "aug": "cutout"}, 8),
        ({"method": "simsiam", "aug": "cutout", "aug_views": "both"}, 6),
        ({"method": "byol"}, 8),
        ({"method": "mocov2plus"}, 8),
        ({"method": "mocov3"}, 8),
        ({"method": "swav"}, 6 + 6 * SMALL_CROP),
        ({"method": "dino"}, 8 + 8 * SMALL_CROP),
        ({"method": "supervised"}, 3),
    ],
)
def test_a_step_costs_as_many_passes_as_its_method_makes(fields: dict[str, Any], expected: float) -> None:
    assert passes(PretrainConfig.read(fields)) == pytest.approx(expected)


def test_the_part_of_small_crops_is_said() -> None:
    assert cost(PretrainConfig.read({"method": "swav"})) == (
        "9.31 forward passes of a view of 224 pixels for each image, a backward pass as two; "
        "6 without the 6 small crops of 96 pixels"
    )
    assert "small" not in cost(PretrainConfig.read({"method": "simclr"}))
