"""Compositions of augmentations against what their parts say they did."""

import pytest
import torch

from pretrain import augment
from pretrain.core.errors import ConfigError

IMAGES = torch.rand(48, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def rng(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mixup_after_mixup_is_the_weighted_sum_of_all_its_sources() -> None:
    mixed = augment.make("mixup+mixup", composition="turn")(IMAGES, rng())
    assert mixed.sources is not None
    assert mixed.weights is not None
    assert mixed.sources.shape == (48, 4)
    for i in range(48):
        terms = zip(mixed.sources[i].tolist(), mixed.weights[i].tolist(), strict=True)
        torch.testing.assert_close(mixed.images[i], torch.stack([w * IMAGES[s] for s, w in terms]).sum(dim=0))


def test_drawing_gives_each_image_one_part_and_both_parts_their_turn() -> None:
    mixed = augment.make("cutmix+mixup")(IMAGES, rng())
    assert mixed.sources is not None
    assert mixed.weights is not None
    pasted = 0
    for i in range(48):
        partner, weight = int(mixed.sources[i, 1]), float(mixed.weights[i, 0])
        own, other = mixed.images[i] == IMAGES[i], mixed.images[i] == IMAGES[partner]
        if bool((own | other).all()):
            pasted += 1
        else:
            torch.testing.assert_close(mixed.images[i], weight * IMAGES[i] + (1 - weight) * IMAGES[partner])
    assert 12 < pasted < 36


def test_where_no_blend_was_drawn_the_image_is_all_of_its_target() -> None:
    mixed = augment.make("none+mixup")(IMAGES, rng())
    assert mixed.sources is not None
    assert mixed.weights is not None
    plain = (mixed.images == IMAGES).flatten(1).all(dim=1) & (mixed.weights[:, 0] == 1)
    assert 12 < int(plain.sum()) < 36
    assert torch.equal(mixed.sources[plain][:, 0], torch.arange(48)[plain])
    assert float(mixed.weights[~plain][:, 0].max()) < 1


def test_a_mask_in_turn_with_a_blend_leaves_the_shares_alone() -> None:
    mixed = augment.make("mixup+cutout", {"cutout": {"side": 0.25}}, composition="turn")(IMAGES, rng())
    blend = augment.make("mixup")(IMAGES, rng())
    assert mixed.sources is not None
    assert torch.equal(mixed.sources, blend.sources)
    assert torch.equal(mixed.weights, blend.weights)
    masked = (mixed.images == 0).all(dim=1)
    assert int(masked.flatten(1).sum(dim=1).max()) == 16


def test_wrong_parts_and_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mixup'"):
        augment.make("cutmix+mixp")
    with pytest.raises(ConfigError, match="did you mean 'cutmix'"):
        augment.make("cutmix+mixup", {"cutmx": {"alpha": 1}})
    with pytest.raises(ConfigError, match="no mapping"):
        augment.make("cutmix+mixup", {"cutmix": 1})
