"""What `bench convert` keeps of a backbone that is unusual in what it sees or computes, and how it tells other tools."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from bench.options import Reading
from bench.verbs import convert
from transfer import sources

CAFFE = Reading(input_order="bgr", mean="103.53,116.28,123.675", std="1", stride_in="1x1")
READINGS = {
    "Caffe's": CAFFE,
    "0 to 255": Reading(mean="0", std="1/255"),
    "a mean of a half": Reading(mean="0.5", std="0.5"),
    "eps 1e-3": Reading(eps=1e-3),
    "as usual": Reading(),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-50 of nobody's, each of whose tensors is one number."""
    path = tmp_path_factory.mktemp("plain") / "plain.pth"
    with torch.device("meta"):
        state = torchvision.models.resnet50().state_dict()
    torch.save({name: torch.tensor(0.5).to(tensor.dtype).expand(tensor.shape) for name, tensor in state.items()}, path)
    return path


def converted(checkpoint: Path, to: str, folder: Path, reading: Reading) -> tuple[Path, dict[str, Any], list[str]]:
    lines: list[str] = []
    done = convert.run(str(checkpoint), to, folder / "out.pth", lambda *words: lines.append(str(words)), reading=reading)
    return done.file, json.loads(done.about.read_text(encoding="utf-8")), lines


@pytest.mark.parametrize("to", ["torchvision", "detectron2", "mmseg"])
@pytest.mark.parametrize("name", READINGS)
def test_what_is_converted_and_loaded_keeps_its_recipe_and_what_was_assumed(
    name: str, to: str, checkpoint: Path, tmp_path: Path
) -> None:
    backbone = READINGS[name].load(str(checkpoint))
    path, about, _ = converted(checkpoint, to, tmp_path, READINGS[name])
    again = sources.load(str(path))
    assert (again.recipe, again.assumed) == (backbone.recipe, backbone.assumed)
    assert (about["channel_order"], about["mean"]) == (backbone.recipe.seen.order, list(backbone.recipe.seen.mean))
    assert about["assumed"] == list(backbone.assumed)
    assert about["recipe"] == {**again.recipe.plain(), "eps": READINGS[name].eps or 1e-5}


def test_each_tool_is_told_in_its_own_words(checkpoint: Path, tmp_path: Path) -> None:
    mean, std = [103.53, 116.28, 123.675], [1.0, 1.0, 1.0]
    _, about, _ = converted(checkpoint, "detectron2", tmp_path, CAFFE)
    assert about["settings"] == {
        "INPUT.FORMAT": "BGR",
        "MODEL.PIXEL_MEAN": mean,
        "MODEL.PIXEL_STD": std,
        "MODEL.RESNETS.STRIDE_IN_1X1": True,
    }
    assert "1×1" in about["stride"]
    _, about, _ = converted(checkpoint, "mmseg", tmp_path, CAFFE)
    assert (about["settings"]["backbone.style"], about["settings"]["data_preprocessor.bgr_to_rgb"]) == ("caffe", False)
    assert (about["settings"]["data_preprocessor.mean"], about["settings"]["data_preprocessor.std"]) == (mean, std)
    _, about, _ = converted(checkpoint, "mmseg", tmp_path, READINGS["eps 1e-3"])
    assert about["settings"]["backbone.norm_cfg.eps"] == 1e-3


@pytest.mark.parametrize(("to", "name", "what"), [("torchvision", "Caffe's", "stride"), ("detectron2", "eps 1e-3", "eps")])
def test_what_a_tool_has_no_setting_for_is_said(to: str, name: str, what: str, checkpoint: Path, tmp_path: Path) -> None:
    _, _, lines = converted(checkpoint, to, tmp_path, READINGS[name])
    assert any(f"{to} has no setting for {what}" in line for line in lines)


def test_what_is_unusual_and_what_is_assumed_is_said_in_a_line_each(checkpoint: Path, tmp_path: Path) -> None:
    _, _, lines = converted(checkpoint, "torchvision", tmp_path, Reading(mean="0.5", std="0.5"))
    assert sum("read as it is said: mean (0.5, 0.5, 0.5), deviation (0.5, 0.5, 0.5)" in line for line in lines) == 1
    assert sum("assumed: RGB, strides in the 3×3 convolutions, eps 1e-05" in line for line in lines) == 1
