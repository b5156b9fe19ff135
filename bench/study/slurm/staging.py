"""Data onto a node's own disk, once for each node. `python -m bench.study.slurm.staging DATA LAYOUT PLACE` prints where."""

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import places
from bench.study.slurm import commands
from pretrain.core.errors import ConfigError, DataError, StorageError
from pretrain.core.journal import Journal
from pretrain.core.turns import turn


def everywhere(data: str, layout: str, place: str, each_node: Sequence[str]) -> str:
    """Copy data onto this node, or onto all nodes of a job; returns where it is.

    Args:
        data: As `--data` takes it.
        layout: Its layout.
        place: Folder of the node, with variables such as $TMPDIR.
        each_node: Words that start a command once on each; none for this node alone.

    Raises:
        BenchError: If the data isn't there, or can't be copied.
    """
    if not each_node:
        return str(staged(data, layout, place))
    printed = commands.run([*each_node, sys.executable, "-m", "bench.study.slurm.staging", data, layout, place])
    return printed.split("\n", 1)[0]


def staged(data: str, layout: str, place: str) -> Path:
    """Copy data into a folder of this node, unless it is there; another process that does so is waited for.

    The copy lies in a folder named by what the data consists of, so that changed data is copied anew, and has the data's own
    name, so that records say the same of it.

    Raises:
        ConfigError: If the place names a variable that is not set.
        DataError: If the data is no folder that is there, or the copy differs from it.
        StorageError: If the copy fails.
    """
    source, _ = places.data_root(data, layout, Journal())
    if not source.is_dir():
        raise DataError("only a folder can be staged", seen=data, fix="drop it from slurm: stage")
    where = os.path.expandvars(place)
    if "$" in where:
        raise ConfigError("slurm: stage: a variable that is not set on this node", seen=place)
    files = _listed(source)
    content = hashlib.sha256(repr((str(source.absolute()), files)).encode()).hexdigest()[:16]
    home = Path(where) / f"bench-{os.getuid()}-{content}"
    target = home / source.name
    with turn(target):
        if not target.exists():
            _copy(source, target, files)
    return target


def _copy(source: Path, target: Path, files: list[tuple[str, int]]) -> None:
    half = target.with_name(f".{target.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    try:
        shutil.copytree(source, half)
    except (OSError, shutil.Error) as error:
        raise StorageError(f"{source} can't be copied to {target.parent}", seen=error) from None
    if _listed(half) != files:
        raise DataError(f"the copy of {source} at {half} differs from it", fix="is the data being changed?")
    half.rename(target)


def _listed(root: Path) -> list[tuple[str, int]]:
    """List the files of a folder with their sizes."""
    paths = sorted(Path(folder, name) for folder, _, names in os.walk(root, followlinks=True) for name in names)
    return [(str(path.relative_to(root)), path.stat().st_size) for path in paths]


if __name__ == "__main__":
    print(staged(*sys.argv[1:4]))
