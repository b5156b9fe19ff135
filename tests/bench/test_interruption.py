"""Signals, broken starts and other settings, as a user of the command line meets them."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bench import cli
from bench.runs import folder, lifecycle
from bench.verbs import measure
from pretrain.core.errors import ConfigError, TrainingError
from pretrain.trainer import Trainer
from transfer import record

PRETRAIN = ["pretrain", "--budget", "small", "--epochs", "3", "--data", "images", "--device", "cpu", "--out", "run"]
PRETRAIN += ["--set", "size=16", "--set", "batch=4", "--set", "queue=8", "--set", "num_workers=0"]
MEASURE = ["measure", "--budget", "small", "--data", "images", "--ckpt", "random:resnet18", "--out", "run"]
MEASURE += ["--set", "size=32", "--set", "batch=2", "--set", "views=2"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: Callable[..., Path]) -> Path:
    """A working folder with a tiny image folder in it."""
    monkeypatch.chdir(tmp_path)
    lay_images(tmp_path / "images", train=4, val=2)
    return tmp_path


def bench(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["/some/where/bench/__main__.py", *words])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def signal_in_step(monkeypatch: pytest.MonkeyPatch, step: int, by: signal.Signals) -> None:
    whole = Trainer.step

    def hit(self: Trainer, at: int, *more: object) -> tuple[float, float]:
        if at == step:
            os.kill(os.getpid(), by)
        return whole(self, at, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "step", hit)


def test_a_signal_saves_the_step_it_came_in_and_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as within:
        signal_in_step(within, 2, signal.SIGTERM)
        assert bench(monkeypatch, *PRETRAIN) == 143
    shown = capfd.readouterr().err
    assert "Traceback" not in shown
    assert shown.rstrip().splitlines()[-1] == (
        f"bench: stopped by SIGTERM; saved: step 3 of 6; to go on: bench {' '.join(PRETRAIN)}"
    )
    assert {"last.pth", "config.yaml"} <= {path.name for path in Path("run").iterdir()}
    assert not Path("run/result.json").exists()
    assert bench(monkeypatch, *PRETRAIN) == 0
    assert "resuming after step 3" in Path("run/log.txt").read_text()
    assert record.read(Path("run/result.json")).command == f"bench {' '.join(PRETRAIN)}"
    assert not list(Path("run").glob(".*"))


def test_a_signal_where_nothing_can_be_saved_ends_the_command_which_then_starts_again_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as within:
        within.setattr(measure, "introduce", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        assert bench(monkeypatch, *MEASURE) == 130
    assert "bench: stopped by SIGINT; saved: nothing of 'representation', which starts again" in capfd.readouterr().err
    assert Path("run/config.yaml").is_file()
    assert bench(monkeypatch, *MEASURE) == 0
    assert "nothing saved in run yet: starting at step 0" in Path("run/log.txt").read_text()
    assert bench(monkeypatch, *MEASURE, "--set", "views=3") == 2
    assert "seen:    views: 2 there, 3 now" in capfd.readouterr().err


def test_a_signal_outside_a_run_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "app", lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert bench(monkeypatch, "report") == 143
    assert capfd.readouterr().err == "bench: stopped at once by SIGTERM; the same command starts again\n"


def test_what_breaks_because_of_a_signal_is_not_shown_as_broken(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Trainer, *more: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("DataLoader worker is killed by signal: Terminated")

    monkeypatch.setattr(Trainer, "step", broken)
    assert bench(monkeypatch, *PRETRAIN) == 143
    shown = capfd.readouterr().err
    assert "saved: nothing since the last checkpoint" in shown
    assert "Traceback" not in shown


def _run(**config: object) -> folder.RunFolder:
    return folder.locate("run", {"kind": "pretrain", **config}, config, Path("run"), "bench pretrain")


def test_a_start_that_was_killed_hinders_no_later_one() -> None:
    run = _run(lr=0.1)
    whole = yaml.safe_dump(run.config, sort_keys=False)
    for left in (None, *(whole[:size] for size in range(len(whole)))):
        shutil.rmtree("run", ignore_errors=True)
        Path("run").mkdir()
        Path("run/.lock").write_text("process 1 on elsewhere")
        Path("run/.last.pth.17.tmp").write_bytes(b"half of it")
        if left is not None:
            Path("run/config.yaml").write_text(left)
        assert folder.finished(run) is None
    with lifecycle.held(run):
        assert lifecycle.start(run)
        assert sorted(path.name for path in Path("run").iterdir()) == [".lock", "command.txt", "config.yaml"]
    assert Path("run/config.yaml").read_text() == whole


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("folder_version: 2\nkind: pretrain\nlr: 0.1\nidentity: other\n", "is of another run\n.*lr: 0.1 there, 0.2 now"),
        ("kind: pretrain\nlr: 0.1\nidentity: other\n", "another version of bench(.|\n)*seen: (.|\n)*allowed: (.|\n)*do: "),
        ("folder_version: 3\nlr: 0.1\nidentity: other\n", "seen:    folder_version: 3 in run/config.yaml"),
        ("name: my own\n", "is not of a run"),
        ("- a\n- b\n", "is not of a run"),
        ("a: [", "can't read"),
        ("\xff\xfe", "can't read|is not of a run"),
    ],
)
def test_a_folder_of_something_else_is_refused_and_stays_as_it_is(content: str, said: str) -> None:
    Path("run").mkdir()
    Path("run/config.yaml").write_text(content, encoding="latin-1")
    before = Path("run/config.yaml").read_bytes()
    with pytest.raises(ConfigError, match=said):
        folder.finished(_run(lr=0.2))
    assert Path("run/config.yaml").read_bytes() == before


@pytest.mark.parametrize(("error", "stays"), [(ConfigError("wrong"), False), (TrainingError("nan"), True), (KeyError(), True)])
def test_a_new_folder_goes_with_a_mistake_and_stays_with_anything_else(error: Exception, stays: bool) -> None:
    def fail() -> None:
        with lifecycle.held(_run()):
            lifecycle.start(_run())
            raise error

    with pytest.raises(type(error)):
        fail()
    assert Path("run").exists() == stays
    assert not Path("run/.lock").exists()
