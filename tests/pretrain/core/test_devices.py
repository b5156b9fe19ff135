"""Which device a process takes, on machines that torch is told to be."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pretrain.core import devices, group
from pretrain.core.errors import ConfigError

Machine = Callable[..., list[int]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Gives the machine so many GPUs, and this process a place among those that a launcher started; returns what is set as the
    current GPU.
    """
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)

    def make(gpus: int, local_rank: int | None = None, world: int = 2) -> list[int]:
        current: list[int] = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "set_device", current.append)
        if local_rank is not None:
            variables = {
                "RANK": local_rank,
                "LOCAL_RANK": local_rank,
                "WORLD_SIZE": world,
                "MASTER_ADDR": "x",
                "MASTER_PORT": 1,
            }
            for name, value in variables.items():
                monkeypatch.setenv(name, str(value))
        return current

    return make


def test_a_process_makes_its_gpu_the_current_one(machine: Machine) -> None:
    current = machine(4)
    assert [devices.own(name) for name in ("cpu", "cuda", "cuda:2")] == ["cpu", "cuda:0", "cuda:2"]
    assert current == [0, 2]
    with group.group("cuda:1") as device:
        assert (device, current[-1]) == ("cuda:1", 1)


def test_each_of_several_processes_takes_the_gpu_of_its_turn(machine: Machine) -> None:
    machine(4, local_rank=3)
    assert devices.own("cuda") == "cuda:3"


def test_a_process_that_sees_one_gpu_was_given_it(machine: Machine) -> None:
    machine(1, local_rank=3)
    assert devices.own("cuda") == "cuda:0"


def test_more_processes_than_gpus_here_are_refused(machine: Machine) -> None:
    machine(2, local_rank=2, world=3)
    with pytest.raises(ConfigError, match="process 3 of this machine, 2 GPUs"):
        devices.own("cuda")


@pytest.mark.parametrize("launched", [None, 0])
def test_several_processes_on_one_named_gpu_are_refused(machine: Machine, launched: int | None) -> None:
    machine(4, local_rank=launched, world=4)
    with pytest.raises(ConfigError, match=r"can't share a GPU\n.*--device cuda:1, 4 processes"):
        devices.choose("cuda:1", 4)
    assert devices.choose("cuda", 4) == "cuda"


class _Store(dict[str, bytes]):
    def set(self, key: str, value: str) -> None:
        self[key] = value.encode()

    get = dict.__getitem__  # type: ignore[assignment]


def test_two_processes_on_one_gpu_are_refused() -> None:
    store = _Store()
    store.set("bench/gpu/1", "GPU-a")
    with pytest.raises(ConfigError, match="2 processes, several of them on GPU GPU-a"):
        group._require_one_each("GPU-a", store, 0, 2)  # type: ignore[arg-type]
    group._require_one_each("GPU-b", store, 0, 2)  # type: ignore[arg-type]
    store.set("bench/gpu/1", "")  # a torch that doesn't say
    group._require_one_each("", store, 0, 2)  # type: ignore[arg-type]


@pytest.fixture
def old_driver(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A GPU whose driver is too old for torch, which then only warns that there is none."""
    machine(0)
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n")
    node = tmp_path / "nvidia0"
    node.touch()

    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver")

    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(devices, "_DRIVER", version)
    monkeypatch.setattr(devices, "Path", lambda path: tmp_path if path == "/dev" else Path(path))


@pytest.mark.usefixtures("old_driver")
def test_a_driver_that_is_too_old_is_an_error_and_no_silent_run_on_the_cpu() -> None:
    with pytest.raises(
        ConfigError, match=r"torch can't use it\n.*driver 535\.104\.05, .*CUDA 13\.0: .*too old \(found version"
    ):
        devices.choose(None, 1)
    assert devices.choose("cpu", 1) == "cpu"
    with pytest.raises(ConfigError, match=r"there is none\n  seen:    cuda; driver 535\.104\.05"):
        devices.choose("cuda", 1)


@pytest.mark.usefixtures("old_driver")
@pytest.mark.parametrize("hidden", ["", "-1"])
def test_gpus_that_were_hidden_are_not_missed(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert devices.choose(None, 1) == "cpu"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)\n", "580.65.06"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.42  Mon\nGCC version: gcc 9.4.0\n", "470.42"),
        ("something else", None),
    ],
)
def test_the_drivers_version_is_read(text: str, version: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "version").write_text(text)
    monkeypatch.setattr(devices, "_DRIVER", tmp_path / "version")
    assert devices.driver() == version


def test_the_arithmetic_of_fp32_is_set_and_said() -> None:
    devices.compute(tf32=False)
    assert devices.in_tf32("cuda:0") == {"convolutions": False, "matrix products": False}
    devices.compute(tf32=True)
    assert devices.in_tf32("cuda:0") == {"convolutions": True, "matrix products": False}
    assert devices.in_tf32("cpu") is None


def test_a_cpu_has_neither_a_drivers_version_nor_a_gpus_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (devices.libraries("cpu"), devices.peak_memory_mib("cpu")) == ({}, None)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "nccl", SimpleNamespace(version=lambda: (2, 27, 3)))
    found = devices.libraries("cuda:0")
    assert (found["cuda"], found["nccl"]) == ("13.0", "2.27.3")
