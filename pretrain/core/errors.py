"""Errors a user can cause: one message in four parts. The command line prints it without a traceback and exits with 2."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import ClassVar, Self

CALLED: Mapping[str, tuple[str, ...]] = {
    "batch_size": ("batch",),
    "learning_rate": ("base_lr", "lr"),
    "lr": ("base_lr",),
    "max_iter": ("iters",),
    "num_epochs": ("epochs",),
    "tau": ("temperature",),
    "wd": ("weight_decay",),
    "workers": ("num_workers",),
}
"""What other codebases call a setting → what it is called here, the first that there is."""
LONGEST_NAME = 200
"""Characters of an unknown name that are compared and shown."""


class BenchError(Exception):
    """A mistake of the user's, or a failure of the machine, with what to do about it.

    Anything that is not a `BenchError` is a bug of ours and keeps its traceback.
    """

    EXIT: ClassVar[int] = 2
    """Exit code of a command that it ends."""
    prints: bool | None = None
    """Whether this one of several processes prints it; None: where it is the first one."""

    def __init__(self, wrong: str, *, seen: object = None, allowed: object = None, fix: str | None = None) -> None:
        """Compose the message, one line for each part that is given.

        Args:
            wrong: What is wrong.
            seen: The value or file content that is wrong.
            allowed: What would be right.
            fix: What to do.
        """
        wrong = self._without_worker(wrong)
        self.wrong = wrong
        lines = [wrong]
        if seen is not None:
            lines.append(f"  seen:    {seen}")
        if allowed is not None:
            lines.append(f"  allowed: {allowed}")
        if fix is not None:
            lines.append(f"  do:      {fix}")
        super().__init__(printable("\n".join(lines)))

    @classmethod
    def _without_worker(cls, text: str) -> str:
        """Extract a loader worker's own message: torch raises the error again with the worker's traceback as its message."""
        if "DataLoader worker process" not in text.partition("\n")[0]:
            return text
        return text.rpartition(f"\n{cls.__module__}.{cls.__qualname__}: ")[2].rstrip("\n")

    @classmethod
    def unknown(cls, kind: str, name: str, allowed: Iterable[str]) -> Self:
        """Build the error for a name that is in no table; it suggests the nearest name."""
        names, name = sorted(allowed), name[:LONGEST_NAME]  # comparing a name of a megabyte would take forever
        near = elsewhere(name, names) or _nearest(name.replace("_", "-"), names) or _nearest(name, names)
        fix = f"did you mean {near!r}?" if near else None
        return cls(f"unknown {kind} {name!r}", allowed=", ".join(names), fix=fix)


def elsewhere(name: str, names: Collection[str]) -> str | None:
    """Return which of `names` a name of other codebases means; None where it is none of these."""
    return next((ours for ours in CALLED.get(name, ()) if ours in names), None)


def _nearest(name: str, names: Iterable[str]) -> str | None:
    return next(iter(get_close_matches(name, names, n=1)), None)


def printable(text: str, spared: str = "\n") -> str:
    """Escape control characters: names come from other people's files, and could move a terminal's cursor or colour it.

    Args:
        text: The text.
        spared: Control characters that stay.
    """
    return "".join(char if char.isprintable() or char in spared else char.encode("unicode_escape").decode() for char in text)


class ConfigError(BenchError):
    """A setting is unknown, has the wrong type or range, or contradicts another."""


class DataError(BenchError):
    """The data is missing, has another layout, or can't be read."""


class ImageError(DataError):
    """An image can't be decoded."""

    name = ""
    """Its name, as the message has it."""
    split = ""
    """`train` or `val`, where a reader that goes on without it knows."""


class GoneError(DataError):
    """A file that was there when the run began is gone."""


class CheckpointError(BenchError):
    """A checkpoint can't be read, is not recognised, or is not whole."""


class ProofError(BenchError):
    """The engine's model differs from the backbone it was given."""


class EngineError(BenchError):
    """An engine is missing or can't run what was asked."""


class RecordError(BenchError):
    """A result record is broken or disagrees with another."""


class StorageError(BenchError):
    """A file can't be written: the disk is full, or the folder can't be written to."""


class TrainingError(BenchError):
    """A run failed in a way the user can fix, such as a loss that is not finite."""


class WorkerError(TrainingError):
    """A process of a run died, or had no room for its memory: the machine's fault, and the same command may go on."""


class PeerError(WorkerError):
    """Another process of the run has ended, and this one with it; only that one knows why."""

    EXIT = 3
    prints = False


class ToldError(WorkerError):
    """A process that this one started has failed, and has printed why."""

    prints = False
