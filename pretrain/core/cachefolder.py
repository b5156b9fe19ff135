"""The folder in which everything is kept that can be made or fetched again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder: BENCH_CACHE, or `bench-transfer` in the user's folder of caches (XDG_CACHE_HOME, else `~/.cache`)."""
    if own := os.environ.get("BENCH_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bench-transfer"
