"""One torch thread for all tests: two 2-thread processes on two cores run up to ten times slower."""

import atexit
import itertools
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes and drives another program, unless it is asked for."""
    for item, name in itertools.product(items, ("slurm", "snakemake")):
        if item.get_closest_marker(name) and name not in config.option.markexpr:
            item.add_marker(pytest.mark.skip(reason=f"takes minutes: run with `pytest -m {name}`"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of each test's own, so that none finds what another one kept."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BENCH_CACHE", str(folder))
    return folder
