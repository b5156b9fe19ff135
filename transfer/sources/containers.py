"""Files around a checkpoint: archives and folders that hold one, and shards that make one together."""

import contextlib
import gzip
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO

from pretrain.core.errors import CheckpointError
from transfer.sources import bounds

ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pdparams", ".tar", ".pth.tar", ".torch", ".gz", ".zip")
"""Endings of checkpoints, in a folder or an archive."""
BESIDE = re.compile(
    r"(optimizer|lr_scheduler|scheduler|scaler|rng_state|training_args|random_states|sampler|dl_state_dict|custom_checkpoint|meta)"
    r"[\w-]*\.\w+|\w*optim_states\.pt|\..*"
)
"""Matches files that trainers keep beside the weights, and hidden ones, such as macOS's."""
SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)(\.safetensors|\.bin)")
INDEX = ".index.json"
ENCRYPTED = 1
"""Bit of a zip's members that have a password."""
LONGEST_INDEX = 2**24
"""Bytes of an index: 2 million tensors."""
EXPORTED = ("torch.export's (.pt2)", "torch.save(torch.export.load(FILE).state_dict, OUT)")
OTHERS_ARCHIVES = (
    ("model.weights.h5", "Keras's (.keras)", "load it with Keras and save the tensors by torchvision's names with torch.save"),
    ("serialized_exported_program.json", *EXPORTED),
    ("model_weights_config.json", *EXPORTED),
)
"""(a member's name, whose archive it is then, what to do)."""
DEEPEST, MOST_FOLDERS, MOST_NAMES = 4, 100, 1000
"""Folders inside each other that are looked into where one has no weights itself, of each depth, and names in each."""
TENSORFLOW = "load it with TensorFlow (tf.train.load_checkpoint) and save the tensors by torchvision's names"
KINDS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"saved_model\.pb"), "a SavedModel of TensorFlow", TENSORFLOW),
    (
        re.compile(r"\.metadata|.+\.distcp"),
        "a distributed checkpoint of torch",
        "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE",
    ),
    (re.compile(r".+\.(index|data-\d{5}-of-\d{5})"), "a checkpoint of TensorFlow", TENSORFLOW),
    (
        re.compile(r"zero_to_fp32\.py"),
        "a checkpoint of DeepSpeed",
        "python zero_to_fp32.py . pytorch_model.bin, in that folder",
    ),
    (
        re.compile(r"checkpoint|manifest\.ocdbt|_METADATA|_CHECKPOINT_METADATA"),
        "likely a checkpoint of Flax or Orbax",
        "load it there, and torch.save(jax.tree.map(numpy.asarray, …), OUT)",
    ),
)
"""(names of files in it, what a folder without other weights is, what to do)."""
PART = re.compile(r"(?P<name>.*)\.(metadata|distcp|index|meta|data-\d{5}-of-\d{5})")
"""Matches the files of a checkpoint that is several, none of which can be read alone."""


def require_no_part(path: str | Path) -> None:
    """Refuse one file of a distributed checkpoint or of TensorFlow's, and the name that TensorFlow's have in common.

    Raises:
        CheckpointError: With what the files are, and what to do.
    """
    folder, name = os.path.split(path)
    part = PART.fullmatch(name)
    index = (part["name"] if part else name) + ".index"
    names = [name, *([index] if os.path.isfile(os.path.join(folder, index)) else [])]
    kind = _kind(names) if part or len(names) > 1 else None
    if kind is not None:
        raise CheckpointError(
            f"{path} is a part of a checkpoint that is several files",
            seen=kind[0],
            allowed="a file of torch.save or safetensors",
            fix=kind[1],
        )


def _kind(names: Sequence[str]) -> tuple[str, str] | None:
    """Return what a folder with these files is, and what to do; None where nothing tells."""
    return next(((words, fix) for mark, words, fix in KINDS if any(map(mark.fullmatch, names))), None)


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
    kind = None if found else _kind(names)
    deeper = [] if found or kind else _below(folder)
    raise CheckpointError(
        f"{folder} is a folder of {len(found)} checkpoints" if found else f"no checkpoint in the folder {folder}",
        seen=_some(found or [str(path.relative_to(folder)) for path in deeper] or names)
        if kind is None
        else f"a folder: {kind[0]}",
        allowed="a file, or a folder with one file of weights",
        fix=kind[1] if kind else _pass([*(folder / name for name in found), *deeper]),
    )


def _below(folder: Path) -> list[Path]:
    """List the checkpoints in the folders below one, of the first depth that has some; an index stands for its shards."""
    level = [folder]
    for _ in range(DEEPEST):
        level = [each for at in level for each in _entries(at) if each.is_dir()][:MOST_FOLDERS]
        names = {at: [each.name for each in _entries(at) if each.is_file()] for at in level}
        found = [at / name for at in level for name in weights_among(names[at])]
        if found:
            return found
    return []


def _entries(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):  # of a folder that is closed to us nothing is said
        return sorted(islice(folder.iterdir(), MOST_NAMES))
    return []


def _pass(files: Sequence[Path]) -> str:
    return f"pass {'one of them: ' if len(files) > 1 else ''}{files[0]}" if files else "pass the file of the weights"


def weights_among(names: Sequence[str]) -> list[str]:
    """Return the names in a folder or an archive that are a checkpoint's: indices of shards before files, safetensors before
    other forms.
    """
    last = {name: name.rpartition("/")[2] for name in names}
    found = [name for name in names if name.endswith(INDEX)] or [
        name for name in names if name.lower().endswith(ENDINGS) and not BESIDE.fullmatch(last[name])
    ]
    safe = [name for name in found if name.endswith((".safetensors", f".safetensors{INDEX}"))]
    if len(found) > 1 and len(safe) == 1 and {last[name].partition(".")[0] for name in found} <= {"model", "pytorch_model"}:
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
            return bounds.unpacked(stream.read, size, path)
    if form == "zip":
        bounds.require_bounded(file, size, path, 0)
        with zipfile.ZipFile(file) as archive:
            name = _only([name for name in archive.namelist() if not name.endswith("/")], path)
            if archive.getinfo(name).flag_bits & ENCRYPTED:
                raise CheckpointError(
                    f"{path} is locked with a password", seen=name, fix="unpack it, and pass the file of the weights"
                )
            return BytesIO(archive.read(name))
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
        return bounds.unpacked(stream_of.read, size, path)


def _only(names: list[str], path: Path) -> str:
    """Return the name of the one checkpoint among an archive's members."""
    parts = {name.rpartition("/")[2] for name in names}
    for part, words, fix in OTHERS_ARCHIVES:
        if part in parts:
            raise CheckpointError(f"{path} is {words}, which is not read", seen=f"an archive with {part}", fix=fix)
    found = weights_among(names)
    if len(found) == 1:
        return found[0]
    raise CheckpointError(
        f"{path} is an archive of {len(found)} checkpoints" if found else f"{path} is an archive without a checkpoint",
        seen=_some(found or names),
        allowed="an archive with one file of weights, or such a file",
        fix="unpack it, and pass the file of the weights",
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "nothing"
