"""The detection protocols, and how the command line's shortcuts change them."""

import pytest

from pretrain.errors import ConfigError
from transfer import tasks
from transfer.tasks.detection import DetectionSettings

NAMES = ("voc07", "voc0712", "coco-c4")

PUBLISHED = {
    # iterations, decays, warm-up, short sides, masks
    "voc07": (9000, (6750, 8250), 100, (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800), False),
    "voc0712": (24000, (18000, 22000), 100, (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800), False),
    "coco-c4": (180000, (120000, 160000), 1000, (640, 672, 704, 736, 768, 800), True),
}


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
    assert (found.pre_nms_train, found.post_nms_train, found.pre_nms_test, found.post_nms_test) == (12000, 2000, 6000, 1000)
    assert (found.precise_bn, found.score_threshold, found.detections_per_image) == (200, 0.05, 100)


@pytest.mark.parametrize("name", NAMES)
def test_the_small_budget_is_valid_and_marks_the_record(name: str) -> None:
    task = tasks.get(name)
    small = task.settings.replace(dict(task.small))
    assert "iters" in small.differences(task.settings)
    assert task.settings.differences(task.settings) == {}


def test_workers_do_not_make_another_protocol() -> None:
    found = settings("voc07")
    assert found.replace({"num_workers": 0}).differences(found) == {}


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
    ],
)
def test_contradictions_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings("voc07").replace(changes)
