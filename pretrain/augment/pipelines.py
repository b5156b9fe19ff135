"""The base pipelines: they turn a crop into a view by a list of operations, each with a probability and a strength.

The crop itself is drawn by the loader workers (`pretrain.images.loading`), which decode the images.

Shapes: N images, H rows, W columns.
"""

import itertools
from collections.abc import Callable
from typing import Annotated, Literal, get_args

import torch
from pydantic import Field, field_validator
from torch import Generator, Tensor

from pretrain.augment import ops
from pretrain.core.errors import ConfigError
from pretrain.core.ranges import FractionRange, PositiveRange, Probability
from pretrain.core.settings import Settings
from pretrain.core.upload import upload

Strength = Annotated[float, Field(ge=0, le=1)]
Operation = Literal["jitter", "grey", "blur", "solarize", "flip"]


class Pipeline(Settings):
    """The operations of one view; a probability of 0 switches one off. The defaults are MoCo v2's."""

    crop_scale: FractionRange = (0.2, 1.0)
    """Fraction of the image's area that a crop keeps, drawn uniformly."""
    crop_ratio: PositiveRange = (3 / 4, 4 / 3)
    """Width over height of a crop, drawn log-uniformly."""
    resize: Literal["bilinear", "bicubic"] = "bilinear"
    """How a crop becomes a view; antialiased in both."""
    jitter: Probability = 0.8
    """Probability of colour jitter: brightness, contrast, saturation and hue in an order drawn for each image."""
    brightness: Strength = 0.4
    """Half-width of the brightness factor, drawn uniformly around 1."""
    contrast: Strength = 0.4
    """Half-width of the contrast factor, drawn uniformly around 1."""
    saturation: Strength = 0.4
    """Half-width of the saturation factor, drawn uniformly around 1."""
    hue: float = Field(0.1, ge=0, le=0.5)
    """Largest shift of the hue to either side, in turns, drawn uniformly."""
    grey: Probability = 0.2
    """Probability of conversion to grey."""
    blur: Probability = 0.5
    """Probability of Gaussian blur."""
    blur_sigma: PositiveRange = (0.1, 2.0)
    """Standard deviation of the blur, in pixels, drawn uniformly."""
    solarize: Probability = 0.0
    """Probability of solarisation, which inverts bright values."""
    solarize_threshold: float = Field(128, ge=0, le=255)
    """Value from which on solarisation inverts, of 255."""
    flip: Probability = 0.5
    """Probability of mirroring left and right."""
    order: tuple[Operation, ...] = ("jitter", "grey", "blur", "solarize", "flip")
    """Order in which the operations are applied; one that isn't listed is off."""

    @field_validator("order")
    @classmethod
    def _once(cls, order: tuple[Operation, ...]) -> tuple[Operation, ...]:
        if len(set(order)) < len(order):
            raise ValueError("each operation at most once")
        return order

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """Make a view of each image.

        All random numbers are drawn for every image, used or not, so that switching an operation off doesn't change the draws
        of the other operations or of a later augmentation.

        Args:
            images: (N, 3, H, W) crops, RGB in [0, 1]. Not modified.
            rng: Source of all randomness, on the CPU wherever the images are.

        Returns:
            (N, 3, H, W), RGB in [0, 1].
        """
        draws = self.draws(len(images), rng)
        images = images.clone(memory_format=torch.contiguous_format)
        for name in self.order:
            self.apply_(name, images, draws)
        return images

    def draws(self, count: int, rng: Generator) -> Tensor:
        """Draw all random numbers of that many images, (numbers, N), on the CPU."""
        return torch.rand(len(_DRAWN), count, generator=rng)

    def chosen(self, name: Operation, draws: Tensor) -> Tensor:
        """Tell which images an operation applies to, (N,) bool, on the CPU."""
        return draws[_DRAWN.index(name)] < getattr(self, name)

    def apply_(self, name: Operation, images: Tensor, draws: Tensor) -> None:
        """Apply an operation, in place, to those of the images (N, 3, H, W) that it is drawn for."""
        apply: dict[Operation, Callable[[Tensor, Tensor, Tensor], None]] = {
            "jitter": self._jitter,
            "grey": self._grey,
            "blur": self._blur,
            "solarize": self._solarize,
            "flip": self._flip,
        }
        chosen = self.chosen(name, draws).nonzero().squeeze(1)
        if len(chosen):
            apply[name](images, chosen, draws[:, chosen])

    def jitter_of(self, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Return each image's order of the jitter's steps, (N, 4), and the steps' parameters, (4, N), on the CPU."""
        return torch.tensor(_ORDERS)[(draws[_DRAWN.index("order")] * len(_ORDERS)).long()], self._strengths(draws)

    def _jitter(self, images: Tensor, chosen: Tensor, draws: Tensor) -> None:
        """Apply the four steps in each image's own order; each round groups the images by their next step."""
        orders, strengths = self.jitter_of(draws)
        rows = torch.arange(len(chosen))  # which of the chosen images each row of `part` holds
        part = images
        for position in range(len(STEPS)):
            step, by_step = orders[rows, position].sort()
            rows = rows[by_step]
            part = part.index_select(0, upload(by_step if position else chosen[rows], images.device))
            counts = step.bincount(minlength=len(STEPS)).tolist()
            strength = upload(strengths[step, rows], images.device).split(counts)
            for apply_, same, by in zip(STEPS, part.split(counts), strength, strict=True):
                if len(same):
                    apply_(same, by)
        images.index_copy_(0, upload(chosen[rows], images.device), part)

    def _strengths(self, draws: Tensor) -> Tensor:
        """Scale uniform draws to the steps' parameters (4, N), centred on the one that changes nothing."""
        widths = torch.tensor([self.brightness, self.contrast, self.saturation, self.hue])
        neutral = torch.tensor([1.0, 1.0, 1.0, 0.0])
        return neutral[:, None] + widths[:, None] * (2 * draws[: len(STEPS)] - 1)

    def _grey(self, images: Tensor, chosen: Tensor, draws: Tensor) -> None:
        _change(images, chosen, lambda part: ops.to_grey(part).expand_as(part))

    def _blur(self, images: Tensor, chosen: Tensor, draws: Tensor) -> None:
        low, high = self.blur_sigma
        sigma = low + (high - low) * draws[_DRAWN.index("sigma")]
        sigma = upload(sigma, images.device)
        _change(images, chosen, lambda part: ops.gaussian_blur(part, sigma, ops.reach_of(high)))

    def _solarize(self, images: Tensor, chosen: Tensor, draws: Tensor) -> None:
        _change(images, chosen, lambda part: ops.solarize_(part, self.solarize_threshold / 255))

    def _flip(self, images: Tensor, chosen: Tensor, draws: Tensor) -> None:
        _change(images, chosen, ops.flip)


def _change(images: Tensor, chosen: Tensor, operation: Callable[[Tensor], Tensor]) -> None:
    """Replace the images (N, 3, H, W) with these indices, on the CPU, by what an operation makes of them."""
    where = upload(chosen, images.device)
    images.index_copy_(0, where, operation(images.index_select(0, where)))


STEPS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    ops.adjust_brightness_,
    ops.adjust_contrast_,
    ops.adjust_saturation_,
    ops.adjust_hue_,
)
"""Steps of the colour jitter."""
_ORDERS = list(itertools.permutations(range(len(STEPS))))
_DRAWN = ("brightness", "contrast", "saturation", "hue", "order", "sigma", *get_args(Operation))
"""Numbers drawn for each image, uniform in [0, 1): parameters, then for each operation whether it applies."""

_V2 = Pipeline()
"""facebookresearch/moco @7397dfe, main_moco.py, `--aug-plus`.

NOTE: that code blurs with Pillow, by three box filters whose variance adds up to σ²; here, as in torchvision, the kernel
is a Gaussian sampled at whole pixels, whose variance falls short of σ² below σ ≈ 0.6 (.008 for .09 at σ = .3). Over 224-pixel
photographs the results differ by less than 1/255 in the mean at every σ; over noise of full contrast by 10/255 at σ = .3,
8/255 at .4 and 1 to 4/255 from .5 on. A quarter of MoCo's σ are below .6."""
_V1 = Pipeline(jitter=1.0, hue=0.4, blur=0.0, order=("grey", "jitter", "flip"))
"""The same file without `--aug-plus`: grey precedes the jitter, which is always applied; no blur."""
_BYOL = Pipeline(crop_scale=(0.08, 1.0), saturation=0.2, order=("flip", "jitter", "grey", "blur", "solarize"))
"""Grill et al. 2020, arXiv:2006.07733, appendix B and table 6 (google-deepmind/deepmind-research @923ad3c,
byol/utils/augmentations.py). NOTE: that code adds to the brightness, blends contrast channel by channel and pads a blur with
black; here brightness, contrast and borders are as in all pipelines, torchvision's. It resizes crops bicubically, as the codes
of Barlow Twins, VICReg and DINO do, which have this pipeline too: `byol-bicubic`."""
_AIRL = _BYOL.replace({"order": ("jitter", "blur", "grey", "flip", "solarize")})
"""megvii-research/revisitAIRL @7afeb02, data/transforms.py: BYOL's operations in another order."""
_V3 = _BYOL.replace({"crop_scale": (0.2, 1.0), "order": ("jitter", "grey", "blur", "solarize", "flip")})
"""facebookresearch/moco-v3 @c349e6e, main_moco.py, with the crops of its ResNet-50; its ViTs' are .08 to 1."""
_SIMCLR = Pipeline(
    crop_scale=(0.08, 1.0), resize="bicubic", brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2,
    order=("flip", "jitter", "grey", "blur"),
)  # fmt: skip
"""google-research/simclr @383d414, data_util.py, colour strength 1. NOTE: that code doesn't normalise by mean and deviation,
and always blurs with a kernel of a tenth of the image; here images are normalised as in all pipelines."""
_SWAV = _SIMCLR.replace({"crop_scale": (0.14, 1.0), "resize": "bilinear"})
"""facebookresearch/swav @06b1b7c, src/multicropdataset.py; without small crops its scale is .08 to 1. NOTE: its deviations for
normalising are (.228, .224, .225); here the first is .229 as everywhere."""
_SUPCON = Pipeline(blur=0.0, order=("flip", "jitter", "grey"))
"""HobbitLong/SupContrast @66a8fe5, main_supcon.py: for images of 32 pixels."""

PIPELINES: dict[str, tuple[Pipeline, Pipeline]] = {
    "mocov1": (_V1, _V1),
    "mocov2": (_V2, _V2),
    "byol": (_BYOL.replace({"blur": 1.0}), _BYOL.replace({"blur": 0.1, "solarize": 0.2})),
    "byol-bicubic": tuple(  # type: ignore[dict-item]
        _BYOL.replace({"resize": "bicubic", **own}) for own in ({"blur": 1.0}, {"blur": 0.1, "solarize": 0.2})
    ),
    "revisitairl": (_AIRL.replace({"blur": 1.0}), _AIRL.replace({"blur": 0.1, "solarize": 0.2})),
    "mocov3": (_V3.replace({"blur": 1.0}), _V3.replace({"blur": 0.1, "solarize": 0.2})),
    "simclr": (_SIMCLR, _SIMCLR),
    "swav": (_SWAV, _SWAV),
    "supcon": (_SUPCON, _SUPCON),
    # Huang et al. 2022 (megvii-research/revisitAIRL), supplement, table 1: one pipeline for both views.
    "byol-symmetric": (_BYOL.replace({"solarize": 0.2}),) * 2,
}
"""Base pipelines by name: that of the query and that of the key."""


def pair(name: str) -> tuple[Pipeline, Pipeline]:
    """Find the pair of base pipelines of that name.

    Raises:
        ConfigError: For an unknown name, with the nearest known one.
    """
    if name not in PIPELINES:
        raise ConfigError.unknown("pipeline", name, PIPELINES)
    return PIPELINES[name]
