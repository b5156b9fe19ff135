"""Devices: which there are, which one a process takes, what they are called, and in which arithmetic they compute."""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch

from pretrain.core.errors import ConfigError
from pretrain.core.launcher import launched, processes

WARMED, TIMED = 2, 5
"""Steps on a GPU before those that are timed for an estimate, and those."""
_NODES, _DRIVER = "nvidia[0-9]*", Path("/proc/driver/nvidia/version")
_NUMBER = re.compile(r"Kernel Module.*?(\d+\.\d+(?:\.\d+)?)")


def choose(wanted: str | None, count: int) -> str:
    """Choose `cpu`, `cuda` or one GPU's `cuda:N`: as asked, or cuda where there is one.

    Args:
        wanted: What was asked for.
        count: Processes to start on this machine; where a launcher has started them, that counts.

    Raises:
        ConfigError: If there is no such device, or not one for each process, or if no device was asked for and torch can't use
            the GPUs that this machine has.
    """
    there = torch.cuda.is_available()
    if wanted is None and not there and (reason := unusable()):
        allowed, fix = "--device cpu, to mean it", "see `bench doctor`"
        raise ConfigError("this machine has a GPU, and torch can't use it", seen=reason, allowed=allowed, fix=fix)
    name = wanted or ("cuda" if there else "cpu")
    if name.split(":")[0] == "cuda" and not there:
        seen = f"{name}; {reason}" if (reason := unusable()) else name
        raise ConfigError("CUDA was asked for and there is none", seen=seen, allowed="cpu", fix="see `bench doctor`")
    known = ["cpu", "cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if name not in known:
        raise ConfigError.unknown("device", name, known)
    _require_one_each(name, processes() if launched() else count)
    return name


def precision_of(device: str) -> Literal["bf16", "fp32"]:
    """Choose bf16 where the device has instructions for it: elsewhere it is emulated, and slower than fp32."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.9 and later
    return "bf16" if any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16")) else "fp32"


def _require_one_each(name: str, count: int) -> None:
    if count == 1 or name == "cpu":
        return
    if name != "cuda":
        fix = "--device cuda gives each process a GPU of its own; CUDA_VISIBLE_DEVICES says which"
        raise ConfigError("several processes can't share a GPU", seen=f"--device {name}, {count} processes", fix=fix)
    gpus = torch.cuda.device_count()
    if count > gpus and not launched():
        fix = "lower --devices, or choose --device cpu"
        raise ConfigError("each process needs a GPU of its own", seen=f"--devices {count}, {gpus} GPUs", fix=fix)


def own(device: str) -> str:
    """Resolve `cuda` to this process's own GPU, `cuda:N`, and make a GPU the current one, which libraries take for `cuda`.

    A process that sees a single GPU was given that one, by a scheduler or as a part of a GPU (MIG).

    Raises:
        ConfigError: If a launcher started more processes here than there are GPUs.
    """
    if not device.startswith("cuda"):
        return device
    index = torch.device(device).index
    if index is None:
        gpus, turn = torch.cuda.device_count(), int(os.environ["LOCAL_RANK"]) if launched() else 0
        if turn >= gpus > 1:
            seen = f"process {turn + 1} of this machine, {gpus} GPUs"
            raise ConfigError("each process needs a GPU of its own", seen=seen, fix="start fewer, or choose --device cpu")
        index = min(turn, gpus - 1)
    torch.cuda.set_device(index)
    return f"cuda:{index}"


def identifier(device: str) -> str:
    """Return what tells a GPU from all others, on any machine; empty where torch doesn't say."""
    return str(getattr(torch.cuda.get_device_properties(torch.device(device)), "uuid", ""))


def unusable() -> str | None:
    """Return why torch can't use the GPUs that this machine has; None where it can, or where none is here or to be seen."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    if hidden or torch.version.cuda is None or torch.cuda.is_available() or not any(Path("/dev").glob(_NODES)):
        return None
    reason = "no reason given"
    with contextlib.suppress(AssertionError):
        try:
            torch.cuda.init()
        except RuntimeError as error:
            reason = str(error).partition(". ")[0]
    return f"driver {driver() or 'unknown'}, torch {torch.__version__} for CUDA {torch.version.cuda}: {reason}"


def driver() -> str | None:
    """Read the version of NVIDIA's driver; None where there is none."""
    try:
        found = _NUMBER.search(_DRIVER.read_text())
    except OSError:
        return None
    return found[1] if found else None


def libraries(device: str) -> dict[str, str]:
    """Return the versions of what a GPU's numbers depend on; nothing for the CPU."""
    if not device.startswith("cuda"):
        return {}
    cudnn, nccl = torch.backends.cudnn.version(), None
    with contextlib.suppress(AttributeError, RuntimeError):  # torch was built without it
        nccl = ".".join(map(str, torch.cuda.nccl.version()))
    found = {"driver": driver(), "cuda": torch.version.cuda, "cudnn": cudnn and str(cudnn), "nccl": nccl}
    return {name: version for name, version in found.items() if version}


def compute(*, tf32: bool) -> None:
    """Set whether GPUs do fp32 convolutions in TF32; matrix products stay in fp32, and on CPUs nothing changes."""
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = False


def of_one_size(device: str) -> None:
    """Let cuDNN time its kernels on a GPU and keep the fastest: for runs whose images all have one size."""
    if device.startswith("cuda"):
        torch.backends.cudnn.benchmark = True


def in_tf32(device: str) -> Mapping[str, bool] | None:
    """Return which operations on fp32 numbers the device does in TF32, with 10 bits of mantissa; None for the CPU."""
    if not device.startswith("cuda"):
        return None
    return {"convolutions": torch.backends.cudnn.allow_tf32, "matrix products": torch.backends.cuda.matmul.allow_tf32}


def peak_memory_mib(device: str) -> float | None:
    """Return the most memory that torch held of a GPU since `reset_peak_memory`, in MiB; None for the CPU."""
    return round(torch.cuda.max_memory_allocated(device) / 2**20, 1) if device.startswith("cuda") else None


def reset_peak_memory(device: str) -> None:
    """Start a new peak of a GPU's memory."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
