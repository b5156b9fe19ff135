"""What a record says a run ran on: its own device, whatever else the machine has."""

import pytest
import torch

from bench.runs.environment import environment
from bench.verbs import doctor
from pretrain.core import devices


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs of different kinds."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=0: f"GPU of {device}")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91900)
    monkeypatch.setattr(devices, "driver", lambda: "580.65.06")


def test_a_run_on_the_cpu_is_recorded_as_that_on_a_machine_with_gpus_too() -> None:
    found = environment("cpu")
    assert found.hardware.endswith("cores")
    assert found.tf32 is None
    assert "driver" not in found.versions


def test_a_run_on_a_gpu_names_it_and_what_its_numbers_depend_on() -> None:
    devices.compute(tf32=False)
    found = environment("cuda:1")
    devices.compute(tf32=True)
    assert found.hardware == "GPU of cuda:1"
    assert found.versions["driver"] == "580.65.06"
    assert found.tf32 == {"convolutions": False, "matrix products": False}


def test_the_doctor_names_all_gpus_and_says_of_one_that_cannot_be_used_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._gpus() == ("cuda", "GPU of 0, GPU of 1; driver 580.65.06", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "unusable", lambda: "driver 470, too old")
    assert doctor._gpus()[1] == "unusable: driver 470, too old"
    monkeypatch.setattr(devices, "unusable", lambda: None)
    assert "--gpus all" in doctor._gpus()[2]
    monkeypatch.setattr(devices, "driver", lambda: None)
    assert doctor._gpus()[1] == "none"
