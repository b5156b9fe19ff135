"""`bench measure` as typed: what a reference adds to a record."""

from collections.abc import Callable
from pathlib import Path

import pytest

from transfer import record, sources
from transfer.representation import measure

Typed = Callable[..., int]
WORDS = [
    "measure",
    "--data",
    "images",
    "--budget",
    "small",
    "--ckpt",
    "random:resnet18:0",
    "--set",
    "size=32",
    "--set",
    "views=2",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path]) -> None:
    """An empty working folder with a tiny image folder in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    lay_images(tmp_path / "images", train=2, val=6)


def test_measurements_beside_different_references_are_of_different_protocols(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    records = {}
    for name, words in (
        ("none", []),
        ("itself", ["--set", "reference=random:resnet18:0"]),
        ("another", ["--set", "reference=random:resnet18:1"]),
    ):
        assert typed(*WORDS, *words, "--out", name) == 0
        records[name] = record.read(Path(name) / "result.json")
    assert {one.version for one in records.values()} == {measure.VERSION}
    assert "CKA" not in records["none"].metrics
    assert records["itself"].metrics["CKA"] == pytest.approx(1)
    assert (records["another"].metrics["CKA"] or 2) < 1
    assert "reference" not in records["none"].changed
    for seed, name in enumerate(("itself", "another")):
        assert records[name].changed["reference"] == sources.load(f"random:resnet18:{seed}").sha256
        assert records[name].metrics["Linv"] == records["none"].metrics["Linv"]
    assert "measured_images      12\n" in capsys.readouterr().out.replace("  (N of the spectrum)", "")


def test_a_reference_that_is_not_there_is_one_message_before_anything_is_written(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(*WORDS, "--set", "reference=missing.pth") == 2
    assert "missing.pth" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize("value", ["3", "null", "[side]"])
def test_a_sweep_over_options_that_are_no_fields_is_one_message(
    value: str, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(*WORDS, "--probe", "cutout", "--set", f"probe_options={value}", "--sweep", "side=0.1") == 2
    shown = capsys.readouterr().err
    assert "probe_options are no fields to sweep one of" in shown
    assert "allowed: {field: value} of the probe" in shown
    assert not Path("runs").exists()
