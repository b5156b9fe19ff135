"""`bench transfer --trials` and `--lr-search`, as a user meets them."""

import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import cli
from bench.options import Place, Setup
from bench.verbs import Finished, trials
from pretrain.core.errors import ConfigError
from transfer import record

WORDS = ["transfer", "--ckpt", "random:resnet18", "--data", "images", "--budget", "small", "--size", "32", "--task"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path]) -> None:
    """An empty working folder with a tiny image folder in it."""
    monkeypatch.chdir(tmp_path)
    lay_images(tmp_path / "images", train=12, val=4)


def bench(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *WORDS, *words])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_trials_are_runs_of_their_own_that_are_reused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["linear-cached", "--set", "epochs=2", "--seed", "3"]
    assert bench(monkeypatch, *words) == 0
    capsys.readouterr()
    assert bench(monkeypatch, *words, "--trials", "2") == 0
    shown = capsys.readouterr().out
    records = sorted((record.read(path) for path in Path("runs").glob("*/result.json")), key=lambda one: one.seed)
    assert [one.seed for one in records] == [3, 4]
    assert len({one.identity for one in records}) == 2
    assert [line.split(":")[0] for line in shown.splitlines() if "result.json" in line] == ["already done", "done"]
    values = [one.metrics["top1"] for one in records]
    assert f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}" in shown
    assert re.search(r"top5 +absent", shown.split("2 seeds, mean")[1])


def test_trials_with_a_folder_lie_in_it_by_their_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench(monkeypatch, "linear-cached", "--set", "epochs=0", "--seed", "1", "--trials", "2", "--out", "here") == 0
    assert sorted(path.parent.name for path in Path("here").glob("*/result.json")) == ["s1", "s2"]


def test_a_trial_that_fails_leaves_those_before_it_done() -> None:
    seen: list[tuple[int, Path | None]] = []

    def one(setup: Setup, place: Place) -> Finished:
        seen.append((setup.seed, place.out))
        if setup.seed == 7:
            raise ConfigError("no")
        return None  # type: ignore[return-value]

    with pytest.raises(ConfigError):
        trials.run(4, Setup(seed=5), Place(out=Path("x")), one)
    assert seen == [(seed, Path(f"x/s{seed}")) for seed in (5, 6, 7)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["knn", "--trials", "0"], "at least one trial is needed"),
        (["knn", "--lr-search"], "knn has no --lr-search"),
        (["linear", "--lr-search", "--set", "held_out=0.01"], "too few training images to choose"),
        (["linear", "--set", "lr_search=[1, 0.1]"], "rising multiples of lr"),
    ],
)
def test_wrong_input_is_refused_and_nothing_written(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, *words) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


def test_a_search_is_recorded_as_a_changed_protocol_with_what_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--lr-search", "--set", "epochs=1", "--set", "held_out=0.25", "--out"]
    for task in ("linear", "linear-cached"):
        assert bench(monkeypatch, task, *words, task) == 0
        found = record.read(Path(task) / "result.json")
        assert len(found.changed["lr_search"]) == 9
        assert found.proof["chosen_lr"] in [pytest.approx(0.1 * factor) for factor in found.changed["lr_search"]]
        assert any(note.startswith("learning rate ") and "6 training images that were held out" in note for note in found.notes)
        assert "learning rate the best of 0.0001, " in found.schedule
        assert {path.suffix for path in Path(task).iterdir()} & {".pth"} == set()
