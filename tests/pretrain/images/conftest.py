"""The folder of two classes, packed in each way that a split can be."""

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Packed = Callable[[str], Path]
KINDS = ("folder", "zip", "tar", "webdataset", "parquet")


def tar(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """Write a tar of these files, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as opened:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return path


def samples(folder: Path, files: Sequence[Path], classes: Sequence[str]) -> list[tuple[str, bytes]]:
    """Each image and its label, as WebDataset's writers do."""
    found = []
    for file in files:
        name = file.relative_to(folder)
        label = str(classes.index(name.parts[0])).encode()
        found += [(name.as_posix(), file.read_bytes()), (name.with_suffix(".cls").as_posix(), label)]
    return found


def parquet(path: Path, images: Sequence[tuple[str, bytes]], labels: Sequence[int], classes: Sequence[str]) -> Path:
    """Write a table as Hugging Face's `datasets` does."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    image = pyarrow.array([{"bytes": data, "path": name} for name, data in images])
    features = {"image": {"_type": "Image"}, "label": {"names": list(classes), "_type": "ClassLabel"}}
    table = pyarrow.table({"image": image, "label": pyarrow.array(labels, pyarrow.int64())})
    noted = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(noted), path, row_group_size=3)
    return path


@pytest.fixture
def packed(root: Path, tmp_path: Path) -> Packed:
    """Packs `root`, its images in a random order, and returns where the splits lie then."""

    def pack(kind: str) -> Path:
        target = tmp_path / kind
        target.mkdir()
        for split in ("train", "val"):
            folder = root / split
            classes = sorted(path.name for path in folder.iterdir())
            files = sorted(folder.rglob("*.png"))
            random.Random(split).shuffle(files)
            _write(kind, target, split, folder, files, classes)
        return root if kind == "folder" else target

    return pack


def _write(kind: str, target: Path, split: str, folder: Path, files: list[Path], classes: list[str]) -> None:
    named = [(file.relative_to(folder).as_posix(), file.read_bytes()) for file in files]
    if kind == "zip":
        with zipfile.ZipFile(target / f"{split}.zip", "w") as archive:
            for name, data in named:
                archive.writestr(name, data)
    elif kind == "tar":
        tar(target / f"{split}.tar", named)
    elif kind == "webdataset":
        (target / "classes.txt").write_text("\n".join(classes))
        for number in range(2):
            tar(target / f"{split}-{number:06d}.tar", samples(folder, files[number::2], classes))
    elif kind == "parquet":
        word = {"train": "train", "val": "validation"}[split]
        for number in range(2):
            part = files[number::2]
            images = [(file.name, file.read_bytes()) for file in part]
            labels = [classes.index(file.relative_to(folder).parts[0]) for file in part]
            parquet(target / f"data/{word}-{number:05d}-of-00002.parquet", images, labels, classes)
