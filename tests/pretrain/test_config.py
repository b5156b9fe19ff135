"""The configuration refuses what it can't mean, and says what to do; a run's identity is its method's own."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from pretrain import methods
from pretrain.config import PretrainConfig
from pretrain.core.errors import BenchError, ConfigError
from pretrain.fields import merged


def test_the_defaults_are_moco_v2_as_published() -> None:
    config = PretrainConfig.read({})
    recipe, method = config.recipe, config.method
    assert (config.arch, recipe.epochs, recipe.batch, recipe.lr) == ("resnet50", 200, 256, 0.03)
    assert (method.name, method.queue, method.temperature, method.momentum) == ("mocov2", 65536, 0.2, 0.999)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temprature": 0.1}, "did you mean 'temperature'"),
        ({"aug": "cutmx"}, "did you mean 'cutmix'"),
        ({"method": "moco-v2"}, "unknown method"),
        ({"supervision": "half"}, "bad value for 'supervision'"),
        ({"label_fraction": 1.5, "supervision": "semi"}, "bad value for 'label_fraction'"),
        ({"supervision": "self", "label_fraction": 0.5}, "contradicts"),
        ({"batch": 100}, "multiple of the batch"),
        ({"method": "supervised", "supervision": "self"}, "needs labels"),
        ({"bn_splits": 3}, "bn_splits"),
        ({"aug_options": {"alpha": 0}, "aug": "mixup"}, "alpha"),
        ({"pipeline_options": {"blurr": 0}}, "did you mean 'blur'"),
        ({"base_lr": float("nan")}, "base_lr"),
        ({"stem": "small", "size": 96}, "up to 64 pixels"),
        ({"mixed_target": "un-mix", "method": "supervised", "supervision": "full"}, "bad value for 'mixed_target'"),
        ({"fill_queue": True, "method": "supervised"}, r"unknown key(.|\n)*is a setting of mocov2, mocov1"),
        ({"method.quue": 8}, "did you mean 'method.queue'"),
        ({"method": {"name": "mocov2", "temprature": 0.1}}, "did you mean 'temperature'"),
        ({"recipe": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"momentum": 0.9}, r"name of 2 fields(.|\n)*method.momentum, recipe.optimizer.momentum"),
        ({"optimizer": "adamw", "optimizer.momentum": 0.9}, "unknown key"),
        (
            {"optimizer": "adamw", "momentum": 0.9},
            r"name of 2 fields(.|\n)*method.momentum, recipe.optimizer.momentum of sgd and lars",
        ),
        (
            {"method": "simsiam", "optimizer": "adamw", "momentum": 0.9},
            r"unknown key(.|\n)*is a setting of .*byol.*, sgd, lars",
        ),
        ({"method": "byol", "local_views": 6}, r"hurt methods with a predictor(.|\n)*set local_views_anyway=true"),
        ({"method": "mocov3", "local_views_anyway": True}, "without local_views changes nothing"),
        ({"method": "swav", "size": 64}, r"local_size 96\) must be smaller than the views \(size 64\)"),
        (
            {"method": "dino", "local_size": 100},
            r"local_size 100(.|\n)*multiples of 16(.|\n)*--set local_size=96 or local_size=112",
        ),
        ({"method": "vicreg", "local_views": 2}, r"unknown key(.|\n)*local_views is a setting of mocov2, .*swav, dino"),
        ({"method": "byol", "epochs": 5}, r"warm-up of 10 epochs leaves none of 5"),
        ({"method": "vicreg", "schedule": "step", "end_lr": 0.1}, "no effect on a schedule 'step'"),
        ({"optimizer": "adamw", "betas": [0.9, 1.5]}, r"bad value for 'betas\.1'(.|\n)*less than 1"),
        ({"optimizer": "adamw", "betas": [-0.1, 0.999]}, "bad value for 'betas.0'"),
        ({"optimizer": "adam"}, "did you mean 'adamw'"),
        ({"schedule": "cosin"}, "bad value for 'shape'"),
        ({"keep_iterations": True}, "without classes changes nothing"),
        ({"aug": "cutmix", "aug_composition": "turn"}, "composes several"),
        ({"method": "supervised", "key_pipeline_options": {"blur": 0}}, "has one view"),
        ({"method": "supervised", "aug_views": "both"}, "has one"),
        ({"arch": "resnet19"}, "did you mean 'resnet18'"),
        ({"aug": "cutmix+mixup", "aug_options": {"alpha": 1.0}}, "unknown part of cutmix"),
    ],
)
def test_wrong_fields_are_refused_with_a_reason(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PretrainConfig.read(fields)


@pytest.mark.parametrize("method", ["mocov2", "simclr", "swav", "dino", "smocov2plus"])
def test_small_crops_are_an_option_where_nothing_speaks_against_them(method: str) -> None:
    assert [view.size for view in PretrainConfig.read({"method": method, "local_views": 2}).views()] == [224, 224, 96, 96]


def test_small_crops_that_are_known_to_hurt_are_taken_if_asked_for_twice() -> None:
    assert len(PretrainConfig.read({"method": "simsiam", "local_views": 2, "local_views_anyway": True}).views()) == 4


def test_another_shape_drops_the_published_end() -> None:
    assert PretrainConfig.read({"method": "vicreg", "schedule": "step"}).recipe.end_lr == 0


def test_a_number_written_as_yaml_reads_it_is_a_number() -> None:
    assert PretrainConfig.read({"base_lr": "1e-4"}).recipe.base_lr == 1e-4


def test_the_learning_rate_scales_with_the_batch() -> None:
    assert PretrainConfig.read({"batch": 512}).recipe.lr == pytest.approx(0.06)


@pytest.mark.parametrize(("supervision", "fraction"), [("self", 0.0), ("semi", 0.5), ("full", 1.0)])
def test_a_supervision_regime_is_a_label_fraction(supervision: str, fraction: float) -> None:
    assert PretrainConfig.read({"supervision": supervision}).labels_used == fraction


def test_loader_processes_are_no_part_of_what_changes_the_numbers() -> None:
    published = PretrainConfig.published("mocov2")
    assert PretrainConfig.read({"num_workers": 7}).differences(published) == {}
    assert PretrainConfig.read({"queue": 512, "batch": 256}).differences(published) == {"method.queue": 512}


def test_a_configuration_is_immutable() -> None:
    with pytest.raises(Exception, match="frozen"):
        PretrainConfig.read({}).seed = 3


def test_an_error_has_its_four_parts_in_order() -> None:
    text = str(BenchError("wrong", seen="this", allowed="that", fix="so"))
    assert [line.split()[0] for line in text.splitlines()] == ["wrong", "seen:", "allowed:", "do:"]


def test_the_content_of_a_file_is_part_of_the_identity_and_its_path_is_not(tmp_path: Path) -> None:
    for name, content in {"a.txt": "ant\nbee\n", "b.txt": "# moved\nant\n bee\n", "c.txt": "bee\n"}.items():
        (tmp_path / name).write_text(content)
    for field in ("classes", "label_map", "label_list"):
        regime = {"supervision": "semi"} if field == "label_list" else {}
        a, b, c = (PretrainConfig.read({field: str(tmp_path / name), **regime}) for name in ("a.txt", "b.txt", "c.txt"))
        assert a.differences(b) == {}
        assert a.differences(c).keys() == {field}
        assert str(tmp_path) not in str(a.numbers())
        (tmp_path / "a.txt").rename(tmp_path / "away.txt")
        assert PretrainConfig.read(a.model_dump(mode="json")).differences(a) == {}  # as a checkpoint holds it
        (tmp_path / "away.txt").rename(tmp_path / "a.txt")


@pytest.mark.parametrize(("given", "meant"), [("0.2", 0.2), (0.2, 0.2), (1, 1.0), ("imagenet100", "imagenet100"), (None, None)])
def test_classes_are_a_share_or_a_name(given: object, meant: object) -> None:
    assert PretrainConfig.read({"classes": given}).classes == meant


@pytest.mark.parametrize("share", [0, -0.5, 1.5, "100"])
def test_a_share_of_the_classes_outside_0_to_1_is_refused(share: object) -> None:
    with pytest.raises(ConfigError, match=r"bad value for 'classes'(.|\n)*above 0 and at most 1"):
        PretrainConfig.read({"classes": share})


def test_a_list_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"can't read gone\.txt"):
        PretrainConfig.read({"classes": "gone.txt"})


@pytest.mark.parametrize("fields", [{}, {"supervision": "full"}, {"supervision": "semi", "label_fraction": 0.5}])
def test_a_label_list_contradicts_every_other_regime(fields: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("ant_1\n")
    with pytest.raises(ConfigError, match=r"contradiction(.|\n)*label list"):
        PretrainConfig.read({"label_list": str(tmp_path / "list.txt"), **fields})


def test_where_images_are_kept_is_no_part_of_the_identity_and_their_size_is() -> None:
    ram, disk, none = (PretrainConfig.read({"cache": where, "size": 64}) for where in ("ram", "disk", None))
    assert ram.kept_side == disk.kept_side == 144  # 64 / √0.2
    assert ram.differences(disk) == {}
    assert ram.differences(none) == {"cache_side": 144}
    assert PretrainConfig.read({"cache_side": 144, "size": 64}).differences(ram) == {}


def test_encoding_images_once_more_is_part_of_the_identity_whatever_their_size() -> None:
    jpeg, none = PretrainConfig.read({"cache": "jpeg"}), PretrainConfig.read({})
    same_side = PretrainConfig.read({"cache_side": jpeg.kept_side})
    assert jpeg.identity() == {**none.identity(), "cache": "jpeg", "cache_side": 256}
    assert jpeg.differences(same_side) == {"cache": "jpeg"}
    assert same_side.differences(jpeg) == {"cache": None}
    assert PretrainConfig.read({"cache": "jpeg", "cache_side": 128}).kept_side == 128


def test_a_field_has_one_value_under_its_short_its_whole_and_its_nested_name() -> None:
    wanted = PretrainConfig.read({"queue": 512, "epochs": 3, "optimizer": "adamw", "schedule": "step"})
    same = PretrainConfig.read(
        {"method.queue": 512, "recipe": {"epochs": 3, "optimizer": {"name": "adamw"}}, "recipe.schedule.shape": "step"}
    )
    assert wanted == same
    assert PretrainConfig.read({"recipe": {"epochs": 9}, "epochs": 3}).recipe.epochs == 3  # what comes later counts
    assert PretrainConfig.read(wanted.model_dump(mode="json")) == wanted
    assert wanted.replace({"epochs": 4}).recipe == wanted.recipe.replace({"epochs": 4})


def test_layers_of_fields_are_joined_block_by_block_and_the_later_one_counts() -> None:
    base = {"method": {"name": "mocov2", "queue": 512}, "recipe": {"epochs": 9, "batch": 64}, "pipeline_options": {"blur": 0}}
    joined = merged(base, {"recipe": {"epochs": 3}, "method": {"temperature": 0.5}}, {"epochs": 2, "pipeline_options": {}})
    config = PretrainConfig.read(joined)
    assert (config.method.queue, config.method.temperature) == (512, 0.5)
    assert (config.recipe.epochs, config.recipe.batch, config.recipe.pipeline_options) == (2, 64, {})


WARM = {"shape": "step", "per": "epoch", "warmup_epochs": 5.0, "warmup_from": 0.0, "warmup_arrives": "after"}
SHAPES: list[dict[str, Any]] = [
    {"schedule": "step"}, {"shape": "step"}, {"recipe.schedule": "step"}, {"recipe": {"schedule": "step"}},
    {"schedule": {"shape": "step"}}, {"recipe": {"schedule": {"shape": "step"}}},
]  # fmt: skip
WARM_UPS: list[dict[str, Any]] = [
    {"warmup_epochs": 5}, {"schedule": {"warmup_epochs": 5}}, {"recipe.schedule.warmup_epochs": 5},
    {"recipe": {"schedule": {"warmup_epochs": 5}}},
]  # fmt: skip


@pytest.mark.parametrize(("shape", "warm_up"), list(itertools.product(SHAPES, WARM_UPS)))
def test_a_schedule_keeps_its_shape_and_its_warm_up_however_and_in_whatever_order_they_are_given(
    shape: dict[str, Any], warm_up: dict[str, Any]
) -> None:
    for first, second in ((shape, warm_up), (warm_up, shape)):
        assert PretrainConfig.read(merged(first, second)).recipe.schedule.model_dump() == WARM
        assert PretrainConfig.read(first).replace(second).recipe.schedule.model_dump() == WARM


def test_what_is_no_text_is_no_schedule() -> None:
    with pytest.raises(ConfigError, match=r"bad value for 'recipe\.schedule'"):
        PretrainConfig.read({"schedule": 3})
    with pytest.raises(ConfigError, match="unknown key in the configuration: 'name'"):
        PretrainConfig.read({"schedule": {"name": "step"}})


def test_another_optimizer_starts_from_its_own_settings() -> None:
    sgd = PretrainConfig.read({"optimizer.momentum": 0.5})
    assert sgd.recipe.optimizer.momentum == 0.5
    assert sgd.replace({"optimizer": "adamw"}).recipe.optimizer == PretrainConfig.read({"optimizer": "adamw"}).recipe.optimizer


def test_a_method_brings_its_published_recipe_and_what_is_given_changes_it() -> None:
    published = PretrainConfig.published("supervised")
    assert (published.recipe.base_lr, published.supervision) == (0.1, "full")
    assert PretrainConfig.read({"method": "supervised", "base_lr": 0.2}).recipe.base_lr == 0.2
    assert PretrainConfig.read({"method": "supervised", "epochs": 3}).differences(published) == {"recipe.epochs": 3}


DUMMY = """
from typing import ClassVar, Literal
from pretrain.methods.supervised import Supervised

class Dummy(Supervised):
    name: Literal["dummy"] = "dummy"
    strength: float = 1.0
    '''Of nothing.'''
"""


def test_a_new_method_and_a_field_of_one_move_the_identity_of_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def identities() -> dict[str, object]:
        runs = [{"method": name, "batch": 64, "epochs": 3} for name in ("mocov2", "mocov1", "supervised")]
        return {str(run["method"]): PretrainConfig.read(run).identity() for run in runs}

    before = identities()
    assert before["mocov2"] == {"method": "mocov2", "version": 2, "recipe.batch": 64, "recipe.epochs": 3}
    (tmp_path / "dummy.py").write_text(DUMMY)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    monkeypatch.setitem(methods.METHODS, "dummy", "dummy:Dummy")
    dummy = PretrainConfig.read({"method": "dummy", "strength": 2.0})
    assert dummy.identity() == {"method": "dummy", "version": 2, "method.strength": 2.0}
    assert PretrainConfig.read({"method": "dummy"}).identity() == {"method": "dummy", "version": 2}
    assert identities() == before
    with pytest.raises(ConfigError, match="unknown key"):
        PretrainConfig.read({"strength": 2.0})


def test_the_arithmetic_of_gpus_is_part_of_a_run_only_where_it_is_not_the_usual() -> None:
    assert "tf32" not in PretrainConfig.published("mocov2").identity()
    assert PretrainConfig.read({"tf32": False}).identity()["tf32"] is False
