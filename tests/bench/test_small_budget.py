"""What `--budget small` makes of a method, and that naming the method does not undo it."""

from pathlib import Path

import pytest

from bench.options import SMALL, Setup
from bench.verbs import pretrain_settings
from pretrain import methods
from pretrain.config import PretrainConfig
from pretrain.fields import merged
from pretrain.recipe import Recipe

DATA = "a folder"
NAMED = {"supervised": {"supervision": "full"}, "supcon": {"supervision": "full"}}


def _small(name: str) -> PretrainConfig:
    options = {"method": name, **NAMED.get(name, {})}
    return pretrain_settings.configuration(options, Setup(budget=SMALL), DATA, "cpu")[1]


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_small_budget_has_the_settings_that_its_method_declares_for_it(name: str) -> None:
    settings, small = _small(name), methods.get(name).small
    plain = {**settings.model_dump(), **settings.recipe.model_dump(), **settings.method.model_dump()}
    wanted = {
        **small,
        **({"groups": Recipe.read({"groups": small["groups"]}).model_dump()["groups"]} if "groups" in small else {}),
    }
    assert {field: plain[field] for field in small} == wanted
    assert (settings.arch, settings.size) == ("resnet18", 32)


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_small_batch_is_normalised_in_parts_only_where_the_published_one_is(name: str) -> None:
    published = methods.get(name).statistics
    assert (_small(name).bn_splits > 1) == (published is not None and "parts" in published.means)


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_small_budget_has_no_warm_up_that_outlasts_it(name: str) -> None:
    recipe = _small(name).recipe
    start = recipe.lr_at(step=0, steps=10 * recipe.epochs, epoch=0, epochs=recipe.epochs)
    assert start == pytest.approx(recipe.lr)


def test_naming_a_method_again_keeps_its_settings_and_another_name_starts_anew() -> None:
    base = {"method": {"name": "byol", "hidden": 8}, "optimizer": {"name": "adamw", "betas": (0.5, 0.9)}}
    same = PretrainConfig.read(merged(base, {"method": "byol", "optimizer": "adamw"}))
    assert (same.method.hidden, same.recipe.optimizer.betas) == (8, (0.5, 0.9))
    other = PretrainConfig.read(merged(base, {"method": "simclr", "optimizer": "lars"}))
    assert (other.method, other.recipe.optimizer.name) == (methods.get("simclr")(), "lars")


def test_a_configuration_of_the_small_budget_is_not_made_small_again(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("extends: small-labels\nrecipe: {epochs: 6}\n")

    def settings(config: str, budget: str | None) -> PretrainConfig:
        return pretrain_settings.configuration({}, Setup(config=config, budget=budget), DATA, "cpu")[1]

    for config in ("small", "small-labels", str(own)):
        assert settings(config, SMALL) == settings(config, None)
    assert settings(str(own), SMALL).method.queue == 1024
    assert settings("byol-300", SMALL) != settings("byol-300", None)
