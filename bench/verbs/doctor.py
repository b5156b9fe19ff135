"""`bench doctor`: show what is here, what is missing, and what to do about it."""

import importlib.metadata
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from bench import __version__, output, places
from bench.answers import Examined, Finding
from bench.runs.environment import OPTIONAL, PACKAGES, PROJECT
from pretrain.core.counts import counted

Line = tuple[str, str, str]
"""What was looked for, what was found, what to do about it; the last is empty where nothing is wrong."""


def show(*, as_json: bool = False) -> None:
    """Print versions, devices, engines and data roots."""
    found = Examined(findings=[Finding(*line) for line in (*_versions(), *_devices(), *_engines(), *_data())])
    if as_json:
        return found.show()
    table = Table(box=None, pad_edge=False)
    for heading in ("what", "found", "to do"):
        table.add_column(heading, overflow="fold")
    for line in found.findings:
        table.add_row(line.what, line.found, line.to_do)
    return output.console().print(table)


def _versions() -> Iterator[Line]:
    yield "python", platform.python_version(), ""
    yield PROJECT, __version__, ""
    for package in PACKAGES:
        try:
            yield package, importlib.metadata.version(package), ""
        except importlib.metadata.PackageNotFoundError:
            yield package, "missing", "" if package in OPTIONAL else "pip install -U bench-transfer"


def _devices() -> Iterator[Line]:
    import torch

    cores = f"{counted(os.cpu_count() or 1, 'core')}, {counted(torch.get_num_threads(), 'thread')}"
    yield "cpu", cores, ""
    yield _gpus()
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield "disk", f"{free:.0f} GiB free here", "" if free > 5 else "a run's checkpoints take up to 1 GiB: make room"


def _gpus() -> Line:
    import torch

    from pretrain.core import devices

    if torch.cuda.is_available():
        names = Counter(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        driver = devices.driver()
        found = ", ".join(f"{count} × {name}" if count > 1 else name for name, count in names.items())
        return "cuda", f"{found}; driver {driver}" if driver else found, ""
    reason = devices.unusable()
    if reason is not None:
        return "cuda", f"unusable: {reason}", "update NVIDIA's driver, or install a torch for it (pytorch.org), see docs/gpu.md"
    if devices.driver() and not list(Path("/dev").glob("nvidia[0-9]*")):
        return "cuda", f"none, though driver {devices.driver()} runs", "a container is given GPUs by docker run --gpus all"
    return "cuda", "none", "the published protocols take days to weeks on a CPU; --budget small fits it"


def _engines() -> Iterator[Line]:
    from transfer import engines

    for name, info in engines.ENGINES.items():
        missing = engines.missing(name)
        if missing is None:
            yield f"engine {name}", "ready", ""
        else:
            yield f"engine {name}", f"needs {missing}", info.remedy
    try:
        import cv2

        yield "opencv", cv2.__version__, ""
    except ImportError as error:
        yield "opencv", str(error), "pip install --force-reinstall --no-deps opencv-python-headless"


def _data() -> Iterator[Line]:
    base = os.environ.get("BENCH_DATA")
    if not base:
        yield "BENCH_DATA", "not set", f"set it to the folder that holds {', '.join(places.ROOTS.values())}, or pass --data"
        return
    for layout, name in places.ROOTS.items():
        root = Path(base) / name
        yield (
            f"{layout} data",
            str(root) if root.is_dir() else f"nothing at {root}",
            "" if root.is_dir() else "put it there, or pass --data",
        )
