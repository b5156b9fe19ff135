"""The normalisation that every backbone here is trained with: RGB, ImageNet's mean and standard deviation by channel."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""For pixels of 0 to 1 (torchvision's published models)."""


def _to_pixels(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value * 255, 3) for value in values)


PIXEL_MEAN, PIXEL_STD = _to_pixels(IMAGENET_MEAN), _to_pixels(IMAGENET_STD)
"""The same for pixels of 0 to 255: (123.675, 116.28, 103.53) and (58.395, 57.12, 57.375)."""
