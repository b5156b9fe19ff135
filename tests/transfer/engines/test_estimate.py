"""The estimate of a run's time."""

import random
import time

import numpy as np
import pytest
import torch

from pretrain.core import devices
from transfer.engines import estimate
from transfer.engines.estimate import BACKWARD_COST, Work


def test_a_trained_image_costs_its_forward_pass_and_the_backward_cost() -> None:
    assert Work(trained=2, forwarded=5).passes == 2 * (1 + BACKWARD_COST) + 5


@pytest.mark.parametrize("step", [Work(trained=1), Work(forwarded=8), Work(trained=2)])
def test_the_whole_takes_as_long_as_its_passes_at_the_speed_of_the_step(step: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def work() -> Work:
        now[0] += 0.5 * step.passes  # half a second for each forward pass
        return step

    assert estimate.seconds(Work(trained=100, forwarded=40), work, "cpu") == pytest.approx(0.5 * 340)


def test_only_the_second_step_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    now, costs = [0.0], iter((100.0, 1.0))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def work() -> Work:
        now[0] += next(costs)
        return Work(forwarded=1)

    assert estimate.seconds(Work(forwarded=7), work, "cpu") == pytest.approx(7)


def test_a_gpu_has_finished_each_step_before_the_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append(f"{device} finished"))
    monkeypatch.setattr(time, "monotonic", lambda: events.append("clock") or float(len(events)))

    def work() -> Work:
        events.append("step")
        return Work(forwarded=1)

    estimate.seconds(Work(forwarded=1), work, "cuda:1")
    finished = ["cuda:1 finished", "clock"]
    assert events == ["step"] * devices.WARMED + finished + ["step"] * devices.TIMED + finished


@pytest.mark.parametrize(("device", "generators"), [("cpu", []), ("cuda:1", ["cuda:1"])])
def test_the_generators_of_other_processes_gpus_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, device: str, generators: list[str]
) -> None:
    saved, state = [], torch.zeros(8, dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: saved.append(device) or state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: None)
    with estimate.without_drawing(device):
        assert list(map(str, saved)) == generators


def test_what_is_drawn_for_an_estimate_moves_no_number_of_the_run() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    expected = draw()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    with estimate.without_drawing("cpu"):
        draw()
    assert draw() == expected
