"""`--dry-run` says what a run would be, of a transfer as of a pre-training, and writes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from transfer.engines import estimate
from transfer.engines.estimate import Step, Work

Typed = Callable[..., int]
KNN = ("transfer", "--task", "knn", "--data", "images", "--ckpt", "random:resnet18", "--set", "neighbours=3", "--size", "32")
PRETRAIN = ("pretrain", "--data", "images", "--budget", "small", "--set", "batch=8", "--set", "size=16", "--epochs", "1")


@pytest.mark.parametrize("words", [KNN, PRETRAIN])
def test_it_says_settings_memory_time_and_folder_and_writes_nothing(
    words: tuple[str, ...], here: Path, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(here.rglob("*"))
    assert typed(*words, "--dry-run") == 0
    out, said = capsys.readouterr()
    assert out == ""
    for start in (
        ("seed: 0", "memory: ", "time: about ", "folder: runs/") if words is PRETRAIN else ("neighbours: 3  # not as",)
    ):
        assert any(line.startswith(start) for line in said.splitlines()), start
    assert ", new" in said.splitlines()[-1]
    assert sorted(here.rglob("*")) == before


def test_a_run_that_is_done_is_said_to_be_so(here: Path, typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(*KNN) == 0
    capsys.readouterr()
    assert typed(*KNN, "--dry-run", "--trials", "2") == 0
    *_, folder, trials = capsys.readouterr().err.splitlines()
    assert folder.endswith("it is done already, and would not run again")
    assert trials == "2 seeds, from 0 on: each takes that"


def test_what_a_run_refuses_its_dry_run_refuses(here: Path, typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--set", "neighbors=3"), ("--trials", "0"), ("--out", "images")):
        assert typed(*KNN, "--dry-run", *words) == 2
    assert "did you mean 'neighbours'?" in capsys.readouterr().err


def test_what_is_kept_for_the_backward_pass_is_counted_without_the_weights() -> None:
    network = nn.Linear(4, 2)
    images = torch.zeros(5, 4)

    def do() -> Work:
        network(images.clone()).square().sum().backward()
        return Work(trained=5)

    assert estimate.activations(Step(network, do)) == 4 * (4 + 2)  # of each image what goes in, and what is squared
    assert estimate.activations(Step(network, lambda: Work(forwarded=5))) == 0
