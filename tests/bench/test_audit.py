"""The audit of running statistics, where `bench` has it: `convert --audit`, and the records of transfers and measures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain import backbones
from pretrain.images.normalise import IMAGENET
from pretrain.inputs import normalised
from transfer import record
from transfer.audit import pictures
from transfer.datasets import imagefolder
from transfer.engines.precise_bn import precise_bn

Typed = Callable[..., int]
FITS, BETTER = "running statistics: 8 training images fit them", "statistics of its norms fit RGB"
SIZE = 64
ZERO_TO_ONE = ("--mean", "0", "--std", "1")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and a file of nobody's: a ResNet-18 with the statistics that it has on them."""
    root, rng = tmp_path_factory.mktemp("audit"), np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(8):
            path = root / f"images/{split}/{'ab'[number % 2]}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((40, 40))
            coarse.save(path)
    architecture = backbones.get("resnet18")
    torch.manual_seed(0)
    trunk, _ = architecture.build(1, size=SIZE)
    trunk.train()
    seen = pictures.pixels(imagefolder.read(root / "images"), SIZE)
    with torch.no_grad():
        precise_bn(trunk, trunk, [normalised(seen, IMAGENET)])
    state = trunk.state_dict()
    counts = {name: torch.tensor(1000) for name in state if name.endswith("num_batches_tracked")}  # as after a training
    torch.save(state | counts, root / "plain.pth")
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(pictures, "PUBLISHED_SIZE", SIZE)
    monkeypatch.delenv("BENCH_DATA", raising=False)


def converted(typed: Typed, *words: str) -> dict[str, Any]:
    assert typed("convert", "--ckpt", "plain.pth", "--to", "torchvision", "--out", "out.pth", *words) == 0
    about: dict[str, Any] = json.loads(Path("out.pth.json").read_text(encoding="utf-8"))
    return about


def test_convert_compares_the_statistics_with_images_where_it_is_asked_to(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert converted(typed)["audit"] is None
    about = converted(typed, "--audit", "images")
    assert about["audit"]["warning"] is None
    assert about["audit"]["images"] == 8
    assert FITS in capsys.readouterr().err.replace("\n", " ")


def test_convert_says_which_reading_fits_better_and_that_one_fits(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    warning = converted(typed, "--audit", "images", *ZERO_TO_ONE)["audit"]["warning"]
    assert BETTER in warning
    assert BETTER in capsys.readouterr().err.replace("\n", " ")
    said = warning.partition("say ")[2].split()
    assert converted(typed, "--audit", "images", *said)["audit"]["warning"] is None


def test_images_to_compare_with_that_are_not_there_are_one_message_and_nothing_is_written(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out.pth").unlink(missing_ok=True)
    assert typed("convert", "--ckpt", "plain.pth", "--to", "torchvision", "--out", "out.pth", "--audit", "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err
    assert not Path("out.pth").exists()


@pytest.mark.parametrize("verb", [("measure", "--set", "views=2"), ("transfer", "--task", "knn", "--set", "neighbours=2")])
def test_a_record_has_the_distances_and_a_note_where_another_reading_fits_better(verb: tuple[str, ...], typed: Typed) -> None:
    words = ("--ckpt", "plain.pth", "--data", "images", "--budget", "small", "--set", "size=32", "--set", "num_workers=0")
    name = verb[0]
    assert typed(*verb, *words, "--out", f"{name}-right") == 0
    assert typed(*verb, *words, *ZERO_TO_ONE, "--out", f"{name}-wrong") == 0
    right, wrong = (record.read(Path(f"{name}-{which}") / "result.json") for which in ("right", "wrong"))
    assert right.proof["statistics_first_norm"] < wrong.proof["statistics_first_norm"]
    assert "statistics_norms" in right.proof
    assert not any(BETTER in note for note in right.notes)
    assert any(BETTER in note for note in wrong.notes)


def test_an_untrained_backbone_is_not_compared_and_that_is_said(typed: Typed) -> None:
    words = ("--ckpt", "random:resnet18", "--data", "images", "--budget", "small", "--set", "size=32", "--set", "views=2")
    assert typed("measure", *words, "--out", "untrained") == 0
    assert "not compared with the images: the backbone is untrained" in Path("untrained/log.txt").read_text(encoding="utf-8")
    assert "statistics_first_norm" not in record.read(Path("untrained/result.json")).proof
