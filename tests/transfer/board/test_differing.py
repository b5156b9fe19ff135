"""The words in which rows differ: of nested settings the leaves alone."""

from typing import Any

import pytest

from pretrain.config import PretrainConfig
from transfer.board.differing import differing

GROUP = {"match": "vectors", "weight_decay": 0.0, "lr_factor": 1.0, "lr_fixed": False}
OTHER = {"match": "matrices", "lr_factor": 0.5}


@pytest.mark.parametrize(
    ("mine", "other", "words"),
    [
        ({"recipe.batch": 64}, {}, ["recipe.batch 64"]),
        ({}, {"recipe.batch": 64}, ["recipe.batch as published"]),
        ({"sync": True}, {"sync": False}, ["sync true"]),
        ({"betas": [0.9, 0.95]}, {"betas": [0.9, 0.999]}, ["betas [0.9, 0.95]"]),
        ({"recipe.groups": [GROUP]}, {"recipe.groups": [{**GROUP, "lr_fixed": True}]}, ["recipe.groups lr_fixed false"]),
        ({"g": [GROUP, OTHER]}, {"g": [GROUP, {**OTHER, "lr_factor": 2}]}, ["g 2 lr_factor 0.5"]),
        ({"g": {"a": {"b": [1, 2]}, "c": "x"}}, {"g": {"a": {"b": [1, 3]}, "c": "y"}}, ["g (a b [1, 2], c x)"]),
        ({"g": {"a": 1}}, {"g": {"a": 1, "b": 2}}, ["g no b"]),
        ({"g": dict.fromkeys("abcde", 1)}, {"g": {}}, ["g (a 1, b 1, c 1 and 2 more)"]),
        ({"g": {"a": 1}, "h": 1}, {"g": {"a": 1}, "h": 2}, ["h 1"]),
        ({"made.up": {"a": 1}}, {}, ["made.up not as published"]),
    ],
)
def test_only_what_differs_is_said(mine: dict[str, Any], other: dict[str, Any], words: list[str]) -> None:
    assert differing(mine, [mine, other], "a method of nobody's", 1) == words


def test_beside_the_published_run_the_leaf_that_is_not_as_published_is_said() -> None:
    published = PretrainConfig.published("barlowtwins")
    groups = published.numbers()["recipe.groups"]
    mine = {"recipe.groups": [{**groups[0], "lr_fixed": True}]}
    assert groups[0]["lr_fixed"] is False
    version = published.method.version
    assert differing(mine, [mine, {}], "barlowtwins", version) == ["recipe.groups lr_fixed true"]
    assert differing({}, [mine, {}], "barlowtwins", version) == ["recipe.groups as published"]
    assert differing(mine, [mine, {}], "barlowtwins", version + 1) == ["recipe.groups not as published"]
