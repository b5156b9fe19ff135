"""The detection protocols, and how the command line's shortcuts change them."""

from typing import Any

import pytest

from pretrain.core.errors import ConfigError
from transfer import tasks
from transfer.tasks.detection import DetectionSettings

NAMES = ("voc07", "voc0712", "coco-c4", "coco-c4@1x", "coco-fpn", "coco-fpn@2x")

PUBLISHED = {
    # iterations, decays, warm-up, short sides, masks
    "voc07": (9000, (6750, 8250), 100, (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800), False),
    "voc0712": (24000, (18000, 22000), 100, (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800), False),
    "coco-c4": (180000, (120000, 160000), 1000, (640, 672, 704, 736, 768, 800), True),
    "coco-c4@1x": (90000, (60000, 80000), 1000, (640, 672, 704, 736, 768, 800), True),
    "coco-fpn": (90000, (60000, 80000), 1000, (640, 672, 704, 736, 768, 800), True),
    "coco-fpn@2x": (180000, (120000, 160000), 1000, (640, 672, 704, 736, 768, 800), True),
}
PROPOSALS = {"c4": (12000, 2000, 6000, 1000), "fpn": (2000, 1000, 1000, 1000)}
"""Before and after non-maximum suppression, training and test."""


def settings(name: str) -> DetectionSettings:
    found = tasks.get(name).settings
    assert isinstance(found, DetectionSettings)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_protocols_are_the_published_ones(name: str) -> None:
    found = settings(name)
    assert (found.iters, found.steps, found.warmup, found.min_sizes, found.masks) == PUBLISHED[name]
    assert (found.batch, found.lr, found.momentum, found.weight_decay, found.gamma) == (16, 0.02, 0.9, 1e-4, 0.1)
    assert (found.test_size, found.max_size, found.rois, found.rpn_batch) == (800, 1333, 512, 256)
    proposals = (found.pre_nms_train, found.post_nms_train, found.pre_nms_test, found.post_nms_test)
    assert proposals == PROPOSALS[found.family]
    assert (found.family, found.roi_resolution) == (("fpn", 7) if name.startswith("coco-fpn") else ("c4", 14))
    assert (found.precise_bn, found.score_threshold, found.detections_per_image) == (200, 0.05, 100)


@pytest.mark.parametrize("name", NAMES)
def test_the_small_budget_is_valid_and_marks_the_record(name: str) -> None:
    task = tasks.get(name)
    for budget in (task.small, task.generated):
        assert budget is not None
        assert "iters" in task.settings.replace(dict(budget)).differences(task.settings)
    assert task.settings.differences(task.settings) == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iters": 80}, r"in 80 iterations: it drops at \[18000, 22000\] and its warm-up takes 100; --iters"),
        ({"iters": 20_000}, r"in 20000 iterations: it drops at \[18000, 22000\]; --iters"),
        ({"iters": 50, "steps": []}, "in 50 iterations: its warm-up takes 100; --iters"),
    ],
)
def test_a_length_changed_alone_is_refused_where_the_learning_rate_would_not_fall(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings("voc0712").replace(changes)
    assert settings("voc0712").with_iters(80).steps == (60, 73)
    assert settings("voc0712").replace({"iters": 0}).iters == 0


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("coco-c4", "coco-c4@2x"), ("coco-fpn", "coco-fpn@1x"), ("coco-c4@1x", "coco-c4@1x"), ("voc07", "voc07")],
)
def test_a_protocols_name_says_its_schedule(name: str, protocol: str) -> None:
    assert tasks.get(name).protocol == protocol
    assert tasks.get(protocol).settings == tasks.get(name).settings


def test_the_schedule_may_stand_beside_the_name() -> None:
    assert tasks.get("coco-c4", "1x").protocol == tasks.get("coco-c4@1x", "1x").protocol == "coco-c4@1x"
    assert tasks.get("coco-c4", "1x").settings.differences(tasks.get("coco-c4").settings).keys() == {"iters", "steps"}


@pytest.mark.parametrize(
    ("name", "schedule", "words"),
    [
        ("coco-c4@3x", None, "coco-c4 has no schedule '3x'\n  allowed: 1x, 2x"),
        ("voc07", "1x", "voc07 has one schedule"),
        ("coco-fpn@1x", "2x", "two schedules at once"),
        ("coco-fnp@1x", None, "did you mean 'coco-fpn'"),
    ],
)
def test_a_schedule_that_is_not_published_is_refused(name: str, schedule: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        tasks.get(name, schedule)


@pytest.mark.parametrize("change", [{"num_workers": 0}, {"checkpoint_seconds": 0}])
def test_workers_and_checkpoints_do_not_make_another_protocol(change: dict[str, object]) -> None:
    found = settings("voc07")
    assert found.replace(change).differences(found) == {}


def test_a_shorter_schedule_keeps_its_proportions() -> None:
    short = settings("voc0712").with_iters(2400)
    assert (short.iters, short.steps, short.warmup) == (2400, (1800, 2200), 100)
    shorter = settings("voc0712").with_iters(240)
    assert (shorter.steps, shorter.warmup) == ((180, 220), 24)
    assert settings("voc0712").with_iters(0).steps == (0, 0)


def test_the_learning_rate_follows_the_batch() -> None:
    found = settings("voc0712").with_batch(4)
    assert (found.batch, found.lr) == (4, pytest.approx(0.005))
    assert found.with_batch(16).lr == pytest.approx(0.02)


def test_the_size_is_that_of_training_and_test() -> None:
    found = settings("coco-c4").with_size(320)
    assert (found.min_sizes, found.test_size, found.max_size) == ((320,), 320, 1333)
    assert settings("coco-c4").with_size(2000).max_size == 2000


def test_regions_and_statistics_have_their_shortcuts() -> None:
    found = settings("coco-c4").with_rois(64).with_precise_bn(0)
    assert (found.rois, found.precise_bn) == (64, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": (5, 3)}, "steps must increase"),
        ({"max_size": 700}, "max_size 700"),
        ({"batch": 0}, "batch"),
        ({"min_sizes": ()}, "min_sizes"),
        ({"family": "fpn"}, "family"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings("voc07").replace(changes)


def test_a_pyramid_has_an_anchor_size_for_each_of_its_maps() -> None:
    with pytest.raises(ConfigError, match="5 maps, got 2"):
        settings("coco-fpn").replace({"anchor_sizes": (32, 64)})


def test_the_task_of_boxes_is_coco_c4_without_masks_and_a_protocol_of_its_own() -> None:
    whole, boxes = tasks.get("coco-c4"), tasks.get("coco-c4-box")
    assert boxes.settings.differences(whole.settings) == {"masks": False}
    assert boxes.metrics == ("AP_box", "AP50_box", "AP75_box")
    assert (boxes.protocol, boxes.published) == ("coco-c4-box@2x", ())
    assert tasks.get("coco-c4-box@1x").settings.differences(tasks.get("coco-c4@1x").settings) == {"masks": False}
