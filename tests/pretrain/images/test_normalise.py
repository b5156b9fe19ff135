"""The normalisation for pixels of either scale."""

import pytest
from torchvision.models import ResNet18_Weights

from pretrain.images.normalise import IMAGENET_MEAN, IMAGENET_STD, PIXEL_MEAN, PIXEL_STD


def test_mean_and_deviation_are_those_of_torchvision_s_published_models() -> None:
    published = ResNet18_Weights.IMAGENET1K_V1.transforms()
    assert (list(IMAGENET_MEAN), list(IMAGENET_STD)) == (published.mean, published.std)


def test_both_scales_say_the_same() -> None:
    assert (PIXEL_MEAN, PIXEL_STD) == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    assert [value / 255 for value in (*PIXEL_MEAN, *PIXEL_STD)] == pytest.approx([*IMAGENET_MEAN, *IMAGENET_STD])
