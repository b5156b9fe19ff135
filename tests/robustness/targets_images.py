"""Fuzz targets: archives of images, each given bytes as the one archive of a split.

A target lists the split, sends the set as a loader worker gets it, and reads every image. It accepts `BenchError`; anything
else that escapes is a bug. `SEEDS` are healthy archives, from which a fuzzer starts.
"""

import atexit
import functools
import gzip
import io
import json
import pickle
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pretrain.core.errors import BenchError
from pretrain.images import imageset

try:
    import pyarrow
    from pyarrow import ipc, parquet
except ImportError:
    pyarrow = None


@functools.cache
def folder() -> Path:
    """Where the archives lie; gone when the process ends."""
    made = Path(tempfile.mkdtemp(prefix="bench-fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@functools.cache
def image() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((3, 4, 3), 90, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def read(name: str, data: bytes) -> None:
    """The bytes are a split's archive of that name."""
    (folder() / name).parent.mkdir(exist_ok=True)
    (folder() / name).write_bytes(data)
    try:
        whole = name.endswith(("tar", "parquet", "arrow", "npz"))
        found = imageset.read(folder() / name if whole else (folder() / name).parent, "train")
        sent = pickle.loads(pickle.dumps(found))
        sent.fingerprint()
    except BenchError:
        return
    for index in range(min(len(sent), 20)):
        try:
            sent.picture(index).pixels()
        except BenchError:
            continue


def tar(*members: tuple[str, bytes], form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as opened:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("ant/1.png", image())
        opened.writestr("bee/2.png", image())
    return buffer.getvalue()


def table(group: int, compression: str) -> bytes:
    rows = [{"bytes": image(), "path": f"{number}.png"} for number in range(4)]
    made = pyarrow.table({"image": rows, "label": [0, 1, 0, 1]})
    noted = {"info": {"features": {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["ant", "bee"]}}}}
    buffer = io.BytesIO()
    parquet.write_table(
        made.replace_schema_metadata({"huggingface": json.dumps(noted)}), buffer, row_group_size=group, compression=compression
    )
    return buffer.getvalue()


def batch(protocol: int) -> bytes:
    """A file of CIFAR-100."""
    return pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "fine_labels": [0], "filenames": ["a.png"]}, protocol)


def cifar(name: str, data: bytes) -> None:
    """The bytes are a file of CIFAR-100, beside others that are whole."""
    place = folder() / "cifar"
    place.mkdir(exist_ok=True)
    for other in ("train", "test"):
        (place / other).write_bytes(batch(2))
    (place / "meta").write_bytes(pickle.dumps({"fine_label_names": ["ant"]}))
    read(f"cifar/{name}", data)


def idx(name: str, data: bytes) -> None:
    """The bytes are the images or the labels of a set like MNIST."""
    place = folder() / "idx"
    place.mkdir(exist_ok=True)
    (place / "train-images-idx3-ubyte").write_bytes(IMAGES)
    (place / "train-labels-idx1-ubyte").write_bytes(LABELS)
    read(f"idx/train-{name}-ubyte", data)


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, train_images=np.zeros((2, 3, 4), np.uint8), train_labels=np.zeros((2, 1), np.int64))
    return buffer.getvalue()


def arrow(new: Callable[..., object]) -> bytes:
    """A table as `save_to_disk` writes it."""
    made = pyarrow.table({"image": [{"bytes": image(), "path": f"{n}.png"} for n in range(4)], "label": [0, 1, 0, 1]})
    buffer = io.BytesIO()
    with new(buffer, made.schema) as out:
        out.write_table(made, max_chunksize=2)
    return buffer.getvalue()


IMAGES, LABELS = bytes((0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4)), bytes((0, 0, 8, 1, 0, 0, 0, 1, 0))
SAMPLES = [("a.png", image()), ("a.cls", b"0"), ("b/c.png", image()), ("b/c.json", b'{"label": 1}')]
TARGETS: dict[str, Callable[[bytes], None]] = {
    "zip of images": functools.partial(read, "train.zip"),
    "tar of images": functools.partial(read, "train.tar"),
    "batch of CIFAR": functools.partial(cifar, "train"),
    "names of CIFAR": functools.partial(cifar, "meta"),
    "idx images": functools.partial(idx, "images-idx3"),
    "idx labels": functools.partial(idx, "labels-idx1"),
    "npz of images": functools.partial(read, "train.npz"),
}
SEEDS: dict[str, list[bytes]] = {
    "batch of CIFAR": [batch(protocol) for protocol in (0, 2, 4)],
    "names of CIFAR": [pickle.dumps({"fine_label_names": ["ant", "bee"]}, 2)],
    "idx images": [IMAGES, gzip.compress(IMAGES)],
    "idx labels": [LABELS, gzip.compress(LABELS)],
    "npz of images": [arrays()],
    "zip of images": [archive()],
    "tar of images": [
        tar(*SAMPLES, form=tarfile.USTAR_FORMAT),
        tar(("ant/" + "long/" * 40 + "1.png", image()), ("bee/2.png", image()), form=tarfile.GNU_FORMAT),
        tar(("ant/" + "long/" * 40 + "1.png", image()), ("bee/ü.png", image()), form=tarfile.PAX_FORMAT),
    ],
}
if pyarrow is not None:
    TARGETS["table of images"] = functools.partial(read, "train.parquet")
    SEEDS["table of images"] = [table(2, "snappy"), table(4, "none")]
    TARGETS["Arrow of images"] = functools.partial(read, "train.arrow")
    SEEDS["Arrow of images"] = [arrow(ipc.new_stream), arrow(ipc.new_file)]
