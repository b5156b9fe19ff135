"""What the shell completes the values of options with: the names of our tables, read without importing them."""

import ast
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Folder that holds `pretrain`, `transfer` and `bench`."""
TABLES = {
    "tasks": "transfer/tasks/__init__.py:TASKS",
    "augs": "pretrain/augment/__init__.py:AUGMENTATIONS",
    "methods": "pretrain/methods/__init__.py:METHODS",
    "backbones": "pretrain/backbones/__init__.py:BACKBONES",
    "engines": "transfer/engines/__init__.py:ENGINES",
    "targets": "transfer/convert.py:TARGETS",
}
"""What is listed → `path/of/module.py:TABLE`, a literal mapping whose keys are the names."""


def names(listed: str) -> list[str]:
    """Read the keys of a table, in its order."""
    path, _, table = TABLES[listed].partition(":")
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict(keys=keys)) if name == table:
                return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    raise LookupError(f"no table {table} in {path}")


def of(listed: str) -> Callable[[str], list[str]]:
    """Return a completion in typer's form: the names of a table that begin with what was typed."""

    def completed(incomplete: str) -> list[str]:
        return [name for name in names(listed) if name.startswith(incomplete)]

    return completed
