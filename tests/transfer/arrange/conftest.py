"""Tiny exports, written by tests, and what the project's readers make of them once arranged."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transfer.arrange import recognise
from transfer.arrange.work import Arranged, Wanted, arrange
from transfer.datasets import cityscapes, coco, imagefolder, voc

WIDTH, HEIGHT = 40, 30
READERS = {"coco": coco.read, "voc": voc.read, "cityscapes": cityscapes.read, "imagefolder": imagefolder.read}
READERS["crops"] = imagefolder.read

Lay = Callable[[dict[str, Any]], Path]
Run = Callable[..., tuple[Any, Arranged]]


def encoded(content: Any, ending: str) -> bytes:
    """A file's bytes: text, JSON from a dict, or a picture; None is a grey image of 40 × 30 pixels."""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, dict):
        return json.dumps(content).encode()
    if isinstance(content, bytes):
        return content
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8) if content is None else content
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(
        file, "JPEG" if ending in (".jpg", ".JPEG") else "PNG"
    )
    return file.getvalue()


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Write an export: path → content."""

    def write(files: dict[str, Any]) -> Path:
        root = tmp_path / "export"
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(encoded(content, Path(name).suffix))
        return root

    return write


@pytest.fixture
def run(lay: Lay, tmp_path: Path) -> Run:
    """Write an export, check that its format is recognised, arrange it, and read what was made."""

    def arranged(files: dict[str, Any], format_: str, **options: Any) -> tuple[Any, Arranged]:
        root, target = lay(files), tmp_path / "made"
        assert recognise(root) == format_
        before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        reading = options.pop("reading", {})
        done = arrange(root, target, Wanted(**options), lambda *_: None)
        assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
        return READERS[done.layout](target, **reading), done

    return arranged
