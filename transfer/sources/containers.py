"""Files around a checkpoint: archives and folders that hold one, and shards that make one together."""

import gzip
import json
import re
import tarfile
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import IO

from pretrain.core.errors import CheckpointError
from transfer.sources import bounds

ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pdparams", ".tar", ".pth.tar", ".torch", ".gz", ".zip")
"""Endings of checkpoints, in a folder or an archive."""
BESIDE = re.compile(r"(optimizer|scheduler|scaler|rng_state|training_args|random_states)[\w-]*\.\w+")
"""Matches files that trainers keep beside the weights."""
SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)(\.safetensors|\.bin)")
INDEX = ".index.json"
LONGEST_INDEX = 2**24
"""Bytes of an index: 2 million tensors."""
FOLDERS: tuple[tuple[str, str, str], ...] = (
    ("saved_model.pb", "a SavedModel of TensorFlow", "load it with TensorFlow and save the tensors by torchvision's names"),
    (
        ".metadata",
        "a distributed checkpoint of torch",
        "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE",
    ),
    ("zero_to_fp32.py", "a checkpoint of DeepSpeed", "python zero_to_fp32.py . pytorch_model.bin, in that folder"),
    (
        "checkpoint",
        "likely a checkpoint of Flax or Orbax",
        "load it there, and torch.save(jax.tree.map(numpy.asarray, …), OUT)",
    ),
)
"""(a file in it, what a folder then is, what to do)."""


def in_folder(folder: Path) -> Path:
    """Return the one checkpoint in a folder: a file, an index of shards, or the folder itself where a zip was unpacked in it.

    Raises:
        CheckpointError: If there is none, or several.
    """
    for each in (folder, *sorted(inner for inner in folder.iterdir() if inner.is_dir())):
        if (each / "data.pkl").is_file():
            return each
    names = sorted(each.name for each in folder.iterdir() if each.is_file())
    found = weights_among(names)
    if len(found) == 1:
        return folder / found[0]
    shards = [name for name in found if SHARD.fullmatch(name)]
    if found and shards == found and len({SHARD.fullmatch(name)[1] for name in found}) == 1:  # type: ignore[index]
        return folder / found[0]
    deeper = [] if found else [path for path in sorted(folder.glob("*/*")) if weights_among([path.name]) and path.is_file()]
    kind = None if deeper else next(((words, fix) for name, words, fix in FOLDERS if name in names), None)
    raise CheckpointError(
        f"{folder} is a folder of {len(found)} checkpoints" if found else f"no checkpoint in the folder {folder}",
        seen=_some(found or [str(path.relative_to(folder)) for path in deeper] or names)
        if kind is None
        else f"a folder: {kind[0]}",
        allowed="a file, or a folder with one file of weights",
        fix=kind[1] if kind else _pass([*(folder / name for name in found), *deeper]),
    )


def _pass(files: Sequence[Path]) -> str:
    return f"pass {'one of them: ' if len(files) > 1 else ''}{files[0]}" if files else "pass the file of the weights"


def weights_among(names: Sequence[str]) -> list[str]:
    """Return the names in a folder that are a checkpoint's: indices of shards before files, safetensors before other forms."""
    found = [name for name in names if name.endswith(INDEX)] or [
        name for name in names if name.lower().endswith(ENDINGS) and not BESIDE.fullmatch(name)
    ]
    safe = [name for name in found if name.endswith((".safetensors", f".safetensors{INDEX}"))]
    if len(found) > 1 and len(safe) == 1 and {name.partition(".")[0] for name in found} <= {"model", "pytorch_model"}:
        return safe  # Hugging Face keeps the same weights in both forms
    return found


def is_shard_of(name: str, index: str) -> bool:
    """Whether a file is named as a shard of an index: `model-00001-of-00002.safetensors` of `model.safetensors.index.json`."""
    part = SHARD.fullmatch(name)
    return part is not None and index == f"{part[1]}{part[4]}{INDEX}"


def shards(path: Path) -> tuple[Path, ...]:
    """Return the files that make one checkpoint together; of a file that is whole, itself.

    Raises:
        CheckpointError: If an index can't be read, or some are missing.
    """
    if path.name.endswith(INDEX):
        return _listed(path)
    part = SHARD.fullmatch(path.name)
    if part is None or not 1 < int(part[3]) < 1000:
        return (path,)
    name, number, total, ending = part.groups()
    every = [path.with_name(f"{name}-{n:0{len(number)}}-of-{total}{ending}") for n in range(1, int(total) + 1)]
    return _present(every, f"{path} is shard {int(number)} of {int(total)}, a part of a checkpoint")


def _listed(path: Path) -> tuple[Path, ...]:
    wrong = CheckpointError(
        f"{path} is no index of shards",
        allowed='{"weight_map": {"conv1.weight": "model-00001-of-00002.safetensors", …}}, files of the same folder',
        fix="pass the file of the weights",
    )
    if path.stat().st_size > LONGEST_INDEX:
        raise wrong
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise wrong from None
    listed = plain.get("weight_map") if isinstance(plain, dict) else None
    names = dict.fromkeys(listed.values()) if isinstance(listed, dict) and all(map(_is_name, listed.values())) else {}
    if not names:
        raise wrong
    return _present([path.with_name(name) for name in names], f"{path} is an index of {len(names)} shards")


def _is_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[\w.-]+", name) is not None and name.lower().endswith(ENDINGS)


def _present(files: list[Path], wrong: str) -> tuple[Path, ...]:
    missing = [each.name for each in files if not each.is_file()]
    if missing:
        raise CheckpointError(
            f"{wrong}; {len(missing)} are missing" if len(missing) > 1 else f"{wrong}; one is missing",
            seen=f"missing: {_some(missing)}",
            allowed=f"all of its files in {files[0].parent}",
            fix=f"download {_some(missing)} beside it",
        )
    return tuple(files)


def unpacked(file: IO[bytes], size: int, form: str, path: Path) -> IO[bytes]:
    """Return the one checkpoint in an archive, or what a compressed file holds.

    Args:
        file: gzip, tar or zip.
        size: Its bytes.
        form: Which of them.
        path: The file, for messages.

    Raises:
        CheckpointError: If it holds no checkpoint, or several, or far more than its size.
    """
    if form == "gzip":
        with gzip.GzipFile(fileobj=file) as stream:
            return BytesIO(bounds.unpacked(stream.read, size, path))
    if form == "zip":
        bounds.require_bounded(file, size, path, 0)
        with zipfile.ZipFile(file) as archive:
            return BytesIO(archive.read(_only([name for name in archive.namelist() if not name.endswith("/")], path)))
    with tarfile.open(fileobj=file, mode="r:") as tape:
        members = {member.name: member for member in tape.getmembers() if member.isreg() and member.size <= size}
        if {"sys_info", "pickle", "storages"} <= members.keys():
            raise CheckpointError(
                f"{path} was written by torch before version 0.2",
                seen="a tar of sys_info, pickle, tensors and storages",
                allowed="a file of torch 0.2 or later",
                fix="load it with an old torch and save its state_dict again",
            )
        stream_of = tape.extractfile(members[_only(list(members), path)])
        assert stream_of is not None
        return BytesIO(bounds.unpacked(stream_of.read, size, path))


def _only(names: list[str], path: Path) -> str:
    """Return the name of the one checkpoint among an archive's members."""
    found = [name for name in names if name.lower().endswith(ENDINGS) and not name.rpartition("/")[2].startswith(".")]
    if len(found) == 1:
        return found[0]
    parts = {name.rpartition("/")[2] for name in names}
    kind = (
        "Keras's (.keras)" if "model.weights.h5" in parts else "torch.export's" if any("exported" in p for p in parts) else ""
    )
    raise CheckpointError(
        f"{path} is an archive of {len(found)} checkpoints" if found else f"{path} is an archive without a checkpoint",
        seen=(f"{kind}: " if kind else "") + _some(found or names),
        allowed="an archive with one file of weights, or such a file",
        fix="unpack it, and pass the file of the weights" if not kind else "save the state_dict with torch.save",
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "nothing"
