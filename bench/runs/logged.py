"""What a run's log is also sent to, and what each of these calls the run, so that it goes on there when the run does."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.runs.folder import RunFolder
from pretrain.core import loggers
from pretrain.core.atomic import replacing
from pretrain.core.loggers import Logger, Told
from pretrain.core.loggers.sending import Sender

IDS = "loggers.json"
"""File in the run's folder: logger → what it calls the run."""


def begun(names: Sequence[str], run: RunFolder) -> tuple[Sender, ...]:
    """Begin to log a run, or go on.

    Args:
        names: Of the loggers.
        run: Its folder, which exists.

    Raises:
        ConfigError: If one of them can't be logged to; then none is left open.
    """
    known = _known(run.path / IDS)
    with contextlib.ExitStack() as unless_all:
        opened: list[Logger] = []
        for name in names:
            told = Told(run.path, run.config, run.command, known.get(name))
            opened.append(loggers.opened(name, told))
            unless_all.callback(opened[-1].close, True)
        if opened:
            _keep(run.path / IDS, {**known, **{logger.name: logger.id for logger in opened}})
        unless_all.pop_all()
    return tuple(map(Sender, opened))


def _known(path: Path) -> dict[str, str]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {name: value for name, value in plain.items() if isinstance(value, str)} if isinstance(plain, dict) else {}


def _keep(path: Path, ids: Mapping[str, str]) -> None:
    with replacing(path) as file:
        file.write((json.dumps(ids, indent=1) + "\n").encode())
