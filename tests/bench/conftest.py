"""What the tests of the command line share."""

import runpy
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import cli

LayImages = Callable[..., Path]
Typed = Callable[..., int]
Browser = runpy.run_path(str(Path(__file__).resolve().parent / "browser.py"))["Browser"]


@pytest.fixture
def lay_images() -> LayImages:
    """Writes an image folder, of two classes unless told: `lay_images(folder, train=8, val=4)`, images of noise per class."""

    def lay(folder: Path, classes: Sequence[str] = ("ant", "bee"), **counts: int) -> Path:
        rng = np.random.default_rng(0)
        for split, count in counts.items():
            for cls in classes:
                (folder / split / cls).mkdir(parents=True)
                for i in range(count):
                    pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / split / cls / f"{cls}_{i}.png")
        return folder

    return lay


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_images: LayImages) -> Path:
    """An empty working folder with a tiny image folder in it, `images`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    lay_images(tmp_path / "images", train=8, val=4)
    return tmp_path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Runs a `bench` command as typed, `typed("ls", "tasks")`; its exit code."""

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("needs Debian's chromium")
    with Browser(tmp_path_factory.mktemp("profile"), executable) as started:
        yield started
