"""What begins a run in its folder, keeps others out, and ends it with its record."""

import contextlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from bench.runs import lock
from bench.runs.environment import environment, peak_memory_mib, reset_peak_memory
from bench.runs.folder import CONFIG, OTHER, RESULT, RunFolder, config_bytes
from pretrain.core import devices
from pretrain.core.atomic import replacing
from pretrain.core.errors import BenchError, ConfigError, TrainingError
from pretrain.core.journal import METRICS
from transfer import record
from transfer.record import RunFields, RunRecord

COMMAND = "command.txt"


@contextlib.contextmanager
def held(run: RunFolder) -> Iterator[str]:
    """Create the folder and keep other processes out. After a user's mistake, remove the folder if this call created it,
    unless a checkpoint is in it: the run resumes from that when the mistake is fixed.

    Yields why the file system can't lock, or an empty text.

    Raises:
        ConfigError: If another process holds the folder, or it can't be made.
    """
    new = not run.path.exists()
    with contextlib.ExitStack() as until_done:
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            unsupported = until_done.enter_context(lock.held(run.path))
        except OSError as error:
            raise _unwritable(run, error) from None
        try:
            yield unsupported
        except TrainingError:
            raise
        except BenchError:
            if new and not has_checkpoint(run):
                shutil.rmtree(run.path, ignore_errors=True)
            raise


def start(run: RunFolder, device: str = "cpu") -> bool:
    """Write what runs, and clear away unfinished files of a killed start; returns whether there was an earlier start."""
    again = (run.path / CONFIG).is_file()
    try:
        for left in run.path.rglob(".*.tmp"):
            left.unlink()
        if not has_checkpoint(run):
            (run.path / METRICS).unlink(missing_ok=True)  # every step is done again
        with replacing(run.path / CONFIG) as file:
            file.write(config_bytes(run))
        with (run.path / COMMAND).open("a", encoding="utf-8") as commands:
            commands.write(run.command + "\n")
    except OSError as error:
        raise _unwritable(run, error) from None
    reset_peak_memory()
    devices.reset_peak_memory(device)
    return again


def refuse_held(run: RunFolder) -> None:
    """Check that no other process works in the folder, without taking it: for a process that only starts the workers.

    Raises:
        ConfigError: If another process holds the folder.
    """
    lock.refuse_held(run.path)


def has_checkpoint(run: RunFolder) -> bool:
    """Whether training left something to resume from: a `.pth` that is no backbone."""
    return any(not path.name.startswith("backbone") for path in run.path.rglob("[!.]*.pth"))


def _unwritable(run: RunFolder, error: OSError) -> ConfigError:
    return ConfigError(f"can't write the run folder {run.path}", seen=error, fix=OTHER)


def finish(run: RunFolder, fields: RunFields, *, wall_seconds: float, device: str = "cpu") -> RunRecord:
    """Write `result.json` from what ran and what it ran on."""
    result = RunRecord(
        **dict(fields),
        environment=environment(device),
        wall_seconds=wall_seconds,
        peak_memory_mib=peak_memory_mib(),
        peak_gpu_mib=devices.peak_memory_mib(device),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        command=run.command,
    )
    record.write(result, run.path / RESULT)
    return result
