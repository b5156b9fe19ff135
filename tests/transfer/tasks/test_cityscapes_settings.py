import pytest

from pretrain.core.errors import ConfigError
from transfer.tasks.cityscapes import CITYSCAPES
from transfer.tasks.cityscapes_deeplabv3 import CITYSCAPES_DEEPLABV3
from transfer.tasks.segmentation import FCNSettings, SegmentationSettings


def test_the_defaults_are_the_published_protocol() -> None:
    settings = CITYSCAPES.settings
    assert isinstance(settings, SegmentationSettings)
    assert (settings.iters, settings.batch, settings.lr, settings.weight_decay) == (90_000, 16, 0.01, 1e-4)
    assert (settings.crop, settings.scale, settings.short_side) == (769, (0.5, 2.0), None)
    assert (settings.head_channels, settings.head_dilation) == (256, 6)
    assert settings.steps == (63_000, 81_000)
    assert settings.schedule() == "90000 iterations of 16 images, learning rate 0.01, x0.1 at [63000, 81000]"


def test_deeplabs_settings_are_those_of_its_code() -> None:
    settings = CITYSCAPES_DEEPLABV3.settings
    assert isinstance(settings, SegmentationSettings)
    assert (settings.iters, settings.batch, settings.lr, settings.weight_decay) == (90_000, 16, 0.01, 1e-4)
    assert (settings.crop_size, settings.short_side) == ((512, 1024), None)
    assert settings.scales == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
    assert settings.last_dilations == (2, 4, 8)
    assert (settings.hard_pixels, settings.norm_decay, settings.precise_bn) == (0.2, False, 200)
    assert settings.schedule() == "90000 iterations of 16 images, learning rate 0.01, to 0, power 0.9"
    assert settings.with_precise_bn(20).differences(settings) == {"precise_bn": 20}


def test_another_length_keeps_the_shares_of_the_milestones() -> None:
    shorter = FCNSettings(warmup_iters=1000).with_iters(200)
    assert (shorter.iters, shorter.steps, shorter.warmup_iters) == (200, (140, 180), 20)
    assert FCNSettings().with_iters(0).steps == (0, 0)
    with pytest.raises(ConfigError, match="in 200 iterations: its warm-up takes 1000"):
        FCNSettings(warmup_iters=1000).replace({"iters": 200})


def test_the_learning_rate_is_scaled_with_the_batch() -> None:
    halved = FCNSettings().with_batch(8)
    assert (halved.batch, halved.lr) == (8, 0.005)


def test_the_crop_keeps_its_share_of_the_short_side() -> None:
    half = CITYSCAPES.settings.with_size(512)
    assert (half.short_side, half.crop) == (512, 384)
    assert half.with_size(1024).crop == 768


def test_the_small_budget_changes_the_protocol_and_worker_processes_do_not() -> None:
    published = CITYSCAPES.settings
    assert published.replace({"num_workers": 0, "checkpoint_every": 7}).differences(published) == {}
    small = published.replace(dict(CITYSCAPES.small))
    assert small.differences(published).keys() == CITYSCAPES.small.keys() - {"num_workers"}


@pytest.mark.parametrize("wrong", [{"milestones": [0.9, 0.7]}, {"milestones": [63000]}, {"scale": [2.0, 0.5]}, {"batch": 0}])
def test_a_setting_out_of_range_is_refused_with_its_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        FCNSettings().replace(wrong)


def test_a_size_without_a_short_side_to_scale_from_is_refused() -> None:
    with pytest.raises(ConfigError, match="--size can't scale the crop"):
        FCNSettings().with_size(512)


def test_a_family_has_no_settings_of_the_other() -> None:
    with pytest.raises(ConfigError, match="head_convs"):
        CITYSCAPES_DEEPLABV3.settings.replace({"head_convs": 3})
    with pytest.raises(ConfigError, match="family"):
        CITYSCAPES.settings.replace({"family": "deeplabv3"})
