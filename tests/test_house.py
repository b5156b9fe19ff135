"""The shape of the house: imports point from bench to transfer to pretrain and in no circle; nothing is past the wall."""

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent
ALLOWED = {"pretrain": {"pretrain"}, "transfer": {"pretrain", "transfer"}, "bench": {"pretrain", "transfer", "bench"}}
HEAVY = dict.fromkeys(("mmseg", "mmengine", "mmcv"), "transfer/engines/mmseg/")
HEAVY |= dict.fromkeys(("detectron2", "fvcore"), "transfer/engines/detectron2/")
WALL, FUNCTION_WALL = 300, 50
"""Lines of a file and of a function at most."""


def sources() -> list[Path]:
    return sorted(path for storey in ALLOWED for path in (HOME / storey).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@functools.cache
def modules() -> dict[str, Path]:
    """Our modules by their dotted names."""
    named = {path.relative_to(HOME).with_suffix("").parts: path for path in sources()}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for parts, path in named.items()}


def depends_on(path: Path) -> set[str]:
    """Our modules that a file imports, anywhere in it: an import inside a function counts."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside if inside <= modules().keys() else inside | {node.module}
    return found & modules().keys()


@pytest.mark.parametrize("storey", ALLOWED)
def test_a_storey_imports_only_the_storeys_below_it(storey: str) -> None:
    wrong = [
        (path.relative_to(HOME).as_posix(), name)
        for path in (HOME / storey).rglob("*.py")
        for name in imported(path)
        if name.split(".")[0] in ALLOWED.keys() - ALLOWED[storey]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", HEAVY)
def test_a_heavy_engine_is_imported_in_its_own_folder(package: str) -> None:
    files = {path.relative_to(HOME).as_posix() for path in sources() if package in {n.split(".")[0] for n in imported(path)}}
    assert all(file.startswith(HEAVY[package]) for file in files)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graphlib.TopologicalSorter(
        {name: depends_on(path) - {name} for name, path in modules().items()}
    ).prepare()  # names the circle


def test_no_function_is_past_the_wall() -> None:
    long = {
        f"{path.relative_to(HOME).as_posix()}:{node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_WALL
    }
    assert long == set()


def test_no_file_is_past_the_wall() -> None:
    long = {p.relative_to(HOME).as_posix() for p in sources() if len(p.read_text(encoding="utf-8").splitlines()) > WALL}
    assert long == set()
