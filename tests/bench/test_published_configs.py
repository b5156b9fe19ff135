"""The named configurations of published runs: each reads and plans, and its rates are those that the codes print."""

from typing import Any, NamedTuple

import pytest

from bench import places
from pretrain import plan
from pretrain.config import PretrainConfig

HERE = ("shapes", "fabrics", "small", "mocov1", "mocov2")
"""Beginnings of the names of configurations that are this project's, or a method as it is published."""
NAMES = [name for name in places.configs("pretrain") if name.split("-")[0] not in HERE]
TINY: dict[str, Any] = {"size": 32, "batch": 16, "queue": 32, "local_size": 16, "hidden": 32, "feature_dim": 16, "outputs": 24}
TINY |= {"bottleneck": 16, "prototypes": 12, "predictor": 16}
"""Smaller networks and batches: what the method lacks of it is left away."""


def config(name: str) -> PretrainConfig:
    return PretrainConfig.read(places.read_config("pretrain", name))


class Run(NamedTuple):
    """What is printed of a run, in absolute numbers."""

    method: str
    arch: str
    epochs: int
    batch: int
    lr: float
    end_lr: float
    decay: float
    end_decay: float
    warmup: float
    optimizer: str


RUNS = {
    "mocov3-vits": Run("mocov3", "vit_small_mocov3", 300, 1024, 1.5e-4 * 4, 0, 0.1, 0.1, 40, "adamw"),
    "mocov3-300": Run("mocov3", "resnet50", 300, 4096, 0.3 * 16, 0, 1e-6, 1e-6, 10, "lars"),
    "mocov3-1000": Run("mocov3", "resnet50", 1000, 4096, 0.3 * 16, 0, 1.5e-6, 1.5e-6, 10, "lars"),
    "dino-r50": Run("dino", "resnet50", 100, 512, 0.03 * 2, 1e-6, 1e-4, 1e-4, 10, "sgd"),
    "dino-r50-paper": Run("dino", "resnet50", 800, 4080, 0.3 * 4080 / 256, 0.0048, 1e-6, 1e-6, 10, "lars"),
    "dino-vits-paper": Run("dino", "vit_small", 800, 1024, 5e-4 * 4, 1e-5, 0.04, 0.4, 10, "adamw"),
    "swav-256": Run("swav", "resnet50", 200, 256, 0.6, 0.0006, 1e-6, 1e-6, 0, "lars"),
    "byol-300": Run("byol", "resnet50", 300, 4096, 0.3 * 16, 0, 1e-6, 1e-6, 10, "lars"),
    "byol-100": Run("byol", "resnet50", 100, 4096, 0.45 * 16, 0, 1e-6, 1e-6, 10, "lars"),
    "vicreg-100": Run("vicreg", "resnet50", 100, 512, 0.3 * 2, 0.3 * 2 * 0.001, 1e-6, 1e-6, 10, "lars"),
    "mocov2plus-lars": Run("mocov2plus", "resnet50", 200, 256, 0.3, 0, 1e-6, 1e-6, 10, "lars"),
    "simsiam-transfer": Run("simsiam", "resnet50", 200, 512, 0.5 * 2, 0, 1e-5, 1e-5, 0, "sgd"),
}


def test_every_configuration_of_a_published_run_is_here() -> None:
    assert sorted(RUNS) == sorted(NAMES)


@pytest.mark.parametrize("name", RUNS)
def test_it_is_the_run_that_is_printed(name: str) -> None:
    run, read = RUNS[name], config(name)
    recipe = read.recipe
    assert (read.method.name, read.arch, recipe.epochs, recipe.batch) == (run.method, run.arch, run.epochs, run.batch)
    assert (recipe.optimizer.name, recipe.schedule.warmup_epochs) == (run.optimizer, run.warmup)
    steps = 100 * run.epochs
    top = {"step": int(run.warmup) * 100, "steps": steps, "epoch": int(run.warmup), "epochs": run.epochs}
    end = {"step": steps, "steps": steps, "epoch": run.epochs, "epochs": run.epochs}
    assert recipe.lr_at(**top) == pytest.approx(run.lr, rel=1e-4)
    assert recipe.lr_at(**end) == pytest.approx(run.end_lr, rel=1e-3, abs=1e-12)
    assert recipe.weight_decay_at(**{**top, "step": 0}) == pytest.approx(run.decay)
    assert recipe.weight_decay_at(**end) == pytest.approx(run.end_decay)
    assert recipe.lr_at(step=0, steps=steps, epoch=0, epochs=run.epochs) <= run.lr


@pytest.mark.parametrize("name", RUNS)
def test_it_plans(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "TIMED_PIXELS", 1)
    read = config(name)
    fields = {*type(read.method).model_fields, *type(read.recipe).model_fields, *type(read).model_fields}
    tiny = {field: value for field, value in TINY.items() if field in fields}
    tiny |= {} if read.arch.startswith("vit") else {"arch": "resnet18"}
    tiny |= {"queue": 0 if name.startswith("swav") else 32} if "queue" in tiny else {}
    made = plan.plan(read.replace({**tiny, "precision": "fp32"}), images=64, classes=2, device="cpu")
    assert made.steps == read.recipe.epochs * 4
    assert made.parameters > 10**6


def test_all_that_trains_decays_in_moco_v3_s_transformer() -> None:
    read = config("mocov3-vits").replace({"size": 32, "hidden": 32, "feature_dim": 16})
    learner = read.method.learner(read.shape(classes=2))
    groups = read.recipe.parameter_groups(learner.trained())
    assert [group["weight_decay"] for group in groups] == [0.1]
    names = {name for name, _ in learner.trained()}
    assert "online.trunk.norm.bias" in names
    assert not {"online.trunk.pos_embed", "online.trunk.patch_embed.proj.weight", "online.trunk.patch_embed.proj.bias"} & names
