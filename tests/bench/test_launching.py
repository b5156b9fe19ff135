"""A command that starts several processes checks what it is asked for, leaves them an index of the data, and waits."""

import gc
from pathlib import Path
from typing import Any

import pytest

from bench.verbs import Plan
from pretrain.core import launcher
from pretrain.images.imageset import ImageSet
from pretrain.images.stores import index
from pretrain.images.training_set import TrainingSet
from transfer.sources import Backbone

COMMANDS = {
    "pretrain": ("--arch", "resnet18", "--set", "batch=8", "--set", "size=32", "--set", "queue=16"),
    "transfer": ("--task", "linear", "--ckpt", "random:resnet18", "--set", "batch=8"),
    "measure": (
        "--ckpt",
        "random:resnet18",
    ),
}


def held(before: frozenset[int] = frozenset()) -> list[str]:
    """Kinds of all objects in memory that hold data or a network, but for those of before."""
    gc.collect()
    found = [each for each in gc.get_objects() if issubclass(type(each), (ImageSet, TrainingSet, Backbone, Plan))]
    return sorted(type(each).__name__ for each in found if id(each) not in before)


@pytest.mark.parametrize("verb", COMMANDS)
def test_it_holds_neither_data_nor_networks_while_it_waits(
    verb: str, here: Path, typed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(here / "cache"))
    monkeypatch.setattr(index, "WORTH", 1)
    gc.collect()
    before = frozenset(map(id, gc.get_objects()))
    waiting: list[Any] = []
    monkeypatch.setattr(
        launcher, "launch", lambda processes, words: waiting.append((processes, held(before), [*here.glob("cache/index-*.v1")]))
    )
    code = typed(verb, *COMMANDS[verb], "--data", "images", "--device", "cpu", "--devices", "2")
    assert code == 2  # the stub leaves no record
    [(processes, kept, indices)] = waiting
    assert (processes, kept) == (2, [])
    assert len(indices) == 2  # of train and val
    assert not (here / "runs").exists()
