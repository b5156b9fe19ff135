"""A run's folder: what it is named after, and whether its run is done."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.runs import lock
from pretrain.core.errors import ConfigError
from pretrain.core.plain import parse
from pretrain.core.settings import digest
from transfer import record
from transfer.record import RunRecord

RESULT = "result.json"
CONFIG = "config.yaml"
IDENTITY = "identity"
"""Key in `config.yaml` of the digest of what changes the numbers: the same run may lie elsewhere or have other workers."""
VERSION_KEY = "folder_version"
"""Key in `config.yaml` of the version of run folders that it belongs to."""
VERSION = 2
"""Raised when a folder of before can't be resumed any more: because the settings or the checkpoints in it changed."""
_UNFINISHED = re.compile(r"\..*\.tmp")
"""Files that were being written when a process was killed."""
OTHER = "use another --out"
"""What to do about a folder that is no folder of this run."""


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and what identifies the run."""

    path: Path
    config: dict[str, Any]
    """The content of `config.yaml`: all settings as plain values, the run's identity, and the version of run folders."""
    command: str
    """The exact command."""
    continues: str | None = None
    """Identity of another run that goes on as this one, if it isn't done: so far the two are the same."""


def locate(
    name: str, config: dict[str, Any], identity: Any, out: Path | None, command: str, continues: Any = None
) -> RunFolder:
    """Name the run's folder: `out`, or `runs/NAME-` with the first digits of the identity's digest."""
    whole = digest(identity)
    path = out or Path("runs") / f"{name}-{whole[:8]}"
    other = None if continues is None else digest(continues)
    return RunFolder(path, {VERSION_KEY: VERSION, **config, IDENTITY: whole}, command, other)


def finished(run: RunFolder) -> RunRecord | None:
    """Read the run's record, if it is done already; None if it isn't.

    Raises:
        ConfigError: If the folder holds another run, a run of a former version, or files that no run wrote.
        RecordError: If its record is broken.
    """
    if run.path.is_file():
        raise ConfigError(f"the run folder {run.path} is a file", fix=OTHER)
    if not (run.path / CONFIG).is_file():
        _refuse_foreign_files(run.path)
        return None
    saved = _saved_config(run)
    if saved is None:
        return None
    _refuse_another_run(run, saved)
    result = run.path / RESULT
    return record.read(result) if result.is_file() else None


def _refuse_foreign_files(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    names = [name for name in names if name != lock.LOCK and not _UNFINISHED.fullmatch(name)]
    if names:
        raise ConfigError(f"{folder} is in use, but not by a run", seen=names[:4], fix=OTHER)


def _saved_config(run: RunFolder) -> dict[str, Any] | None:
    """Read `config.yaml`; None if it is the beginning of this run's, whose writer was killed.

    Raises:
        ConfigError: If no run of this version wrote it.
    """
    path = run.path / CONFIG
    try:
        content, ours = path.read_bytes(), config_bytes(run)
        if content != ours and ours.startswith(content):
            return None
        saved = parse(content.decode(), where=str(path))
    except (OSError, ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read {path}", seen=" ".join(str(error).split())[:200], fix=OTHER) from None
    if not isinstance(saved, dict) or IDENTITY not in saved:
        raise ConfigError(f"{path} is not of a run", seen=f"no `{IDENTITY}:` in it", fix=OTHER)
    if saved.get(VERSION_KEY) != VERSION:
        version = saved.get(VERSION_KEY)
        raise ConfigError(
            f"{run.path} was written by another version of bench, which laid run folders out differently",
            seen=f"no `{VERSION_KEY}:` in {path}" if version is None else f"{VERSION_KEY}: {version} in {path}",
            allowed=f"{VERSION_KEY}: {VERSION}",
            fix=f"move {run.path} away and run again, or use another --out",
        )
    return saved


def _refuse_another_run(run: RunFolder, saved: dict[str, Any]) -> None:
    if saved[IDENTITY] == run.config[IDENTITY] or (saved[IDENTITY] == run.continues and not (run.path / RESULT).is_file()):
        return
    keys = (saved.keys() | run.config.keys()) - {IDENTITY}
    different = sorted(key for key in keys if saved.get(key) != run.config.get(key))
    seen = "; ".join(f"{key}: {saved.get(key)} there, {run.config.get(key)} now" for key in different[:4])
    raise ConfigError(f"{run.path} is of another run", seen=seen, allowed="the same settings", fix=OTHER)


def config_bytes(run: RunFolder) -> bytes:
    """The content of `config.yaml`."""
    return yaml.safe_dump(run.config, sort_keys=False).encode()
