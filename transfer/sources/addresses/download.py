"""One file of the web onto the disk: whole or not at all, and what broke off goes on where it stopped."""

import contextlib
import fcntl
import hashlib
import http
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from pretrain.core.errors import CheckpointError, StorageError
from pretrain.core.instead import instead
from pretrain.core.journal import Journal
from pretrain.core.memory import gib
from transfer.sources import signatures
from transfer.sources.addresses import web
from transfer.sources.addresses.web import Answer, UnfetchedError

CHUNK = 2**20
"""Most bytes that are read at once."""
TRIES = 4
"""Times that a connection may break without a byte in between."""
PAUSE = 1.0
"""Seconds before the next of them."""
MIB = 2**20


@dataclass(frozen=True)
class Wanted:
    """A file to fetch."""

    url: str
    path: Path
    """Where it belongs."""
    size: int | None = None
    """Its bytes, where they are known beforehand."""
    sha256: str = ""
    """The beginning of its SHA-256 in hexadecimal digits, or all of it; empty: unknown."""
    secret: str | None = None
    """A token for its host."""


def download(wanted: Wanted, journal: Journal) -> bool:
    """Fetch a file to its path, unless it is there; returns whether it was fetched.

    What is there of an earlier try is kept, if the server still has the same file: by its ETag or date, and its size.

    Raises:
        UnfetchedError: If there is no network, or the server refuses or breaks off again and again.
        CheckpointError: If what came is another file: of another digest or size, a web page, a pointer of Git LFS.
        StorageError: If it can't be written.
    """
    with storing(wanted.path):
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(wanted.path, journal):
            if wanted.path.is_file() and (not wanted.sha256 or _is(wanted, sha256_of(wanted.path))):
                return False
            part = _Part(wanted.path)
            resumed = part.have > 0
            _fill(wanted, part, journal)
            wrong = _wrong(wanted, part.file)
            if wrong is not None and resumed:  # its beginning may be another file's, which no validator told
                part.clear()
                _fill(wanted, part, journal)
                wrong = _wrong(wanted, part.file)
            if wrong is not None:
                part.clear()
                raise wrong
            part.finish(wanted.path)
            return True


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Part:
    """The part of a file that has come so far, and which file of the server it is a part of."""

    def __init__(self, path: Path) -> None:
        """Look at what an earlier try left."""
        self.file = path.with_name(f".{path.name}.part")
        self._about = path.with_name(f".{path.name}.part.json")
        self.validator = ""
        """What tells this version of the server's file from another."""
        self.total: int | None = None
        """Bytes of the whole file, where the server says."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            about = json.loads(self._about.read_text(encoding="utf-8"))
            self.validator, self.total = str(about["validator"]), _length(about["total"])
        if self.have and (not self.validator or (self.total is not None and self.have > self.total)):
            self.clear()
        elif self.total is not None and self.have == self.total:  # ask for the last byte, to hear that it is still this file
            os.truncate(self.file, self.total - 1)

    @property
    def have(self) -> int:
        """Bytes that are there."""
        return self.file.stat().st_size if self.file.is_file() else 0

    def begin(self, validator: str, total: int | None) -> None:
        """Empty it, and note what it becomes a part of."""
        self.clear()
        self.validator, self.total = validator, total
        self._about.write_text(json.dumps({"validator": validator, "total": total}), encoding="utf-8")

    def clear(self) -> None:
        """Forget all of it."""
        self.file.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)
        self.validator, self.total = "", None

    def finish(self, path: Path) -> None:
        """Make it the file."""
        with self.file.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(self.file, path)
        self._about.unlink(missing_ok=True)


def _fill(wanted: Wanted, part: _Part, journal: Journal) -> None:
    """Fetch all that is missing of a part, in as many connections as it takes."""
    failures, begun = 0, False
    while True:
        before = part.have
        try:
            with _answer(wanted, part) as answer:
                begun = True
                _pour(answer, wanted, part, journal)
            return
        except UnfetchedError as error:
            if not begun or not error.passing:
                raise
            reason = error.reason
        except web.BROKEN as error:
            if isinstance(error, OSError) and error.filename is not None:  # the disk's
                raise
            reason = str(error) or type(error).__name__
        failures = 0 if part.have > before else failures + 1
        if failures == TRIES:
            at = f"{part.have / MIB:.1f} MiB have come, and then no byte in {TRIES} tries: {reason}"
            raise web.unfetched(wanted.url, at, "give the same command again: it goes on where it stopped")
        journal.say(f"the connection broke at {part.have / MIB:.1f} MiB ({reason}); it goes on")
        time.sleep(PAUSE)


@contextlib.contextmanager
def _answer(wanted: Wanted, part: _Part) -> Iterator[Answer]:
    """Ask for what is missing; the part is emptied where the server has another file than it began with."""
    with contextlib.ExitStack() as stack:
        answer = _rest(wanted, part, stack) if part.have else None
        if answer is None:
            part.clear()
            answer = stack.enter_context(web.opened(wanted.url, secret=wanted.secret))
            part.begin(_validator(answer), _length(answer.headers.get("Content-Length")))
        yield answer


def _rest(wanted: Wanted, part: _Part, stack: contextlib.ExitStack) -> Answer | None:
    """Ask for the rest of a part; None where the server gives none, or has another file by now."""
    asked = {"Range": f"bytes={part.have}-", "If-Range": part.validator}
    try:
        answer = stack.enter_context(web.opened(wanted.url, asked, secret=wanted.secret))
    except UnfetchedError as error:
        if error.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        raise
    return answer if answer.status == http.HTTPStatus.PARTIAL_CONTENT and _continues(answer, part) else None


def _continues(answer: Answer, part: _Part) -> bool:
    """Whether an answer's range is the rest of the same file."""
    span, _, total = str(answer.headers.get("Content-Range", "")).removeprefix("bytes ").partition("/")
    same = _validator(answer) in ("", part.validator) and part.total in (None, _length(total))
    return same and span.partition("-")[0] == str(part.have)


def _validator(answer: Answer) -> str:
    """Return what tells one version of a file from another: its strong ETag, or its date."""
    tag = str(answer.headers.get("ETag") or "")
    return tag if tag and not tag.startswith("W/") else str(answer.headers.get("Last-Modified") or "")


def _length(text: Any) -> int | None:
    return int(text) if text is not None and str(text).isdigit() else None


def _pour(answer: Answer, wanted: Wanted, part: _Part, journal: Journal) -> None:
    """Append an answer to the part.

    Raises:
        ConnectionError: If it ends before the file does.
    """
    total, done = part.total, part.have
    if total is not None:
        free = shutil.disk_usage(part.file.parent).free
        if total - done > free:
            seen = f"{gib(total - done)} to fetch, {gib(free)} free"
            raise StorageError(f"too little disk below {part.file.parent}", seen=seen, fix="free some, or set BENCH_CACHE")
    stage = f"MiB of {wanted.path.name}"
    with part.file.open("ab", buffering=0) as file:
        while chunk := answer.read1(CHUNK):  # what has come, for what is waited for is lost where the connection breaks
            _append(file, chunk)
            before, done = done, done + len(chunk)
            if total and (done // MIB > before // MIB or done == total):
                journal.step(stage, -(-done // MIB), -(-total // MIB))
    if total is not None and done < total:
        raise ConnectionError(f"it ended after {done} of {total} bytes")


def _append(file: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        error.filename = error.filename or file.name  # tells a disk's error from a connection's
        raise


def _wrong(wanted: Wanted, file: Path) -> CheckpointError | None:
    """Say why what came is not the file that was wanted; None: it is."""
    size = file.stat().st_size if file.is_file() else 0
    with file.open("rb") as opened:
        head = opened.read(signatures.HEAD)
    if (found := instead(head)) is not None:
        what, fix = found
        return CheckpointError(f"{wanted.url} gave no checkpoint: {what}", seen=f"{size} bytes: {head[:40]!r}", fix=fix)
    fix = "fetch it from where its digest was told; or, if the file was changed on purpose, give its new digest"
    if wanted.size is not None and size != wanted.size:
        seen, allowed = f"{size} bytes", f"{wanted.size} bytes"
        return CheckpointError(f"{wanted.url} gave a file of another size", seen=seen, allowed=allowed, fix=fix)
    digest = sha256_of(file)
    if not _is(wanted, digest):
        seen, allowed = f"sha256 {digest}", f"sha256 {wanted.sha256}"
        return CheckpointError(f"{wanted.url} gave another file", seen=seen, allowed=allowed, fix=fix)
    return None


def _is(wanted: Wanted, digest: str) -> bool:
    return digest.startswith(wanted.sha256.lower())


@contextlib.contextmanager
def _alone(path: Path, journal: Journal) -> Iterator[None]:
    """Hold a file's place: of several processes that want it one fetches, and the others wait."""
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            journal.say(f"another process fetches {path.name}: waiting for it")
            fcntl.lockf(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Translate what the disk of a cached file refuses.

    Raises:
        StorageError: With what to do.
    """
    try:
        yield
    except OSError as error:
        fix = "free some space, or set BENCH_CACHE to a folder that can be written to"
        raise StorageError(f"can't write {path}", seen=error.strerror or error, fix=fix) from None
