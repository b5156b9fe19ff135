"""What a file is, by its first bytes: its name proves nothing. The most specific signatures are tested first."""

import codecs
import pickletools
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import IO, Literal

from pretrain.core.instead import instead

Form = Literal["torch", "old torch", "TorchScript", "safetensors", "pickle", "gzip", "tar", "zip"]
"""The forms of files that are read; of the last three, what is in them."""

HEAD = 512
"""Bytes that tell a form; a tar says what it is in its 257th."""
ZIP = b"PK\x03\x04"
GZIP = b"\x1f\x8b"
OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch.save began before version 1.6: its magic number, pickled."""
PROTOCOLS = b"\x02\x03\x04\x05"
OLDEST_PICKLE = (b"(d", b"(l", b"c", b"}", b"]")
"""How pickles of protocols 0 and 1, which have no signature, may begin: with a container or a class."""


def _text(head: bytes) -> bytes:
    """Return how a text begins: without a byte order mark and blanks."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip()


def _is_text(head: bytes) -> bool:
    """Tell whether bytes are UTF-8 that can be printed; the last character may be cut."""
    text = head.decode("utf-8", errors="ignore")
    return len(text.encode()) > len(head) - 4 and all(each.isprintable() or each.isspace() for each in text)


STRANGERS: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (
        lambda b: b.startswith(b"\x89HDF\r\n\x1a\n"),
        "it is HDF5, which Keras, TensorFlow and h5py write",
        "load it with Keras or h5py and save the tensors by torchvision's names with torch.save; Keras's own ResNets differ "
        "from torchvision's in the stride's place, padding and eps",
    ),
    (
        lambda b: b.startswith(b"\x08\x01\x12"),
        "it is a SavedModel of TensorFlow",
        "load it with TensorFlow and save the tensors by torchvision's names",
    ),
    (
        lambda b: b[:1] == b"\x08" and b[1:2] < b"\x20" and b[2:3] in (b"\x12", b"\x1a", b":", b"B"),
        "it is likely ONNX",
        "take the checkpoint that it was exported from; or onnx.load(…) and save {each.name: onnx.numpy_helper.to_array(each)}",
    ),
    (lambda b: b.startswith(b"GGUF"), "it is GGUF, for llama.cpp", "take the checkpoint that it was made from"),
    (lambda b: b[4:8] == b"TFL3", "it is TensorFlow Lite", "take the checkpoint that it was exported from"),
    (lambda b: b.startswith(b"\x93NUMPY"), "it is one array of numpy (.npy)", "save all tensors by their names: numpy.savez"),
    (
        lambda b: b.startswith(ZIP) and b".npy" in b,
        "it is an archive of numpy (.npz)",
        "torch.save(dict(numpy.load(FILE)), OUT), which is read if its names are torch's, Flax's or Paddle's",
    ),
    (lambda b: b.startswith(b"BZh"), "it is compressed with bzip2", "bunzip2 it"),
    (lambda b: b.startswith(b"\xfd7zXZ\0"), "it is compressed with xz", "unxz it"),
    (lambda b: b.startswith(b"\x28\xb5\x2f\xfd"), "it is compressed with Zstandard", "unzstd it"),
    (lambda b: b.startswith(b"7z\xbc\xaf\x27\x1c"), "it is an archive of 7-Zip", "unpack it"),
    (lambda b: b.startswith(b"Rar!"), "it is an archive of RAR", "unpack it"),
    (
        lambda b: b.startswith(b"MATLAB"),
        "it is MATLAB's (.mat)",
        "scipy.io.loadmat, then save the tensors by torchvision's names",
    ),
    (lambda b: b.startswith(b"PAR1"), "it is Parquet, which holds data", "pass a checkpoint with --ckpt, data with --data"),
    (
        lambda b: b.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8")),
        "it is an image",
        "pass a checkpoint with --ckpt, data with --data",
    ),
    (lambda b: b"brain.Event:" in b[:64], "it is a log of TensorBoard", "pass the file of the weights beside it"),
    (
        lambda b: b[:8] in (b"\x04\0\0\0\x01\0\0\0", b"\x03\0\0\0\x01\0\0\0"),
        "it is of Torch7 (Lua)",
        "torch.save of the tensors that torchfile.load(FILE) gives, by torchvision's names",
    ),
    (
        lambda b: b.startswith(b"\x12\x01\0\0\0\0\0\0"),
        "it is of MXNet (Gluon)",
        "mxnet.nd.load(FILE), and torch.save of its arrays by torchvision's names; its norms have another eps in some models",
    ),
    (
        lambda b: b[:1] == b"\n" and b"\xa2\x06" in b[:80],
        "it is likely Caffe's (.caffemodel)",
        "take the checkpoint in torch's names, or port it; MSRA's ResNets are read with --source caffe",
    ),
    (lambda b: b[:4] in (b"ftrt", b"ptrt"), "it is an engine of TensorRT", "take the checkpoint that it was built from"),
    (lambda b: _text(b)[:1] in (b"{", b"["), "it is JSON", "pass the file of the weights beside it"),
    (
        lambda b: b[:1] in (b"\x82", b"\x83", b"\x84", b"\xde", b"\xdf"),
        "it is likely MessagePack, which Flax writes",
        "torch.save(jax.tree.map(numpy.asarray, flax.serialization.msgpack_restore(open(FILE, 'rb').read())), OUT)",
    ),
    (lambda b: _is_text(b), "it is text", "pass the file of the weights"),
)
"""Tests of the first bytes, what a file is that passes, and what to do; with what lies in the place of any file."""


def stranger(head: bytes) -> tuple[str, str] | None:
    """Return what a file that is not read is, and what to do; None where its first bytes don't tell."""
    if (found := instead(head)) is not None:
        return f"it is {found[0]}", found[1]
    return next(((words, fix) for fits, words, fix in STRANGERS if fits(head)), None)


def begins(head: bytes) -> bool:
    """Tell whether a file may be of a form that is read, by its first bytes."""
    known = head.startswith((OLD_TORCH, ZIP, GZIP, *OLDEST_PICKLE)) or head[8:9] == b"{" or head[257:262] == b"ustar"
    return known or (head[:1] == b"\x80" and head[1:2] in PROTOCOLS)


def form_of(file: IO[bytes], size: int) -> Form | None:
    """Tell the form of a file, which is left at its beginning; None where it is of none that is read."""
    head = file.read(HEAD)
    file.seek(0)
    if head.startswith(OLD_TORCH):
        return "old torch"
    if head.startswith(ZIP):
        return _zip_form(file)
    if head[8:9] == b"{" and (int.from_bytes(head[:8], "little") <= size - 8 or head[5:8] == b"\0\0\0"):
        return "safetensors"  # the length of a header of JSON, then the header
    if head[:1] == b"\x80" and head[1:2] in PROTOCOLS and head[1:2]:
        return "pickle"
    if head.startswith(GZIP):
        return "gzip"
    if head[257:262] == b"ustar":
        return "tar"
    return "pickle" if head.startswith(OLDEST_PICKLE) and _is_pickle(file) else None


def _zip_form(file: IO[bytes]) -> Form | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except Exception:  # broken in any way: its reader says how
        return "torch"
    finally:
        file.seek(0)
    parts = {name.rpartition("/")[2] for name in names}
    if "data.pkl" in parts:
        scripted = "constants.pkl" in parts or any("/code/" in f"/{name}" for name in names)
        return "TorchScript" if scripted else "torch"
    return None if parts and all(part.endswith(".npy") for part in parts) else "zip"


def _is_pickle(file: IO[bytes]) -> bool:
    try:
        return any(opcode.name == "STOP" for opcode, _, _ in pickletools.genops(BytesIO(file.read())))
    except Exception:
        return False
    finally:
        file.seek(0)
