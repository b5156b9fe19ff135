"""What rows cost, by hand, and the Pareto front against its definition."""

import random
import runpy
from pathlib import Path

from transfer.board.cost import front, mean, total

_shared = runpy.run_path(str(Path(__file__).resolve().parents[2] / "sample_records.py"))
made = _shared["made"]
HARDWARE = {"versions": {}, "commit": None, "hardware": "a processor", "threads": 1}


def _runs():
    return [
        made(wall_seconds=3600.0, images_per_second=100.0, peak_memory_mib=500.0),
        made(wall_seconds=7200.0, images_per_second=None, peak_memory_mib=900.0, environment=HARDWARE | {"devices": 4}),
    ]


def test_device_hours_count_every_device_and_memory_is_the_largest():
    found = total(_runs())
    assert (found.runs, found.wall_hours, found.device_hours) == (2, 3.0, 9.0)
    assert (found.images_per_second, found.peak_memory_mib, found.peak_gpu_mib) == (100.0, 900.0, None)
    assert total([*_runs(), made(peak_gpu_mib=4000.0), made(peak_gpu_mib=5000.0)]).peak_gpu_mib == 5000.0


def test_a_cost_says_all_the_hardware_that_it_was_on():
    elsewhere = made(environment=HARDWARE | {"hardware": "an accelerator"})
    assert [total(runs).hardware for runs in (_runs(), [*_runs(), elsewhere])] == [
        "a processor",
        "a processor and an accelerator",
    ]


def test_the_mean_is_over_repetitions_and_there_is_none_without_a_run():
    found = mean(_runs())
    assert (found.wall_hours, found.device_hours, found.peak_memory_mib) == (1.5, 4.5, 900.0)
    assert mean([]) is None
    assert mean(_runs()[1:]).images_per_second is None


def test_the_front_holds_exactly_the_points_that_no_other_beats():
    draw = random.Random(0)
    for _ in range(50):
        points = [(draw.randint(0, 6), draw.randint(0, 6)) for _ in range(8)]
        beaten = {
            place
            for place, (cost, score) in enumerate(points)
            if any((c <= cost and s >= score) and (c, s) != (cost, score) for c, s in points)
        }
        found = front(points)
        assert set(found) == set(range(len(points))) - beaten
        assert [points[place][0] for place in found] == sorted(points[place][0] for place in found)
