"""The cases of `equal_losses.py`, run in one go and stopped and resumed: every loss is equal to the last bit."""

import os
import runpy
import signal
import sys
from pathlib import Path

import pytest

from bench import cli

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[1] / "benchmarks/equal_losses.py"))
WORDS = "base"
"""Which words of a case the command line takes: `base` before a method's settings are its own, `new` since."""
CASES = (
    "none, BN in 2 parts, shuffled",
    "none, AdamW",
    "none, queue filled first",
    "random-erasing, both views",
    "full, mean-positives, cutmix, i-mix",
    "semi, drop-negatives, mixup, un-mix",
    "MoCo v1",
    "supervised, cutmix",
    "linear",
)
"""Between them all that a checkpoint holds, and all that is drawn."""
STOP, STEPS = 1, 3
"""Optimiser steps before the stop, and in all; an epoch has two."""


class Enough(Exception):  # noqa: N818
    """The run has made as many steps as are compared."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("work")
    SCRIPT["lay_images"](folder / "images", train=8, val=2)
    return folder


@pytest.fixture(autouse=True)
def here(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    monkeypatch.delenv("BENCH_DATA", raising=False)


def losses(monkeypatch: pytest.MonkeyPatch, words: list[str], *, stop: int = 0, enough: int = 0) -> list[str]:
    """Those of a command that is asked to stop in one step, or ended without a word in another."""
    found: list[str] = []

    def tell(loss: str) -> None:
        found.append(loss)
        if len(found) == stop:
            os.kill(os.getpid(), signal.SIGTERM)
        if len(found) == enough:
            raise Enough

    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with SCRIPT["recorded"](tell), pytest.raises(Enough if enough else SystemExit):
        cli.main()
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_run_that_was_stopped_and_resumed_has_the_losses_of_one_in_one_go(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    command = [*SCRIPT["CASES"][name].command(WORDS), "--set", "size=16"]
    whole = losses(monkeypatch, [*command, "--out", f"{name}, whole"], enough=STEPS)
    stopped = losses(monkeypatch, [*command, "--out", name], stop=STOP)
    resumed = losses(monkeypatch, [*command, "--out", name], enough=STEPS - STOP)
    assert len(stopped) == STOP
    assert [*stopped, *resumed] == whole
