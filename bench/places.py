"""Find data, configurations, class lists and published numbers."""

import os
from pathlib import Path
from typing import Any

from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Journal
from pretrain.core.layout import amiss, contents, namesakes
from pretrain.core.plain import is_file, read_yaml
from pretrain.fields import merged
from pretrain.images.stores import shards
from transfer.datasets import LAYOUTS
from transfer.shapes import KINDS

ROOTS = {name: layout.folder for name, layout in LAYOUTS.items()}
"""Data layout → its folder below BENCH_DATA and in the generated data."""
GENERATED = "shapes"
"""The kind of generated data that is meant where none is named."""
EXTENDS = "extends"
"""Key of a configuration that names the one it differs from."""


def configs(kind: str) -> dict[str, Path]:
    """List the configurations that come with the project, name → file; `kind` is `pretrain`, `transfer` or `classes`."""
    return {path.stem: path for path in sorted((_packaged("configs") / kind).glob("*.yaml"))}


def published() -> Path:
    """The folder of published numbers that comes with the project."""
    return _packaged("results/published")


def _packaged(folder: str) -> Path:
    """A folder of the project: of the checkout, or as the wheel contains it, below `bench` with an underscore."""
    bench = Path(__file__).resolve().parent
    checkout = bench.parent / folder
    return checkout if checkout.is_dir() else bench / f"_{checkout.name}"


def read_config(kind: str, name_or_file: str) -> dict[str, Any]:
    """Read the fields of a configuration that comes with the project, or of a YAML file.

    Args:
        kind: `pretrain` or `transfer`.
        name_or_file: Its name, or the file.

    Raises:
        ConfigError: If there is none, with the nearest name, or it extends itself, also by way of others.
    """
    fields: dict[str, Any] = {}
    for each in reversed(_line(kind, name_or_file).values()):
        fields = merged(fields, each)
    return fields


def extends(kind: str, name_or_file: str, name: str) -> bool:
    """Return whether a configuration is one that comes with the project, or extends it, also by way of others.

    Raises:
        ConfigError: As `read_config`.
    """
    return configs(kind)[name].resolve() in _line(kind, name_or_file)


def _line(kind: str, name_or_file: str, below: tuple[Path, ...] = ()) -> dict[Path, dict[str, Any]]:
    """Read a configuration, then the one that it extends, and so on: file → its own fields.

    Args:
        kind: As above.
        name_or_file: As above.
        below: The files that extend this one, the first one first.
    """
    path = Path(name_or_file)
    if not (path.suffix in {".yaml", ".yml"} or is_file(name_or_file)):
        known = configs(kind)
        if name_or_file not in known:
            raise ConfigError.unknown(f"{kind} configuration", name_or_file, known)
        path = known[name_or_file]
    file = path.resolve()
    chain = (*below, file)
    if file in below:
        seen = f" {EXTENDS} ".join(map(str, chain[chain.index(file) :]))
        raise ConfigError(f"{path} extends itself", seen=seen, fix=f"name another configuration in one `{EXTENDS}:`")
    fields = read_yaml(path)
    if EXTENDS not in fields:
        return {file: fields}
    parent = str(fields.pop(EXTENDS))
    return {file: fields, **_line(kind, parent, chain)}


def class_list(name: str) -> Path:
    """Find the file of a class list that comes with the project.

    Raises:
        ConfigError: If there is none of that name.
    """
    known = configs("classes")
    if name not in known:
        allowed = f"{', '.join(known)}, a file with one class folder per line, or a share such as 0.2"
        raise ConfigError(f"unknown class list {name!r}", allowed=allowed)
    return known[name]


def data_root(option: str | None, layout: str, journal: Journal) -> tuple[Path, bool]:
    """Find the folder or shards that `--data` means for a layout, and whether its content is generated.

    A path means itself; in the image-folder layout it may also name shards, see `pretrain.images.stores.shards`. A bare name
    that is no folder here is looked for below BENCH_DATA. Without `--data`, the layout's folder there is meant, where
    BENCH_DATA is set. A kind of generated data is generated, in `data/` of the working folder; so is `shapes` otherwise.

    Raises:
        DataError: If nothing is there.
    """
    base = os.environ.get("BENCH_DATA")
    if is_generated(option):
        _require_generated(layout)
        return generated(journal, option or GENERATED) / ROOTS[layout], True
    if option is None:
        root = Path(str(base)) / ROOTS[layout]
        return _existing(root, f"BENCH_DATA is {base}"), False
    path = Path(option)
    if layout == "imagefolder" and shards.named(option):
        shards.expanded(option)
        return path, False
    if not path.exists() and base and len(path.parts) == 1:
        return _existing(Path(base) / option, f"BENCH_DATA is {base}"), False
    return _existing(path, "--data"), False


def _require_generated(layout: str) -> None:
    """Refuse a layout that the generated data lacks, before any is generated."""
    if not LAYOUTS[layout].generated:
        raise DataError(
            f"the generated data has no layout {layout!r}",
            seen="no --data, and BENCH_DATA is not set",
            allowed=", ".join(name for name, each in LAYOUTS.items() if each.generated),
            fix="pass the folder of your data with --data",
        )


def is_generated(option: str | None) -> bool:
    """Whether `--data` means the generated data."""
    return option in KINDS or (option is None and not os.environ.get("BENCH_DATA"))


def generated(journal: Journal, kind: str = GENERATED) -> Path:
    """Make generated data, unless it is there: below BENCH_DATA, or in `data/` of the working folder."""
    from transfer.shapes import generate

    return generate.generate(generated_root(kind), kind=kind, journal=journal)


def generated_root(kind: str = GENERATED) -> Path:
    """Return the folder of generated data, made or not."""
    return Path(os.environ.get("BENCH_DATA") or "data") / kind


def _existing(root: Path, why: str) -> Path:
    if not root.is_dir():
        wrong, remedy = amiss(root, folder=True)
        there = next((parent for parent in root.absolute().parents if parent.is_dir()), Path())
        alike = namesakes(root)
        listed = f"near it: {', '.join(alike)}" if alike else f"in {there}: {contents(there)}"
        seen = f"it {wrong} ({why})" if remedy else f"nothing ({why}); {listed}"
        fix = f"pass the folder with --data, set BENCH_DATA to the folder that holds {', '.join(ROOTS.values())}, "
        fix += "or leave both away to use generated data"
        if root.is_file():
            fix = f"pass the folder of the whole data set, which the file lies in: --data {root.parent}"
        raise DataError(f"no data at {root}", seen=seen, allowed="a folder in the task's layout", fix=fix)
    return root
