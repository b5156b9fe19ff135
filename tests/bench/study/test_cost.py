"""What cells will take, by what the records of others say and their logs tell."""

import json
from pathlib import Path

import pytest

from bench.study.cells import Cell
from bench.study.cost import Costs
from bench.study.records import RESULT, Records
from pretrain.core.journal import METRICS

START, STEP, STEPS = 30.0, 0.5, 2
"""Seconds before the first step and of a step, and steps of an epoch, of the runs here."""
IMAGES = 128


def planned(study, epochs: int) -> Cell:
    """Plan a study of one pre-training of so many epochs."""
    (cell,) = study.write(f"pretrain: {{a: {{set: {{arch: resnet18, epochs: {epochs}}}}}}}").pretrainings
    return cell


def ran(study, epochs: int, *, log: bool = True, speed: bool = True) -> float:
    """Write what a pre-training of so many epochs leaves; returns the seconds that it took."""
    folder, steps = Path(f"runs/{epochs}"), epochs * STEPS
    folder.mkdir(parents=True)
    took = START + steps * STEP
    rows = [{"stage": "pretrain", "step": n, "of": steps, "seconds": START + n * STEP} for n in range(1, steps + 1)]
    rows += [{"stage": "monitor", "step": epochs, "of": epochs, "seconds": took}]
    if log:
        (folder / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = {"arch": "resnet18", "method": "mocov2", "seed": 0, "epochs": epochs}
    record = planned(study, epochs).says | {
        "checkpoint": {"sha256": folder.name, "source": "bench", "provenance": made},
        "data": {"name": "shapes", "fingerprint": "f", "train": IMAGES},
        "environment": {"hardware": "a processor"},
        "images_per_second": IMAGES / (STEPS * STEP) if speed else None,
        "wall_seconds": took,
        "peak_memory_mib": 10.0,
    }
    (folder / RESULT).write_text(json.dumps(record))
    return took


def estimated(study, epochs: int) -> float:
    """Seconds that a pre-training of so many epochs is estimated to take."""
    records = Records((Path("runs"),))
    records.look()
    estimate = Costs(records.all()).of(planned(study, epochs))
    assert estimate is not None
    assert estimate.source.startswith("1 record of")
    return estimate.seconds


@pytest.mark.parametrize("log", [True, False])
def test_what_comes_before_the_first_step_is_counted_once_for_a_run_however_long(study, log: bool) -> None:
    ran(study, 1, log=log)
    assert estimated(study, 100) == pytest.approx(START + 100 * STEPS * STEP)


def test_a_run_of_the_same_length_takes_what_the_record_took(study) -> None:
    took = ran(study, 3, speed=False)
    assert estimated(study, 3) == pytest.approx(took)


def test_a_record_that_tells_of_no_step_is_scaled_as_a_whole(study) -> None:
    took = ran(study, 2, log=False, speed=False)
    assert estimated(study, 6) == pytest.approx(3 * took)
