"""What a backbone's file says of its run: what differs from the published recipe, field by field, in two parts."""

from typing import Any

import pytest

from pretrain import describe
from pretrain.config import PretrainConfig
from pretrain.methods import Statistics
from pretrain.provenance import Provenance


def provenance(processes: int = 1, **fields: Any) -> Provenance:
    config = PretrainConfig.read({"precision": "fp32", **fields})
    return describe.provenance(config, data="ants", fingerprint="f", labelled=0.0, processes=processes)


def test_the_version_of_the_method_is_said() -> None:
    assert provenance(method="supervised").method_version == PretrainConfig.published("supervised").method.version


def test_the_published_run_on_eight_processes_differs_in_nothing() -> None:
    found = provenance(processes=8)
    assert (found.augmentation, found.changed) == ({}, {})
    assert provenance(bn_splits=8).changed == {}  # the same statistics in one process
    assert provenance(processes=2, bn_splits=4).changed == {}


@pytest.mark.parametrize(
    ("processes", "fields", "said"),
    [
        (1, {}, "256 images, whole batch"),
        (4, {}, "64 images, shuffled parts"),
        (8, {"sync_bn": True}, "256 images, synchronised"),
        (1, {"method": "supervised"}, "256 images, whole batch"),
        (2, {"method": "supervised"}, "128 images, parts"),
    ],
)
def test_batch_statistics_of_other_images_are_a_difference(processes: int, fields: dict[str, Any], said: str) -> None:
    assert provenance(processes, **fields).changed == {"batch_statistics": said}


def test_one_process_sees_what_several_synchronise_over() -> None:
    assert Statistics(512, "whole batch").same(Statistics(512, "synchronised"))
    assert not Statistics(512, "whole batch").same(Statistics(256, "synchronised"))
    assert not Statistics(32, "parts").same(Statistics(32, "shuffled parts"))


def test_a_gradient_that_several_processes_divide_is_a_difference() -> None:
    assert provenance(4, method="barlowtwins").changed["gradient"] == "1/4 of one process's"
    assert "gradient" not in provenance(1, method="barlowtwins").changed
    assert provenance(4, method="barlowtwins", gradient="exact").changed.keys() == {"method.gradient", "batch_statistics"}


def test_a_mean_over_each_processs_labelled_images_is_a_difference() -> None:
    config = PretrainConfig.read({"method": "supervised", "supervision": "semi"})
    found = [
        describe.provenance(config, data="ants", fingerprint="f", labelled=0.5, processes=processes).changed.get("loss")
        for processes in (1, 2)
    ]
    assert found == [None, "the mean of each process's labelled images"]


def test_what_is_the_augmentations_own_stands_apart_from_the_rest() -> None:
    found = provenance(
        aug="cutmix", aug_options={"alpha": 0.5}, aug_views="both", mixed_target="none", temperature=0.1, size=64, bn_splits=8
    )
    assert found.augmentation == {"aug_options": {"alpha": 0.5}, "aug_views": "both", "method.mixed_target": "none"}
    assert found.changed == {"method.temperature": 0.1, "size": 64}


def test_what_has_a_field_of_its_own_is_in_neither_part() -> None:
    found = provenance(bn_splits=8, arch="resnet18", epochs=3, seed=4, supervision="full", aug="mixup")
    assert (found.augmentation, found.changed) == ({}, {})
    assert (found.arch, found.epochs, found.seed, found.supervision, found.aug) == ("resnet18", 3, 4, "full", "mixup")


def test_rounding_is_a_difference_from_the_published_run() -> None:
    assert provenance(bn_splits=8, precision="bf16").changed == {"precision": "bf16"}


def test_a_vision_transformer_has_no_batch_statistics_to_differ() -> None:
    assert provenance(arch="vit_small").changed == {}
