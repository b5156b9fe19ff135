"""`bench views`: its pixels are those that training sees, and it refuses what it can't draw with one message."""

import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench import cli, grid
from bench.verbs import views as verb
from pretrain.augment.mixed import Mixed
from pretrain.batch import Batch
from pretrain.config import PretrainConfig
from pretrain.core.journal import Journal
from pretrain.images import imageset as image_sets
from pretrain.inputs import denormalised
from pretrain.learner import Losses
from pretrain.methods.mocov2 import MoCo
from pretrain.train import train, training_set

ROWS = 4
SHARED = {"arch": "resnet18", "size": 16, "epochs": 1, "batch": ROWS, "num_workers": 0}
TINY = {**SHARED, "queue": 8, "feature_dim": 8}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a tiny image folder in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for cls in ("ant", "bee"):
            (tmp_path / "images" / split / cls).mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / split / cls / f"{i}.png")
    return tmp_path


def bench_views(monkeypatch: pytest.MonkeyPatch, *words: str, fields: Mapping[str, object] = TINY) -> int:
    tiny = [word for field, value in fields.items() for word in ("--set", f"{field}={value}")]
    monkeypatch.setattr(sys, "argv", ["bench", "views", *tiny, *words])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def cell(sheet: Image.Image, across: int, down: int) -> np.ndarray:
    """A picture of the grid at its own size; every pixel has to be enlarged to a square of itself."""
    side, factor = TINY["size"], 10
    left, top = grid.place(side, across, down)
    large = np.asarray(sheet)[top : top + side * factor, left : left + side * factor]
    small = large[::factor, ::factor]
    assert np.array_equal(small.repeat(factor, axis=0).repeat(factor, axis=1), large)
    return small


def pixels(view: Tensor) -> np.ndarray:
    return (denormalised(view).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


class FirstStep(Exception):  # noqa: N818
    """Ends a training when its encoders have been given their images."""


@pytest.mark.parametrize(
    ("aug", "cache"),
    [(aug, {}) for aug in ("none", "random-erasing", "cutout", "cutmix", "mixup", "cutout+mixup")]
    + [("none", {"cache": where}) for where in ("ram", "jpeg")],
)
def test_the_first_epochs_cells_are_what_the_encoders_get_in_the_first_step_of_training(
    here: Path, monkeypatch: pytest.MonkeyPatch, aug: str, cache: dict[str, str]
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(here / "cache"))

    def stop(self: MoCo, batch: Batch) -> Losses:
        raise FirstStep(*(view.images for view in batch.views))

    monkeypatch.setattr(MoCo, "forward", stop)
    fields = {"aug": aug, "pipeline": "byol", "key_pipeline_options": {"crop_scale": [0.9, 1.0]}, "cache_side": 16, "seed": 5}
    fields |= cache
    config = PretrainConfig.read({**TINY, **fields})
    data = training_set(config, image_sets.read(here / "images", "train"))
    with pytest.raises(FirstStep) as stopped:
        train(config, data, here, Journal(), name="noise")
    query, key = (pixels(view) for view in stopped.value.args)
    words = [word for field, value in fields.items() for word in ("--set", f"{field}={value}")]
    assert bench_views(monkeypatch, *words, "--data", "images", "--images", str(ROWS)) == 0
    with Image.open("views.png") as sheet:
        for row in range(ROWS):
            assert np.array_equal(cell(sheet, 1, row), query[row])
            assert np.array_equal(cell(sheet, 1 + verb.EPOCHS, row), key[row])


def test_a_method_of_one_view_has_no_column_of_keys_and_zips_are_read_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "zips").mkdir()
    for split in ("train", "val"):
        with zipfile.ZipFile(here / "zips" / f"{split}.zip", "w") as archive:
            for path in sorted((here / "images" / split).rglob("*.png")):
                archive.write(path, path.relative_to(here / "images" / split).as_posix())
    for folder in ("images", "zips"):
        words = ["--set", "method=supervised", "--set", "supervision=full", "--data", folder, "--out", f"{folder}.png"]
        assert bench_views(monkeypatch, *words, fields=SHARED) == 0
    with Image.open("images.png") as ours, Image.open("zips.png") as theirs:
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
        assert ours.width == grid.place(TINY["size"], 1 + verb.EPOCHS, 0)[0]


def test_columns_and_notes_say_what_was_done(here: Path) -> None:
    images = image_sets.read(here / "images", "train")
    columns = verb.columns(PretrainConfig.read({**TINY, "aug": "cutout", "aug_views": "both"}), images, 3)
    assert [column.heading for column in columns] == [
        "original", "query, epoch 1", "query, epoch 2", "query, epoch 3", "key, epoch 1"
    ]  # fmt: skip
    assert [cell.note.split(": ")[0] for cell in columns[0].cells] == ["1", "2", "3"]
    assert all(cell.note.endswith("% erased") for column in columns[1:] for cell in column.cells)
    plain = verb.columns(PretrainConfig.read(TINY), images, 3)
    assert {cell.note for column in plain[1:] for cell in column.cells} == {""}


def test_a_note_names_each_share_and_the_row_it_is_from() -> None:
    images = torch.zeros(3, 3, 4, 4)
    blend = Mixed(
        images, torch.tensor([[0, 1, 2], [1, 1, 1], [2, 0, 0]]), torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.5, 0.3], [1.0, 0, 0]])
    )
    assert verb._notes(blend, images) == ["50% + 25% of row 2 + 25% of row 3", "", ""]
    images[1, :, :2] = 1
    assert verb._notes(Mixed(images), torch.zeros(3, 3, 4, 4)) == ["", "50% erased", ""]


def test_a_blend_of_both_views_is_noted_below_both(here: Path) -> None:
    images = image_sets.read(here / "images", "train")
    columns = verb.columns(PretrainConfig.read({**TINY, "aug": "mixup", "aug_views": "both"}), images, 8)
    notes = [[cell.note for cell in column.cells] for column in columns]
    assert notes[1] == notes[-1]
    assert any("of row" in note for note in notes[1])


@pytest.mark.parametrize(
    ("words", "share", "law"),
    [
        (["--aug", "mixup"], 0.75, "at least half"),
        (["--aug", "mixup", "--set", "mixed_target=un-mix"], 0.5, "λ as published"),
        (["--aug", "cutmix"], 0.82, "at least half"),
    ],
)
def test_the_mean_share_that_an_image_keeps_of_its_blend_is_printed(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], share: float, law: str
) -> None:
    assert bench_views(monkeypatch, "--data", "images", "--images", "4", *words) == 0
    printed = re.search(r"mean own share is ([\d.]+) \((.*)\)", " ".join(capsys.readouterr().out.split()))
    assert printed is not None
    assert float(printed[1]) == pytest.approx(share, abs=0.03)
    assert printed[2] == law
    assert bench_views(monkeypatch, "--data", "images", "--images", "4", "--aug", "cutout") == 0
    assert "share" not in capsys.readouterr().out


def test_a_long_note_is_cut_to_the_width_of_its_picture() -> None:
    blank = np.full((16, 16, 3), 255, dtype=np.uint8)
    first = grid.Cell(blank, "a name that is far too long for a picture of this width")
    wide = grid.draw("", [grid.Column("one", [first]), grid.Column("two", [grid.Cell(blank)])])
    left, top = grid.place(16, 1, 0)
    assert np.asarray(wide)[top:, left:].min() == 255  # nothing of it reaches the next column


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--aug", "cutmx"], "did you mean 'cutmix'"),
        (["--images", "0"], "1 to 64"),
        (["--images", "9"], "lower --images to 8"),
        (["--images", "1", "--aug", "puzzlemix"], "2 or more with puzzlemix"),
        (["--aug", "snapmix"], "asks for class activation maps"),
        (["--out", "views.jpg"], "ending in .png"),
        (["--out", "missing/views.png"], "no folder missing"),
        (["--out", "text.png"], "is there and is no PNG"),
        (["--out", "folder.png"], "is a folder"),
        (["--data", "nowhere"], "no data at nowhere"),
        (["--set", "pipeline=mocov9"], "unknown pipeline"),
        (["--set", "aug_views=all"], "aug_views"),
        (["--config", "nothing"], "unknown pretrain configuration"),
    ],
)
def test_wrong_input_gives_one_message_and_writes_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (here / "text.png").write_text("not a picture")
    (here / "folder.png").mkdir()
    before = sorted(here.rglob("*"))
    assert bench_views(monkeypatch, "--data", "images", *words) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("bench: ") == 1
    assert sorted(here.rglob("*")) == before
    assert (here / "text.png").read_text() == "not a picture"


@pytest.mark.parametrize(
    ("aug", "fields", "said"),
    [
        ("puzzlemix", TINY, "saliency of the untrained network"),
        ("snapmix", {**SHARED, "method": "supervised", "supervision": "semi"}, "class activation of the untrained network"),
    ],
)
def test_what_asks_the_network_is_drawn_as_the_untrained_one_answers_and_said_so(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    aug: str,
    fields: dict[str, object],
    said: str,
) -> None:
    for out in ("one.png", "two.png"):
        assert bench_views(monkeypatch, "--data", "images", "--aug", aug, "--images", "8", "--out", out, fields=fields) == 0
        assert said in " ".join(capsys.readouterr().out.split())
    with Image.open("one.png") as one, Image.open("two.png") as two:
        assert np.array_equal(np.asarray(one), np.asarray(two))


def test_an_older_picture_is_replaced(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (3, 3)).save("views.png")
    assert bench_views(monkeypatch, "--data", "images", "--images", "2") == 0
    with Image.open("views.png") as sheet:
        assert sheet.width > 3


def test_a_small_budget_draws_what_it_trains_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, side in (((), 224), (("--budget", "small"), 32)):
        assert bench_views(monkeypatch, *words, "--data", "images", "--images", "2", fields={}) == 0
        assert f", {side} px," in capsys.readouterr().out
