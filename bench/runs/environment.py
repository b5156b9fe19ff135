"""What a run ran on: versions, commit, hardware, memory."""

import contextlib
import importlib.metadata
import os
import platform
import resource
import subprocess
from pathlib import Path

from bench import __version__
from transfer.record import Environment

PROJECT = "bench-transfer"
OPTIONAL = ("mmengine", "mmcv-lite", "onedl-mmsegmentation")
"""Those of `PACKAGES` that come with the extra `mmseg`."""
PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    *OPTIONAL,
    "pycocotools",
)
"""Packages whose versions a record states, beside the project's own, and `bench doctor` lists."""
_HOME = Path(__file__).resolve().parents[2]
"""Root of this project, where it runs from a checkout."""


def environment(device: str) -> Environment:
    """Read versions, commit and hardware of this process, which ran on the device `cpu` or `cuda:N`."""
    import torch

    from pretrain.core import devices, distributed

    versions = {"python": platform.python_version(), PROJECT: __version__}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return Environment(
        versions=versions | devices.libraries(device),
        commit=_commit(),
        hardware=f"{_processor()}, {os.cpu_count()} cores" if device == "cpu" else torch.cuda.get_device_name(device),
        threads=torch.get_num_threads(),
        devices=distributed.world(),
        tf32=devices.in_tf32(device),
    )


def peak_memory_mib() -> float:
    """Largest resident memory of this process since `reset_peak_memory`, in MiB; where the system has no such reset, since
    the process began.
    """
    # psutil is no help: on Linux it has no peak.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    unit = 1024 if platform.system() == "Linux" else 1024**2  # kibibytes on Linux, bytes on macOS
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def reset_peak_memory() -> None:
    """Start a new peak on Linux; elsewhere the peak stays that of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Commit of this project's checkout, with `+` if tracked files were changed; None where it was installed otherwise."""
    if not (_HOME / ".git").exists():
        return None
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return f"{head}+" if _git("status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(_HOME), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
