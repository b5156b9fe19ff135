"""Detectron2's log."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

from pretrain.core import distributed


@contextlib.contextmanager
def quiet(work: Path) -> Iterator[None]:
    """Write what Detectron2's first process logs into a file of its own instead of the console."""
    first = distributed.rank() == 0
    handler = logging.FileHandler(work / "log.txt", encoding="utf-8") if first else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore", "torch.fx._symbolic_trace")]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.meshgrid.*")
            warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
            warnings.filterwarnings("ignore", message=".*broadcast_buffers.*")
            yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
        handler.close()
