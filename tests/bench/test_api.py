"""The Python interface: the same runs, records and errors as the command line's, with the same names."""

import inspect
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch
from PIL import Image

from bench import api, cli
from bench.api.options import Adjustments, Pretraining
from bench.cli import tables
from bench.cli.groups import expanded
from bench.command import written
from pretrain.core.errors import ConfigError, RecordError
from pretrain.core.settings import assignments
from transfer import record, sources
from transfer.datasets import imagefolder
from transfer.representation.features import centre_features, extractor

Typed = Callable[..., int]
KNN: dict[str, Any] = {"data": "images", "budget": "small", "size": 32, "settings": {"neighbours": 3}}

pytestmark = pytest.mark.usefixtures("here")


def test_neither_torch_nor_pandas_is_imported_until_needed() -> None:
    script = "import sys, bench.api; print([m for m in ('torch', 'pandas', 'pydantic') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


REPEATED = {"measure": {"sweep"}, "transfer": {"trials", "dry_run"}, "pretrain": {"dry_run"}}
"""Options without a keyword: what a command repeats is a loop in Python, and `--dry-run` makes no run."""
OTHERWISE = {"ckpt": "checkpoint", "set_": "settings"}


@pytest.mark.parametrize("verb", ["pretrain", "transfer", "measure", "convert"])
def test_every_option_of_a_command_is_a_keyword(verb: str) -> None:
    options = {OTHERWISE.get(name, name) for name in inspect.signature(expanded(cli.COMMANDS[verb])).parameters}
    words = {**inspect.signature(getattr(api, verb)).parameters}
    keywords = words.keys() - {"fields", "adjustments", "reading", "progress", "command"}
    if "reading" in words:
        keywords |= get_type_hints(api.Reading).keys()
    keywords |= {"pretrain": set(get_type_hints(Pretraining)), "transfer": set(get_type_hints(Adjustments))}.get(verb, set())
    assert options - keywords == REPEATED.get(verb, set())
    assert keywords <= options


@pytest.mark.parametrize(("typed", "table"), [(Pretraining, tables.PRETRAIN), (Adjustments, tables.ADJUSTMENTS)])
def test_the_typed_fields_are_those_that_have_an_option(typed: type, table: Any) -> None:
    assert set(get_type_hints(typed)) == {name for names in table.fields.values() for name in names}


@pytest.mark.parametrize(
    "value", [1, 0.1, 1e-05, "cutmix", "0.1", "null", "a: b", "# x", True, None, [1, 2], {"side": 0.5}, "", "ä", "1e-5"]
)
def test_a_setting_is_written_so_that_it_is_read_as_it_was(value: object) -> None:
    *_, word = shlex.split(written("pretrain", {}, {"name": value}))
    assert assignments([word]) == {"name": value}


def test_a_call_and_the_command_that_its_record_names_are_one_run(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    made = api.pretrain(
        method="mocov2", aug="cutmix", epochs=1, data=Path("images"), budget="small", seed=3,
        settings={"size": 16, "batch": 4, "queue": 8, "num_workers": 0},
    )  # fmt: skip
    assert not made.reused
    assert made.metrics.keys() == {"loss"}
    assert made.record.command.startswith("bench pretrain --method mocov2 --aug cutmix --epochs 1 --seed 3")
    Path("names.txt").write_text("bee\nant\n")
    run = api.transfer("knn", made.backbone, seed=1, classes=Path("names.txt"), **KNN)
    seen = api.measure(made.backbone, probe="cutout", data="images", budget="small", settings={"size": 32, "views": 2})
    assert run.record.checkpoint.provenance.aug == "cutmix"
    assert any(note.startswith("classes chosen: the list names.txt") for note in run.record.notes)
    for done in (made, run, seen):
        capsys.readouterr()
        assert typed(*_words(done.record.command)) == 0
        assert "already done" in capsys.readouterr().out
    assert api.transfer("knn", made.backbone, seed=1, classes=Path("names.txt"), **KNN).reused


def _words(command: str) -> list[str]:
    first, *words = shlex.split(command)
    assert first == "bench"
    return words


def test_several_processes_run_the_command_that_asks_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script's own words are none of ours."""
    monkeypatch.setattr(sys, "argv", ["a_script.py", "--whatever"])
    small = {"size": 16, "batch": 4, "queue": 8, "num_workers": 0, "bn_splits": 1}
    made = api.pretrain(data="images", budget="small", epochs=1, device="cpu", devices=2, settings=small)
    assert made.record.environment.devices == 2
    assert "a_script" not in made.record.command


def test_what_is_asked_for_wrongly_is_the_command_lines_error() -> None:
    with pytest.raises(ConfigError, match="unknown key in the configuration: 'epohcs'"):
        api.pretrain(data="images", settings={"epohcs": 1})
    with pytest.raises(ConfigError, match="knn has no --rois"):
        api.transfer("knn", "random:resnet18", data="images", rois=3)
    with pytest.raises(ConfigError, match="unknown target"):
        api.convert("random:resnet18", "caffe", "out.pth")
    with pytest.raises(RecordError, match="no records in runs"):
        api.records()
    assert not Path("runs").exists()


def test_records_and_leaderboard_are_tables(here: Path) -> None:
    for seed in (0, 1):
        api.transfer("knn", "random:resnet18:0", seed=seed, **KNN)
    frame = api.records()
    (name,) = api.transfer("knn", "random:resnet18:0", seed=1, **KNN).metrics
    assert sorted(frame["seed"]) == [0, 1]
    for line in frame.to_dict("records"):
        one = record.read(Path(line["path"]))
        assert line[f"metrics.{name}"] == one.metrics[name]
        assert line["checkpoint.provenance.arch"] == "resnet18"
    board = api.leaderboard("runs", interests={name: 2})
    (line,) = board[board["metric"] == name].to_dict("records")
    assert (line["method"], line["protocol"].split("@")[0], line["untrained"]) == ("random", "knn", True)
    assert line["mean"] == pytest.approx(frame[f"metrics.{name}"].mean())
    broken = here / "runs" / "broken"
    broken.mkdir()
    (broken / "result.json").write_text("{")
    with pytest.warns(UserWarning, match=r"left out: can't read the record runs/broken/result\.json"):
        assert len(api.records("runs")) == 2


def test_a_loaded_backbone_gives_the_features_that_a_probe_reads(here: Path) -> None:
    torch.save({"state_dict": sources.load("random:resnet18:5").state}, "own.pth")
    reading = api.Reading(input_order="BGR", mean="0.4,0.5,0.6", std="1/255")
    network = api.load_backbone("own.pth", size=32, reading=reading)
    images = imagefolder.read(here / "images", needs=()).train
    files = [here / "images" / "train" / name for name in images.names]
    batch = torch.stack([network.preprocess(files[0]), *(network.preprocess(Image.open(file)) for file in files[1:])])
    backbone = reading.load("own.pth")
    model, _ = extractor(backbone, "cpu")
    expected = torch.cat([*centre_features(model, images, backbone.recipe.seen, size=32, batch=4, num_workers=0, device="cpu")])
    with torch.inference_mode():
        found = network(batch)
    assert found.shape == (16, network.width) == (16, 512)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.max()))
    assert [each.shape[1] for each in network.maps(batch)][-1] == 512
    assert not network.training
    assert all(weight.requires_grad for weight in network.parameters())


def test_convert_writes_a_file_and_says_how_to_use_it() -> None:
    done = api.convert("random:resnet18", "timm", Path("out.pth"))
    assert done.file == Path("out.pth")
    assert json.loads(done.about.read_text())["to"] == "timm"
