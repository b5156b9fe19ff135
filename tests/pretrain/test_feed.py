"""Batches on their way to the steps; a GPU's streams are stand-ins that note what they are told."""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pretrain import feed
from pretrain.augment.mixed import Mixed
from pretrain.batch import Batch, Progress
from pretrain.core import workers
from pretrain.core.journal import Journal

GIVEN = [([torch.full((2, 3, 4, 4), step)], torch.full((2,), step), torch.arange(2)) for step in range(3)]


class Stream:
    """Notes which streams it waits for, and in which order."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told

    def wait_stream(self, other: "Stream") -> None:
        self.told.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a GPU's streams are told."""
    told: list[str] = []
    main = Stream("main", told)

    @contextlib.contextmanager
    def on(stream: Stream) -> Iterator[None]:
        told.append(f"on {stream.name}")
        yield
        told.append(f"off {stream.name}")

    monkeypatch.setattr(torch.cuda, "Stream", lambda _: Stream("side", told))
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: main)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: told.append(f"kept for {stream.name}"))
    return told


def trainer(device: str, asked: tuple[str, ...] = ()) -> Any:
    def views(step: int, crops: list[torch.Tensor], labels: torch.Tensor) -> Batch:
        assert int(labels[0]) == step  # each step's own crops
        view = crops[0].float()
        return Batch((Mixed(view, labels[:, None], view[:, 0, 0]),), (view,), labels, labels, Progress(step, 3, 0, 1))

    return SimpleNamespace(device=device, asked=asked, views=views)


def test_on_a_gpu_the_views_of_a_step_are_made_on_a_stream_of_their_own(told: list[str]) -> None:
    steps = feed.Feed(trainer("cuda:0"), GIVEN, 0, Journal())
    crops, labels, made = next(steps)
    assert made is not None
    assert torch.equal(made.clean[0], crops[0].float())
    assert torch.equal(made.labels, labels)
    assert told == ["on side", "off side", "main waits for side", *["kept for main"] * 5]
    assert [made.progress.step for _, _, made in steps if made is not None] == [1, 2]


@pytest.mark.parametrize(("device", "asked"), [("cpu", ()), ("cuda:0", ("saliency",))])
def test_on_a_cpu_and_for_what_asks_the_network_nothing_is_made_ahead(
    device: str, asked: tuple[str, ...], told: list[str]
) -> None:
    fed = list(feed.Feed(trainer(device, asked), GIVEN, 0, Journal()))
    assert [int(labels[0]) for _, labels, _ in fed] == [0, 1, 2]
    assert all(made is None for _, _, made in fed)
    assert told == []


def test_a_loader_that_keeps_a_gpu_waiting_is_logged_and_told_once(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    clock, said = [0.0], []
    monkeypatch.setattr(feed.time, "monotonic", lambda: clock[0])

    def slow() -> Iterator[Any]:
        for batch in GIVEN:
            clock[0] += 20
            yield batch

    steps = feed.Feed(trainer("cuda:0"), slow(), 0, Journal(None, lambda text, *_: said.append(text)))
    for _ in range(2):
        next(steps)
        clock[0] += 60
        assert steps.waited() == {"loader_wait": 0.25}
    assert len(said) == 1
    assert "14% of the time" in said[0]  # 20 of 140 seconds since the first batch
    assert "num_workers" in said[0]
    assert feed.Feed(trainer("cpu"), GIVEN, 0, Journal()).waited() == {}


def test_a_first_batch_that_is_waited_for_tells_nothing(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    clock, waits, said = [0.0], iter([40.0, 0.0, 0.0]), []
    monkeypatch.setattr(feed.time, "monotonic", lambda: clock[0])

    def starting() -> Iterator[Any]:
        for batch in GIVEN:
            clock[0] += next(waits)
            yield batch

    steps = feed.Feed(trainer("cuda:0"), starting(), 0, Journal(None, lambda text, *_: said.append(text)))
    shares = []
    for _ in range(3):
        next(steps)
        clock[0] += 40
        shares.append(steps.waited()["loader_wait"])
    assert shares == [0.5, 0, 0]
    assert said == []


@pytest.mark.parametrize(("cores", "processes", "expected"), [(96, 8, 10), (2, 1, 2), (64, 1, 16), (16, 1, 14)])
def test_loader_processes_of_a_gpu_are_counted_from_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, expected: int
) -> None:
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(workers, "processes_here", lambda: processes)
    assert workers.count("auto", "cuda:1") == expected
    assert workers.count("auto", "cpu") == 2
    assert workers.count("auto", "cpu", on_cpu=0) == 0
    assert workers.count(5, "cuda") == 5
