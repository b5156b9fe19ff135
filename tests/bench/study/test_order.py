"""What the local order makes of a study: devices don't idle while anything could run."""

import pytest

from bench.study.order import Order, play

STUDY = """
pretrain: {{a: {{set: {{supervision: self}}, grid: {{aug: [none, cutmix, mixup, cutout], epochs: [1, 2, 3]}}, seeds: 4}}}}
evaluate: [{{of: a, task: [knn, linear, voc07], trials: 4}}]
resources: [{{when: {{kind: pretrain, epochs: 3}}, devices: {gang}}}]
"""
SECONDS = {"pretrain": 24 * 3600.0, "knn": 900.0, "linear": 5 * 3600.0, "voc07": 8 * 3600.0}


@pytest.mark.parametrize(("devices", "gang"), [(8, 1), (16, 1), (8, 8), (16, 8)])
def test_devices_idle_under_2_percent_of_a_study_of_600_cells(devices: int, gang: int, study) -> None:
    plan = study.write(STUDY.format(gang=gang))

    def seconds(cell: object) -> float:
        return SECONDS[cell.values["task"]] * max(cell.epochs, 1) / cell.resource.devices

    played = play(plan.cells, Order(plan, seconds), seconds, devices, start=30.0)
    work = sum(seconds(cell) * cell.resource.devices for cell in plan.cells.values())
    assert played.busy == pytest.approx(work / devices / played.seconds)
    assert played.seconds >= max(played.path, work / devices)
    assert 1 - played.busy < 0.02
