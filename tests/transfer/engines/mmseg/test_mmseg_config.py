import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfer.datasets import cityscapes
from transfer.datasets.segmentation import Folders, LabelIds, SegmentationData, spread
from transfer.engines.mmseg.config import native_config
from transfer.engines.mmseg.loaders import write_label_maps, write_lists
from transfer.engines.mmseg.model import class_weights
from transfer.engines.mmseg.runner import fill_tables
from transfer.tasks.segmentation import FCNSettings, SegmentationSettings

TINY = runpy.run_path(str(Path(__file__).parents[2] / "tiny_scenes.py"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SegmentationData:
    return cityscapes.read(TINY["lay"](tmp_path_factory.mktemp("scenes"), train=3, val=5))


def test_a_part_of_the_validation_images_is_spread_over_all_of_them(data: SegmentationData) -> None:
    assert spread(data.val, None) == spread(data.val, 9) == data.val
    assert spread(data.val, 2) == (data.val[0], data.val[2])


def test_the_lists_hold_the_names_that_mmsegmentation_completes(data: SegmentationData, tmp_path: Path) -> None:
    write_lists(FCNSettings(max_val_images=2), data, tmp_path)
    assert (tmp_path / "train.txt").read_text().splitlines() == [f"town/town_00000{index}_000019" for index in range(3)]
    assert (tmp_path / "val.txt").read_text().splitlines() == ["town/town_000000_000019", "town/town_000002_000019"]


def test_the_published_recipe_reaches_the_configuration(data: SegmentationData, tmp_path: Path) -> None:
    config = native_config(FCNSettings(), data, arch="resnet50", backbone=tmp_path / "b.pth", work=tmp_path, seed=3)
    backbone, head = config["model"]["backbone"], config["model"]["decode_head"]
    assert (backbone["type"], backbone["style"], backbone["strides"], backbone["dilations"], backbone["contract_dilation"]) == (
        *("ResNet", "pytorch"),
        *((1, 2, 2, 1), (1, 1, 1, 2), False),
    )
    assert (head["channels"], head["num_convs"], head["dilation"], head["concat_input"], head["dropout_ratio"]) == (
        *(256, 2, 6),
        *(False, 0.0),
    )
    assert (head["in_channels"], head["num_classes"]) == (2048, 8)
    assert "auxiliary_head" not in config["model"]
    assert config["model"]["test_cfg"] == {"mode": "whole"}
    assert config["optim_wrapper"]["optimizer"] == {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
    assert config["param_scheduler"] == [{"type": "MultiStepLR", "by_epoch": False, "gamma": 0.1, "milestones": [63000, 81000]}]
    assert config["randomness"] == {"seed": 3}
    assert config["model"]["data_preprocessor"]["mean"] == pytest.approx([123.675, 116.28, 103.53])
    assert config["model"]["data_preprocessor"]["std"] == pytest.approx([58.395, 57.12, 57.375])


def test_frequent_classes_weigh_less_and_the_median_one_weighs_one() -> None:
    assert class_weights([100, 400, 25, 0], power=0.5) == [1.0, 0.5, 2.0, 1.0]
    assert class_weights([100, 400, 25, 0], power=1.0) == [1.0, 0.25, 4.0, 1.0]


def test_only_the_balanced_loss_has_class_weights(data: SegmentationData, tmp_path: Path) -> None:
    def loss(settings: SegmentationSettings) -> dict[str, object]:
        config = native_config(settings, data, arch="resnet18", backbone=tmp_path / "b.pth", work=tmp_path, seed=0)
        return config["model"]["decode_head"]["loss_decode"]

    assert loss(FCNSettings())["avg_non_ignore"] is True
    assert "class_weight" not in loss(FCNSettings())
    assert loss(FCNSettings(class_balance=0.5))["class_weight"] == class_weights(data.pixels, 0.5)


def test_test_images_keep_their_size_unless_a_short_side_is_set(data: SegmentationData, tmp_path: Path) -> None:
    def steps(settings: SegmentationSettings) -> list[str]:
        config = native_config(settings, data, arch="resnet18", backbone=tmp_path / "b.pth", work=tmp_path, seed=0)
        return [step["type"] for step in config["val_dataloader"]["dataset"]["pipeline"]]

    assert steps(FCNSettings()) == ["LoadImageFromFile", "LoadAnnotations", "PackSegInputs"]
    # The truth is loaded after the resizing: it keeps its own size.
    assert steps(FCNSettings(short_side=32)) == ["LoadImageFromFile", "Resize", "LoadAnnotations", "PackSegInputs"]


def test_windows_and_convolutions_of_the_head_are_settings(data: SegmentationData, tmp_path: Path) -> None:
    settings = FCNSettings(crop=64, window_stride=48, head_convs=3)
    model = native_config(settings, data, arch="resnet18", backbone=tmp_path / "b.pth", work=tmp_path, seed=0)["model"]
    assert model["test_cfg"] == {"mode": "slide", "crop_size": (64, 64), "stride": (48, 48)}
    assert model["decode_head"]["num_convs"] == 3


def test_the_data_say_where_images_lie_and_what_zero_means(data: SegmentationData, tmp_path: Path) -> None:
    folders = {name: Folders(f"images/{name}", f"annotations/{name}", ".jpg", ".png") for name in ("train", "val")}
    other = replace(data, folders=folders, ids=LabelIds(data.classes, reduce_zero_label=True))
    config = native_config(FCNSettings(), other, arch="resnet18", backbone=tmp_path / "b.pth", work=tmp_path, seed=0)
    for split in ("train", "val"):
        dataset = config[f"{split}_dataloader"]["dataset"]
        assert dataset["data_prefix"] == {"img_path": f"images/{split}", "seg_map_path": f"annotations/{split}"}
        assert (dataset["img_suffix"], dataset["seg_map_suffix"], dataset["reduce_zero_label"]) == (".jpg", ".png", True)


@pytest.mark.parametrize("mode", ["1", "I;16", "LA", "RGB", "RGBA"])
def test_mmsegmentation_reads_the_ids_of_a_label_map_in_whichever_mode(mode: str, tmp_path: Path) -> None:
    from mmseg.registry import DATASETS

    root = TINY["lay"](tmp_path / "scenes", train=3, val=1)
    path = sorted((root / "gtFine/train").rglob("*.png"))[1]
    ids = np.minimum(np.asarray(Image.open(path)), 1 if mode == "1" else 255)
    opaque = np.full_like(ids, 255)
    channels = [ids] * len(mode.removesuffix("A")) + [opaque] * mode.endswith("A")
    wide = {"1": ids > 0, "I;16": ids.astype(np.uint16)}
    Image.fromarray(wide[mode] if mode in wide else np.stack(channels, axis=2)).save(path)
    data, work = cityscapes.read(root), tmp_path / "work"
    work.mkdir()
    for _ in range(2):  # a resumed run finds them there
        write_lists(FCNSettings(), data, work)
        write_label_maps(data, work)
    fill_tables()
    config = native_config(FCNSettings(), data, arch="resnet50", backbone=tmp_path / "b.pth", work=work, seed=3)
    train = DATASETS.build({**config["train_dataloader"]["dataset"], "pipeline": [{"type": "mmseg.LoadAnnotations"}]})
    truths = [np.asarray(Image.open(pair.label)) for pair in data.train]
    truths[1] = ids
    assert all(np.array_equal(train[index]["gt_seg_map"], truth) for index, truth in enumerate(truths))
