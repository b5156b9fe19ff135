"""What every augmentation promises, and what each one is by its paper's definition."""

import pytest
import torch

from pretrain import augment
from pretrain.augment.blend import Blend
from pretrain.augment.compose import guided
from pretrain.augment.guide import Guide
from pretrain.augment.mixed import Augmentation, Mixed
from pretrain.config import PretrainConfig
from pretrain.core.errors import ConfigError

IMAGES = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def rng(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def asked(name: str, images: torch.Tensor, **how: object) -> Augmentation:
    """The augmentation; one that asks the network gets an answer that differs from image to image."""
    maps = torch.rand(images[:, 0].shape, generator=torch.Generator().manual_seed(2)) ** 8
    answers = dict.fromkeys(augment.asked(name), maps)
    return guided(augment.make(name, **how), Guide(images, answers))


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_an_augmentation_is_a_pure_function_of_images_and_generator(name: str) -> None:
    before = IMAGES.clone()
    first, second = (asked(name, IMAGES)(IMAGES, rng()) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(IMAGES, before)
    assert first.images.shape == IMAGES.shape


@pytest.mark.parametrize("name", [name for name in augment.AUGMENTATIONS if name != "none"])
def test_images_of_a_batch_draw_their_own_parameters(name: str) -> None:
    same = IMAGES[:1].expand(64, -1, -1, -1).clone()
    same[1::2] += 1  # partners must differ for mixing to show
    changed = (asked(name, same)(same, rng()).images - same).abs().flatten(1).sum(dim=1)
    assert changed.unique().numel() > 8


def test_unknown_augmentations_and_options_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cutmix'"):
        augment.make("cutmx")
    with pytest.raises(ConfigError, match="did you mean 'alpha'"):
        augment.make("mixup", {"alpa": 1})


def partner_and_weight(mixed: Mixed) -> tuple[torch.Tensor, torch.Tensor]:
    assert mixed.sources is not None
    assert mixed.weights is not None
    assert torch.equal(mixed.sources[:, 0], torch.arange(len(mixed.images)))
    torch.testing.assert_close(mixed.weights.sum(dim=1), torch.ones(len(mixed.images)))
    return mixed.sources[:, 1], mixed.weights[:, 0]


def test_cutmix_weight_is_the_share_of_pixels_that_stayed() -> None:
    mixed = augment.make("cutmix")(IMAGES, rng())
    partner, weight = partner_and_weight(mixed)
    for i in range(len(IMAGES)):
        own = (mixed.images[i] == IMAGES[i]).all(dim=0)
        pasted = (mixed.images[i] == IMAGES[partner[i]]).all(dim=0)
        assert (own | pasted).all()
        if partner[i] != i:
            assert float(weight[i]) == pytest.approx(float(own.float().mean()))


def test_a_cutmix_box_is_one_rectangle() -> None:
    mixed = augment.make("cutmix")(IMAGES, rng())
    for image, original in zip(mixed.images, IMAGES, strict=True):
        pasted = (image != original).any(dim=0)
        rows, columns = pasted.any(dim=1).nonzero(), pasted.any(dim=0).nonzero()
        assert int(pasted.sum()) == len(rows) * len(columns)


def test_cutmix_with_probability_zero_keeps_every_image() -> None:
    mixed = augment.make("cutmix", {"probability": 0})(IMAGES, rng())
    assert torch.equal(mixed.images, IMAGES)
    assert torch.equal(partner_and_weight(mixed)[1], torch.ones(64))


def test_mixup_is_the_weighted_sum() -> None:
    mixed = augment.make("mixup")(IMAGES, rng())
    partner, weight = partner_and_weight(mixed)
    for i in range(len(IMAGES)):
        expected = weight[i] * IMAGES[i] + (1 - weight[i]) * IMAGES[partner[i]]
        torch.testing.assert_close(mixed.images[i], expected)


BLENDS = [name for name, listed in augment.AUGMENTATIONS.items() if listed.kind == "blend" and name != "snapmix"]
"""Those whose weights add up to 1: SnapMix's are of one method alone, which folds no shares."""


@pytest.mark.parametrize("name", BLENDS)
def test_the_target_decides_whether_an_image_keeps_at_least_half_of_its_blend(name: str) -> None:
    """i-Mix's code takes max(λ, 1 − λ) for CutMix and MixUp alike; Un-Mix's and the augmentations' own take λ.

    Where λ is uniform it is below a half for half of the images; where a box bounds it, for fewer.
    """
    images = torch.zeros(512, 1, 16, 16)
    folded, plain = (partner_and_weight(asked(name, images, folded=fold)(images, rng()))[1] for fold in (True, False))
    assert float(folded.min()) >= 0.5
    below = float((plain < 0.5).float().mean())
    assert 0.02 < below < 0.6
    assert bool((folded >= plain).all())
    assert 0.3 < float((folded == plain).float().mean()) <= 1 - below
    assert isinstance(augment.make(name), Blend)
    in_turn = asked(f"none+{name}", images, composition="turn", folded=True)(images, rng())
    assert torch.equal(partner_and_weight(in_turn)[1], folded)


@pytest.mark.parametrize(
    ("fields", "folds"),
    [
        ({}, True),
        ({"mixed_target": "un-mix"}, False),
        ({"mixed_target": "none"}, False),
        ({"method": "mocov1"}, True),
        ({"method": "supervised"}, False),
    ],
)
@pytest.mark.parametrize("name", BLENDS)
def test_a_run_folds_shares_where_its_target_is_i_mix(name: str, fields: dict[str, object], folds: bool) -> None:
    said = {"mixed_target": "i-mix"} if folds and augment.asked(name) else {}  # whose own target is another one
    config = PretrainConfig.read({"aug": name, **said, **fields})
    weight = partner_and_weight(config.augmentation()(torch.zeros(256, 1, 16, 16), rng()))[1]
    assert (float(weight.min()) >= 0.5) == folds


def test_partners_are_a_permutation() -> None:
    mixed = augment.make("mixup")(IMAGES, rng())
    assert sorted(partner_and_weight(mixed)[0].tolist()) == list(range(64))


def test_cutout_blanks_a_square_of_its_side_clipped_at_the_border() -> None:
    images = augment.make("cutout", {"side": 0.5})(IMAGES, rng()).images
    areas = {int((image == 0).all(dim=0).sum()) for image in images}
    assert max(areas) == 8 * 8
    assert min(areas) < 8 * 8


def test_random_erasing_erases_half_the_images_within_its_limits() -> None:
    images = torch.ones(2000, 3, 32, 32)
    erased = (augment.make("random-erasing")(images, rng()).images == 0).all(dim=1).flatten(1).float().mean(dim=1)
    hit = erased[erased > 0]
    assert 0.46 < len(hit) / 2000 < 0.54
    assert float(hit.min()) > 0.01
    assert float(hit.max()) < 0.45


@pytest.mark.parametrize("name", ["cutout", "random-erasing"])
def test_every_fill_erases_the_same_pixels_and_gives_them_its_colour(name: str) -> None:
    images = IMAGES + 3  # so that neither 0 nor noise is near a pixel's own value
    by_fill = {fill: augment.make(name, {"fill": fill})(images, rng()).images for fill in ("zero", "mean", "noise")}
    erased = (by_fill["zero"] == 0).all(dim=1, keepdim=True)
    assert 0.02 < float(erased.float().mean()) < 0.5
    for changed in by_fill.values():
        assert torch.equal((changed != images).any(dim=1, keepdim=True), erased)
    for i, image in enumerate(images):
        own = image.mean(dim=(1, 2))
        for channel in range(3):
            torch.testing.assert_close(
                by_fill["mean"][i, channel][erased[i, 0]], own[channel].expand(int(erased[i].sum())), rtol=0, atol=1e-5
            )
    noise = by_fill["noise"][erased.expand_as(images)]
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
    assert noise.unique().numel() > 0.99 * noise.numel()  # per pixel and channel


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("random-erasing", {"probability": 1.5}, "probability"),
        ("random-erasing", {"area": [0.4, 0.02]}, "lower bound first"),
        ("random-erasing", {"area": [0, 0.4]}, "area"),
        ("random-erasing", {"ratio": [-1, 2]}, "ratio"),
        ("random-erasing", {"fill": "black"}, "fill"),
        ("cutout", {"side": 0}, "side"),
        ("cutout", {"fill": "black"}, "'zero', 'mean' or 'noise'"),
        ("mixup", {"folded": True}, "unknown key"),
        ("resizemix", {"side": [0.8, 0.1]}, "lower bound first"),
        ("resizemix", {"alpha": 1}, "unknown key"),
        ("fmix", {"decay": -1}, "decay"),
        ("gridmix", {"holes": [0, 3]}, "holes"),
    ],
)
def test_options_out_of_range_are_refused_by_name(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        augment.make(name, options)


@pytest.mark.parametrize(("name", "listed"), augment.AUGMENTATIONS.items())
def test_an_augmentation_is_listed_as_what_it_does(name: str, listed: augment.Listed) -> None:
    mixed = asked(name, IMAGES)(IMAGES, rng())
    changed = not torch.equal(mixed.images, IMAGES)
    blended = mixed.sources is not None
    assert (changed, blended) == {"none": (False, False), "mask": (True, False), "blend": (True, True)}[listed.kind]
