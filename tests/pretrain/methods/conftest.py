"""The tiny network is in the table while these tests run."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import tiny_methods


@pytest.fixture(autouse=True)
def tiny() -> Iterator[ModuleType]:
    """The module `tiny_methods`."""
    tiny_methods.register()
    yield tiny_methods
    tiny_methods.unregister()
