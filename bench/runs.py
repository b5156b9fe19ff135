"""Run folders: one folder per run, written as it goes, with one atomic `result.json` when it is done."""

import contextlib
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from bench import lock
from pretrain.core.atomic import replacing
from pretrain.core.errors import BenchError, ConfigError, TrainingError
from pretrain.core.journal import METRICS
from pretrain.core.plain import parse
from pretrain.core.settings import digest
from transfer import record
from transfer.record import Environment, RunRecord

RESULT = "result.json"
CONFIG = "config.yaml"
IDENTITY = "identity"
"""Key in `config.yaml` of the digest of what changes the numbers: the same run may lie elsewhere or have other loaders."""
_UNFINISHED = re.compile(r"\..*\.tmp")
"""Files that were being written when a process was killed."""
PACKAGES = (
    "bench-transfer",
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "mmengine",
    "mmcv-lite",
    "onedl-mmsegmentation",
    "pycocotools",
)


@dataclass(frozen=True)
class Run:
    """A run's folder and what identifies it."""

    folder: Path
    config: dict[str, Any]
    """Everything that changes the numbers, and the settings that don't, as plain values."""
    command: str
    """The exact command."""


def locate(name: str, config: dict[str, Any], identity: Any, out: Path | None, command: str) -> Run:
    """The run's folder: `out`, or one named after what runs, below `runs/`."""
    whole = digest(identity)
    return Run(out or Path("runs") / f"{name}-{whole[:8]}", {**config, IDENTITY: whole}, command)


def finished(run: Run) -> RunRecord | None:
    """The run's record, if it is done already.

    Raises:
        ConfigError: If the folder holds another run, or files that are none of ours.
        RecordError: If its record is broken.
    """
    if run.folder.is_file():
        raise ConfigError(f"the run folder {run.folder} is a file", fix="use another --out")
    saved = run.folder / CONFIG
    if not saved.is_file():
        names = sorted(path.name for path in run.folder.iterdir()) if run.folder.is_dir() else []
        names = [name for name in names if name != lock.LOCK and not _UNFINISHED.fullmatch(name)]
        if names:
            raise ConfigError(f"{run.folder} is in use, but not by a run", seen=names[:4], fix="use another --out")
        return None
    theirs = _saved(saved, run)
    if theirs is None:
        return None
    if theirs.get(IDENTITY) != run.config[IDENTITY]:
        keys = (theirs.keys() | run.config.keys()) - {IDENTITY}
        different = sorted(key for key in keys if theirs.get(key) != run.config.get(key))
        seen = "; ".join(f"{key}: {theirs.get(key)} there, {run.config.get(key)} now" for key in different[:4])
        raise ConfigError(f"{run.folder} is of another run", seen=seen, allowed="the same settings", fix="use another --out")
    result = run.folder / RESULT
    return record.read(result) if result.is_file() else None


def _saved(path: Path, run: Run) -> dict[str, Any] | None:
    """What a run's `config.yaml` says; None if it is the beginning of ours, the rest of which was never written.

    Raises:
        ConfigError: If it is none of a run.
    """
    try:
        content, ours = path.read_bytes(), _config(run)
        if content != ours and ours.startswith(content):
            return None
        plain = parse(content.decode(), where=str(path))
    except (OSError, ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read {path}", seen=" ".join(str(error).split())[:200], fix="use another --out") from None
    if not isinstance(plain, dict) or IDENTITY not in plain:
        raise ConfigError(f"{path} is not of a run", seen=f"no `{IDENTITY}:` in it", fix="use another --out")
    return plain


def _config(run: Run) -> bytes:
    return yaml.safe_dump(run.config, sort_keys=False).encode()


@contextlib.contextmanager
def held(run: Run) -> Iterator[str]:
    """Create the folder and keep other processes out; on the user's mistake, take away what this call created,
    unless a checkpoint is in it: from that the run goes on when the mistake is mended.

    Yields what hinders locking, mostly nothing.

    Raises:
        ConfigError: If another process holds it, or it can't be made.
    """
    new = not run.folder.exists()
    with contextlib.ExitStack() as until_done:
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            unsupported = until_done.enter_context(lock.held(run.folder))
        except OSError as error:
            raise _unwritable(run, error) from None
        try:
            yield unsupported
        except TrainingError:
            raise
        except BenchError:
            if new and not has_checkpoint(run):
                shutil.rmtree(run.folder, ignore_errors=True)
            raise


def start(run: Run) -> bool:
    """Write what runs, and clear away what an earlier start was killed over; returns whether there was one."""
    again = (run.folder / CONFIG).is_file()
    try:
        for left in run.folder.rglob(".*.tmp"):
            left.unlink()
        if not has_checkpoint(run):
            (run.folder / METRICS).unlink(missing_ok=True)  # all of it is done again
        with replacing(run.folder / CONFIG) as file:
            file.write(_config(run))
        with (run.folder / "command.txt").open("a", encoding="utf-8") as commands:
            commands.write(run.command + "\n")
    except OSError as error:
        raise _unwritable(run, error) from None
    _reset_peak_memory()
    return again


def refuse_held(run: Run) -> None:
    """For the process that only starts those which work.

    Raises:
        ConfigError: If another process holds the folder.
    """
    lock.refuse_held(run.folder)


def has_checkpoint(run: Run) -> bool:
    """Whether training left something to go on from: a `.pth` that is no backbone."""
    return any(not path.name.startswith("backbone") for path in run.folder.rglob("[!.]*.pth"))


def _unwritable(run: Run, error: OSError) -> ConfigError:
    return ConfigError(f"can't write the run folder {run.folder}", seen=error, fix="use another --out")


def finish(run: Run, **fields: Any) -> RunRecord:
    """Write `result.json` from what ran and what it ran on."""
    result = RunRecord(
        **fields,
        environment=environment(),
        peak_memory_mib=peak_memory_mib(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        command=run.command,
    )
    record.write(result, run.folder / RESULT)
    return result


def environment() -> Environment:
    """Versions, commit and hardware."""
    import torch

    from pretrain.core import distributed

    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    hardware = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{_processor()}, {os.cpu_count()} cores"
    return Environment(
        versions=versions, commit=_commit(), hardware=hardware, threads=torch.get_num_threads(), devices=distributed.world()
    )


def peak_memory_mib() -> float:
    """Largest resident memory of this process since `started`, in MiB (since its birth where the system can't say)."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    unit = 1024 if platform.system() == "Linux" else 1024**2  # kibibytes on Linux, bytes on macOS
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def _reset_peak_memory() -> None:
    """Start the peak anew (Linux); elsewhere it stays that of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Commit of this project's checkout, with `+` if it was changed; None where it was installed otherwise."""
    home = Path(__file__).resolve().parent.parent
    if not (home / ".git").exists():
        return None
    try:
        head = _git(home, "rev-parse", "--short=12", "HEAD")
        return head + "+" * bool(_git(home, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None


def _git(home: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(home), *words], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


class Clock:
    """Wall seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        """Since the start, to milliseconds."""
        return round(time.monotonic() - self._start, 3)
