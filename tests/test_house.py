"""The arrows of the house: pretrain ← transfer ← bench, and each heavy engine in one file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent
ALLOWED = {"pretrain": {"pretrain"}, "transfer": {"pretrain", "transfer"}, "bench": {"pretrain", "transfer", "bench"}}
HEAVY = dict.fromkeys(("mmseg", "mmengine", "mmcv"), "transfer/engines/mmseg/")
HEAVY |= dict.fromkeys(("detectron2", "fvcore"), "transfer/engines/detectron2/")
WALL = 300
"""Lines of a file at most."""


def sources() -> list[Path]:
    return sorted(path for storey in ALLOWED for path in (HOME / storey).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


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


def test_no_file_is_past_the_wall() -> None:
    long = {p.relative_to(HOME).as_posix() for p in sources() if len(p.read_text(encoding="utf-8").splitlines()) > WALL}
    assert long == set()
