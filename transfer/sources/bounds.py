"""Bounding what a checkpoint asks for before it is read: a small file can claim more memory than a machine has.

The bounds are far above what any code base's files need, and each refusal names its bound.
"""

import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from pretrain.core.errors import CheckpointError
from pretrain.core.memory import free_memory, gib
from transfer.sources import signatures

INFLATION = 10
"""How many times its size trained weights unpack to at most: they hardly can be packed."""
LARGEST = 2**31
"""Bytes that any file may unpack to, however small it is, as far as half of the free memory takes them: a pair of ViT-B and
their optimiser are fewer. Tensors of one number, of heads or of untrained networks, pack a thousand to one."""
CHUNK = 2**20
"""Bytes that are unpacked at once."""
DEPTH = 100
"""Most containers inside each other. Python hashes nested tuples by recursion, without a limit: deep ones end the process."""
ENTRIES = 10_000_000
"""Most values in a file, those that stand in several places counted in each; and most operations of its pickles."""
LEGACY_PICKLES = 5
"""Pickles at the start of a file of torch.save before 1.6: magic number, version, system, content, names of the storages."""


def require_bounded(file: IO[bytes], size: int, path: Path, pickles: int) -> None:
    """Refuse a file whose unpacking or unpickling would not end well; it is left at its beginning.

    Args:
        file: A zip, or a file that begins with pickles.
        size: Its bytes.
        path: Its name, for messages.
        pickles: How many pickles it begins with; 0 for a zip.

    Raises:
        CheckpointError: For a zip bomb, containers that are nested too deep, or a pickle without end.
        Exception: Whatever a broken zip or pickle makes of Python's readers.
    """
    for _ in range(pickles):
        require_shallow(file, path)
    if not pickles:
        with zipfile.ZipFile(file) as archive:
            _require_plain(archive.infolist(), size, path)
            for info in archive.infolist():
                if info.filename.endswith("data.pkl"):
                    require_shallow(BytesIO(archive.read(info)), path)
    file.seek(0)


def unpacked(read: Callable[[int], bytes], size: int, path: Path) -> BytesIO:
    """Read what a compressed file of so many bytes unpacks to; of what begins like no checkpoint, the beginning.

    Raises:
        CheckpointError: If it is far more than the file.
    """
    most = _most(size)
    content = BytesIO()
    while chunk := read(CHUNK):
        content.write(chunk)
        if content.tell() > most:
            raise _bomb(path, size, f"more than {gib(most)}")
        if content.tell() == len(chunk) and not signatures.begins(chunk):
            break
    content.seek(0)
    return content


def _most(size: int) -> int:
    """Return how many bytes a file of that size may unpack to."""
    return max(INFLATION * size, min(LARGEST, free_memory(0) // 2))


def _require_plain(entries: list[zipfile.ZipInfo], size: int, path: Path) -> None:
    claimed = sum(entry.file_size for entry in entries)
    if claimed > _most(size):
        raise _bomb(path, size, gib(claimed))


def _bomb(path: Path, size: int, claimed: str) -> CheckpointError:
    return CheckpointError(
        f"{path} would unpack to far more than it is",
        seen=f"{size:,} bytes, {claimed} unpacked",
        allowed=f"{INFLATION} times the file; or {gib(LARGEST)}, and half of the free memory",
        fix="get it from who made it, if it was made to fill a memory; else unpack it, and pass the file of the weights",
    )


def require_shallow(file: IO[bytes], path: Path) -> None:
    """Refuse a pickle whose tuples are nested too deep.

    Raises:
        CheckpointError: If they are.
        Exception: Whatever a broken pickle makes of Python's reader.
    """
    for count, depth in enumerate(_depths(file)):
        if depth > DEPTH:
            raise _too_deep(path)
        if count > ENTRIES:
            raise _endless(path, "operations of its pickle")


def _depths(file: IO[bytes]) -> Iterator[int]:
    """Yield how deep each tuple of a pickle is nested, from its opcodes alone: nothing is built.

    The stack and the memo hold, in the place of each value, the depth of tuples in it.
    """
    stack: list[int] = []
    memo: dict[Any, int] = {}
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if name == "MARK":
            stack.append(-1)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            inside = _taken(stack, opcode)
            made = max(inside, default=0) + (1 if "TUPLE" in name and inside else 0)
            stack += [made] * len(opcode.stack_after)
            yield made


def _taken(stack: list[int], opcode: pickletools.OpcodeInfo) -> list[int]:
    """Remove from the stack what an opcode consumes, and return it."""
    taken: list[int] = []
    for kind in reversed(opcode.stack_before):
        if kind is pickletools.stackslice:
            while stack[-1] >= 0:
                taken.append(stack.pop())
        else:
            taken.append(stack.pop())
    return taken


def tamed(content: Any, path: Path, opened: Callable[[Any], Any] = lambda value: value) -> Any:
    """Copy a file's content into plain dictionaries, lists and values of bounded depth and size, safe to walk through.

    Args:
        content: What was read.
        path: The file, for messages.
        opened: Applied to each value first, and then to what is in it.

    Raises:
        CheckpointError: If it is nested too deep, contains itself, or is larger than `ENTRIES` when written out.
    """
    return _Tamer(path, opened).tame(content, 0)[0]


class _Tamer:
    """Each container is made plain once, however often it occurs; what it would be written out is counted each time."""

    def __init__(self, path: Path, opened: Callable[[Any], Any]) -> None:
        self._path = path
        self._opened = opened
        self._done: dict[int, tuple[Any, int, Any]] = {}

    def tame(self, given: Any, depth: int) -> tuple[Any, int]:
        """Return the plain value, and how many values it is with all inside it."""
        if id(given) in self._done:
            return self._done[id(given)][:2]
        value = self._opened(given)
        if not isinstance(value, (Mapping, list, tuple)):
            return value, 1
        if depth > DEPTH:
            raise _too_deep(self._path)
        plain, size = self._plain(value, depth)
        self._done[id(given)] = plain, size, given  # kept alive, so that no other value takes its id
        return plain, size

    def _plain(self, value: Any, depth: int) -> tuple[Any, int]:
        total = 1
        plain: dict[Any, Any] = {}
        for key, inside in value.items() if isinstance(value, Mapping) else enumerate(value):
            key = key.decode("latin1") if isinstance(key, bytes) else key  # Python 2's text, read by Python 3 and written again
            named = isinstance(key, str) or (isinstance(key, int) and abs(key) < 2**63)
            plain[key if named else f"<{type(key).__name__} {len(plain)}>"], size = self.tame(inside, depth + 1)
            total += size
            if total > ENTRIES:
                raise _endless(self._path, "values")
        return (plain if isinstance(value, Mapping) else list(plain.values())), total


def _too_deep(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is nested too deep",
        seen=f"containers inside each other, more than {DEPTH} deep",
        allowed=f"{DEPTH}",
        fix="save its state_dict alone",
    )


def _endless(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is written out endless", seen=f"more than {ENTRIES:,} {what}", fix="save its state_dict alone"
    )
