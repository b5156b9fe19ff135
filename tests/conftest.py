"""One torch thread for all tests: two 2-thread processes on two cores run up to ten times slower."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

CACHE = tempfile.mkdtemp(prefix="bench-cache-")
os.environ["BENCH_CACHE"] = CACHE  # of fixtures for several tests
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of each test's own, so that none finds what another one kept."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BENCH_CACHE", str(folder))
    return folder
