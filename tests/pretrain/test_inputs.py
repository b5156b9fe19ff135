"""What the encoders see: which pipeline and which augmentation each view gets."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pretrain.augment import AUGMENTATIONS
from pretrain.augment.compose import alike
from pretrain.augment.guide import Guide
from pretrain.augment.mixed import Mixed
from pretrain.config import PretrainConfig
from pretrain.images.crops import Crop
from pretrain.images.imageset import ImageSet
from pretrain.images.labels import UNLABELLED
from pretrain.images.stores.folders import Files
from pretrain.inputs import Inputs, crops, denormalised, generator, normalised

BATCH = torch.randint(0, 256, (2, 32, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(32) % 4
BLENDS = [name for name, listed in AUGMENTATIONS.items() if listed.kind == "blend" and name != "snapmix"]
OFF = {"jitter": 0, "grey": 0, "blur": 0, "flip": 0}


def answers(clean: tuple[torch.Tensor, ...]) -> list[Guide]:
    """What a network may say of the views: another thing of each image."""
    return [Guide(view, {"saliency": view.abs().mean(dim=1) ** 8}) for view in clean]


def inputs(**fields: object) -> Inputs:
    return Inputs.of(PretrainConfig.read({"pipeline_options": OFF, **fields}))


def made(crops: torch.Tensor, **fields: object) -> tuple[tuple[Mixed, ...], tuple[torch.Tensor, ...]]:
    """The views of a step after the augmentation, and before it."""
    views, clean, _ = inputs(**fields)(crops, LABELS, generator(0, 0))
    return views, clean


def erased(seen: torch.Tensor, crops: torch.Tensor) -> torch.Tensor:
    return (seen != normalised(crops.float() / 255)).any(dim=1)


def test_the_query_has_the_first_pipeline_and_the_key_the_second() -> None:
    (query, key), _ = made(BATCH, key_pipeline_options={"solarize": 1})
    torch.testing.assert_close(denormalised(query.images), BATCH[0].float() / 255)
    bright = BATCH[1] >= 128
    torch.testing.assert_close(denormalised(key.images), torch.where(bright, 255 - BATCH[1], BATCH[1]).float() / 255)


def test_each_view_is_cropped_by_its_own_pipeline() -> None:
    config = PretrainConfig.read({"size": 32, "key_pipeline_options": {"crop_scale": [0.5, 0.6], "crop_ratio": [1, 1]}})
    cuts = crops(config, ImageSet(Path(), (), (), (), Files(Path(), ())), []).crops
    assert cuts == [Crop(32, (0.2, 1.0)), Crop(32, (0.5, 0.6), (1, 1))]


def test_all_views_of_a_method_come_out_in_its_order() -> None:
    config = PretrainConfig.read({"aug": "cutout", "pipeline_options": OFF})
    query, key = config.views()
    several = replace(Inputs.of(config), views=(query, key, replace(query, size=8), key))
    crops = [BATCH[0], BATCH[1], BATCH[0][:, :, :8, :8], BATCH[1]]
    views, clean, _ = several(crops, LABELS, generator(0, 0))
    assert [tuple(view.images.shape[1:]) for view in views] == [(3, 16, 16), (3, 16, 16), (3, 8, 8), (3, 16, 16)]
    masked = [bool(erased(view.images, crop).any()) for view, crop in zip(views, crops, strict=True)]
    assert masked == [True, False, True, False]
    assert all(torch.equal(one, normalised(crop.float() / 255)) for one, crop in zip(clean, crops, strict=True))


def test_a_method_of_one_view_has_no_key() -> None:
    (query,), _ = made(BATCH[:1], method="supervised")
    assert torch.equal(query.images, normalised(BATCH[0].float() / 255))


@pytest.mark.parametrize("name", ["cutout", "random-erasing"])
def test_masking_applies_to_the_query_alone_or_to_both_views_with_draws_of_their_own(name: str) -> None:
    (query, key), _ = made(BATCH, aug=name)
    (both_query, both_key), _ = made(BATCH, aug=name, aug_views="both")
    assert torch.equal(both_query.images, query.images)
    assert not erased(key.images, BATCH[1]).any()
    masks = erased(both_query.images, BATCH[0]), erased(both_key.images, BATCH[1])
    assert all(0.05 < float(mask.float().mean()) < 0.5 for mask in masks)
    same = (masks[0] == masks[1]).flatten(1).all(dim=1)
    assert float(same.float().mean()) < 0.5  # random erasing leaves some images whole in both views


@pytest.mark.parametrize("name", BLENDS)
def test_a_blend_on_both_views_is_the_same_blend(name: str) -> None:
    (query, key), clean = made(BATCH[[0, 0]], aug=name, aug_views="both")
    assert query.sources is None  # its own key holds the same blend and is all of its target
    assert torch.equal(query.images, key.images)
    assert not torch.equal(query.images, clean[0])


@pytest.mark.parametrize(
    ("aug", "composition"), [("cutmix+cutout", "draw"), ("cutout+mixup", "draw"), ("cutmix+cutout", "turn")]
)
def test_in_a_composition_on_both_views_the_blend_is_one_and_the_masks_are_drawn_apart(aug: str, composition: str) -> None:
    """Bright images, and erased pixels that are their mean: what is erased is 0 and nothing else is."""
    fields = {"aug": aug, "aug_composition": composition, "aug_views": "both"}
    bright = torch.full((32, 3, 16, 16), 3.0) + torch.rand(32, 3, 1, 1)
    augmentation = PretrainConfig.read(fields).augmentation()
    first, second = alike(augmentation, [bright, bright], generator(0, 0))
    assert first.sources is not None
    assert torch.equal(first.sources, second.sources)
    assert torch.equal(first.weights, second.weights)
    masks = [(view.images < 1).any(dim=1) for view in (first, second)]
    masked = [mask.flatten(1).any(dim=1) for mask in masks]
    assert torch.equal(*masked)  # every image draws the same augmentation in both views
    assert 8 < int(masked[0].sum()) <= 32
    same = (masks[0] == masks[1]).flatten(1).all(dim=1)[masked[0]]
    assert float(same.float().mean()) < 0.1
    if composition == "draw":
        assert torch.equal(first.images[~masked[0]], second.images[~masked[0]])


@pytest.mark.parametrize("name", BLENDS)
def test_a_blend_on_both_views_has_no_label_and_what_was_not_blended_keeps_its_own(name: str) -> None:
    make = inputs(aug=name, aug_views="both")
    _, _, labels = make(BATCH, LABELS, generator(0, 0), answers)
    views, _ = make.made(BATCH, generator(0, 0), answers)
    own = (views[0].sources[:, 1] == torch.arange(32)) | (views[0].weights[:, 1] == 0)
    assert torch.equal(labels == UNLABELLED, ~own)
    assert torch.equal(labels[own], LABELS[own])
    kept = inputs(aug=f"none+{name}", aug_views="both")(BATCH, LABELS, generator(0, 0), answers)[2] == LABELS
    assert 8 < int(kept.sum()) < 24


@pytest.mark.parametrize("fields", [{"aug": "cutmix"}, {"aug": "cutout", "aug_views": "both"}, {}])
def test_elsewhere_every_image_keeps_its_label(fields: dict[str, object]) -> None:
    assert torch.equal(inputs(**fields)(BATCH, LABELS, generator(0, 0))[2], LABELS)


def test_the_view_before_the_augmentation_is_the_pipelines() -> None:
    (query, _), (clean, _) = made(BATCH, aug="cutout")
    assert torch.equal(clean, normalised(BATCH[0].float() / 255))
    kept = ~erased(query.images, BATCH[0])[:, None].expand_as(clean)
    assert torch.equal(query.images[kept], clean[kept])


def test_normalised_images_are_channels_last_and_come_back() -> None:
    images = BATCH[0].float() / 255
    assert normalised(images).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(denormalised(normalised(images)), images)


def test_each_step_of_each_process_has_its_own_generator_and_the_same_one_again() -> None:
    wanted = ((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (0, 0, 0))
    draws = [float(torch.rand(1, generator=generator(seed, step, rank=rank))) for seed, step, rank in wanted]
    assert len(set(draws)) == 4
    assert draws[0] == draws[4]
