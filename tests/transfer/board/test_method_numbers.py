"""Published numbers of a method: which printed names are its own, and how they are put."""

import pytest

from bench import places
from pretrain import methods
from transfer.board.method_numbers import is_called, of_method
from transfer.board.published_numbers import Number, read


def _number(method: str, epochs: str, metric: str, value: float, **of: str) -> Number:
    pretraining = (method, of.get("aug", "std"), "self", "0.0", "ResNet-50", "ImageNet-1K", epochs)
    return Number(pretraining, of.get("task", "probe"), metric, value, of.get("source", "paper"))


@pytest.mark.parametrize(
    ("printed", "called", "same"),
    [
        ("MoCo v2", "MoCo v2", True), ("MoCo V2 (VISSL)", "MoCo v2", True), ("MoCo v2+", "MoCo v2", False),
        ("MoCo v2 + Un-Mix", "MoCo v2", False), ("MoCo V2+ (no predictor)", "MoCo v2+", True), ("BYOL-SGD", "BYOL", False),
        ("BYOL bs4096 LARS", "BYOL", True), ("DINO + predictor", "DINO", False), ("SimSiam", "SimCLR", False),
    ],
)  # fmt: skip
def test_other_words_may_follow_a_name_and_a_plus_makes_it_another(printed: str, called: str, same: bool) -> None:
    assert is_called(printed, called) is same


def test_the_numbers_of_one_source_under_one_protocol_are_one_line() -> None:
    numbers = [
        _number("DINO", "100", "AP", 1.0), _number("DINO", "100", "AP50", 2.5), _number("DINO", "", "AP", 3.0),
        _number("DINO", "100", "AP", 4.0, aug="std + cutmix"), _number("DINO", "100", "AP", 5.0, source="code"),
    ]  # fmt: skip
    assert list(of_method("DINO", numbers)) == [
        ("probe", "100 epochs AP 1, AP50 2.5; AP 3 (DINO, std, ResNet-50, ImageNet-1K; paper)"),
        ("probe", "100 epochs AP 5 (DINO, std, ResNet-50, ImageNet-1K; code)"),
    ]


@pytest.mark.parametrize("name", methods.METHODS)
def test_there_are_published_numbers_to_expect_of_every_method(name: str) -> None:
    assert list(of_method(methods.get(name).called, read(places.published())))
