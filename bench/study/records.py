"""Which records there are: what tells whether a cell is done, wherever it was done."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pretrain.core.settings import digest

RESULT = "result.json"


SAID = ("kind", "protocol", "version", "changed", "engine", "seed")
"""Fields of a record that say what ran, backbone and data aside."""


def protocol(said: Mapping[str, Any]) -> str:
    """Digest what a record says of its run: the fields of `SAID`."""
    return digest(json.loads(json.dumps({name: said[name] for name in SAID})))


@dataclass(frozen=True)
class Found:
    """A record, as far as a study is concerned."""

    folder: Path
    protocol: str
    sha256: str
    """Of the backbone that was made or evaluated."""
    address: str | None
    """Where that was fetched from; of an untrained one, how `--ckpt` names it."""
    data: str
    """Name of the data."""
    fingerprint: str
    kind: str
    task: str
    """`pretrain`, or the protocol."""
    changed: Mapping[str, Any]
    """What differs from the published protocol."""
    arch: str
    method: str
    hardware: str
    devices: int
    seconds: float
    memory_mib: float
    images: int
    """Training images."""
    images_per_second: float | None
    """While it trained."""
    epochs: float | None
    """Of the backbone."""
    came: str
    """Digest of where the backbone came from, its epochs aside: of all backbones on the way of one pre-training the same."""


_OF_THE_LENGTH = frozenset({"epochs", "drawn"})
"""Fields of a provenance that differ between backbones on the way; `drawn` follows from the others."""


@dataclass
class Records:
    """The records below some folders. `look` reads what is new since the last look."""

    folders: tuple[Path, ...]
    broken: dict[Path, str] = field(default_factory=dict)
    """Files that are no records → why."""
    _by_folder: dict[Path, Found] = field(default_factory=dict)
    _of: dict[str, dict[str, list[Found]]] = field(default_factory=dict)
    """Protocol → digest or address of the backbone → records."""
    _known: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def look(self) -> None:
        """Read the records that were written since."""
        gone = set(self._known)
        for path in _files(self.folders):
            gone.discard(path)
            with contextlib.suppress(OSError):
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_size)
                if self._known.get(path) != stamp:
                    self._forget({path})
                    self._known[path] = stamp
                    self._read(path)
        self._forget(gone)

    def any(self, protocol: str) -> bool:
        """Return whether there is a record with what a cell's record must say, of whichever backbone."""
        return protocol in self._of

    def of(self, protocol: str, backbones: Iterable[str] | None = None) -> list[Found]:
        """Return the records with what a cell's record must say, of backbones with those digests or addresses; None: of any."""
        there = self._of.get(protocol, {})
        return [each for name in (there if backbones is None else dict.fromkeys(backbones)) for each in there.get(name, ())]

    def known(self, folder: Path) -> bool:
        """Return whether a folder had a record at the last look."""
        return folder / RESULT in self._known

    def all(self) -> Iterable[Found]:
        """Return every record."""
        return self._by_folder.values()

    def _read(self, path: Path) -> None:
        try:
            found = _found(json.loads(path.read_bytes()), path.parent)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.broken[path] = f"{type(error).__name__}: {error}"
            return
        self._by_folder[path.parent] = found
        self._of.setdefault(found.protocol, {}).setdefault(found.address or found.sha256, []).append(found)

    def _forget(self, paths: set[Path]) -> None:
        for path in paths:
            found = self._by_folder.pop(path.parent, None)
            if found is not None:
                self._of[found.protocol][found.address or found.sha256].remove(found)
            self._known.pop(path, None)
            self.broken.pop(path, None)


def _found(plain: dict[str, Any], folder: Path) -> Found:
    checkpoint, data, ran = plain["checkpoint"], plain["data"], plain["environment"]
    provenance, address = checkpoint["provenance"], checkpoint.get("address")
    if checkpoint["source"] == "random":
        address = f"random:{provenance['arch']}:{provenance['seed'] or 0}"
    return Found(
        folder=folder,
        protocol=protocol(plain),
        sha256=checkpoint["sha256"],
        address=address,
        data=data["name"],
        fingerprint=data["fingerprint"],
        kind=plain["kind"],
        task=plain["protocol"] if plain["kind"] != "pretrain" else "pretrain",
        changed=plain["changed"],
        arch=provenance["arch"],
        method=provenance["method"],
        hardware=ran["hardware"],
        devices=ran.get("devices", 1),
        seconds=plain["wall_seconds"],
        memory_mib=plain["peak_memory_mib"],
        images=data["train"],
        images_per_second=plain.get("images_per_second"),
        epochs=provenance.get("epochs"),
        came=digest({name: value for name, value in provenance.items() if name not in _OF_THE_LENGTH}),
    )


def _files(folders: Iterable[Path]) -> Iterable[Path]:
    """List every `result.json` below the folders; links are followed, once each."""
    seen: set[tuple[int, int]] = set()
    for folder in folders:
        for path, inner, names in os.walk(folder, followlinks=True):
            with contextlib.suppress(OSError):
                status = os.stat(path)
                if (status.st_dev, status.st_ino) in seen:
                    inner.clear()
                    continue
                seen.add((status.st_dev, status.st_ino))
            if RESULT in names:
                yield Path(path, RESULT)


def sha256(path: Path) -> str | None:
    """Hash a file's content; None if it can't be read."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return _sha256(path, status.st_mtime_ns, status.st_size)
    return None


@cache
def _sha256(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
