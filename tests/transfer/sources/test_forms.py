"""Forms of files: each is read where that is safe, and named otherwise; nothing in them runs."""

import argparse
import collections
import datetime
import gzip
import io
import json
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor

from pretrain.core.errors import CheckpointError
from transfer import sources
from transfer.sources import bounds, files

State = dict[str, Tensor]


def weights() -> State:
    torch.manual_seed(0)
    return dict(torchvision.models.resnet18(num_classes=2).state_dict())


def saved(content: Any) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def is_read(path: Path, **how: Any) -> bool:
    backbone, state = sources.load(str(path), **how), weights()
    return backbone.arch == "resnet18" and all(torch.equal(tensor, state[name]) for name, tensor in backbone.state.items())


class History:
    """An object of a class that the reader does not know."""

    def __init__(self) -> None:
        self.losses = [1.0]


def test_harmless_objects_beside_the_weights_stop_nothing(tmp_path: Path) -> None:
    beside = {
        "best": np.float64(3),
        "names": np.array(["cat", "dog"]),
        "objects": np.array([{1: 2}], dtype=object),
        "when": datetime.datetime.now(tz=datetime.UTC),
        "where": Path("a/b"),
        "stats": collections.defaultdict(list, {"a": [1]}),
        "seen": {1, 2},
        "last": collections.deque([1], maxlen=2),
        "args": argparse.Namespace(arch="resnet18"),
        History: History(),
    }
    path = tmp_path / "c.pth"
    path.write_bytes(saved({"state_dict": weights(), **beside}))
    assert is_read(path)
    payload = files.read(path)
    assert (payload.content["best"], payload.content["stats"]) == (3.0, {"a": [1]})
    assert payload.content["args"] == {"arch": "resnet18"}
    assert f"{__name__}.History" in payload.strangers


class Distributed:
    """Is pickled as torch's DTensor is, which needs a group of processes: as a call, with its tensor in a state."""

    def __init__(self, local: Tensor) -> None:
        self.local = local

    def __reduce__(self) -> Any:
        whole = (Distributed, torch.float32, self.local.shape)
        return torch._tensor._rebuild_from_type_v2, (
            torch._utils._rebuild_wrapper_subclass,
            Distributed,
            whole,
            (None, {"_local_tensor": self.local}),
        )


def test_distributed_tensors_of_one_process_are_read(tmp_path: Path) -> None:
    (tmp_path / "d.pt").write_bytes(saved({"model": {name: Distributed(tensor) for name, tensor in weights().items()}}))
    assert is_read(tmp_path / "d.pt")


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_a_pickled_module_gives_its_tensors(tmp_path: Path, trust: bool, old: bool) -> None:
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=2)
    torch.save({"model": model}, tmp_path / "m.pt", _use_new_zipfile_serialization=not old)
    assert is_read(tmp_path / "m.pt", trust=trust)


def test_torchscript_gives_its_tensors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.jit.script(torchvision.models.resnet18(num_classes=2)).save(str(tmp_path / "s.pt"))
    assert is_read(tmp_path / "s.pt")
    assert is_read(tmp_path / "s.pt", trust=True)


def test_torchscript_without_tensors_is_said_to_be_frozen(tmp_path: Path) -> None:
    torch.jit.freeze(torch.jit.script(torch.nn.Linear(2, 2).eval())).save(str(tmp_path / "s.pt"))
    with pytest.raises(CheckpointError, match="weights are constants of its code"):
        sources.load(str(tmp_path / "s.pt"))


def test_a_device_is_no_file() -> None:
    with pytest.raises(CheckpointError, match=r"seen: +a device or a pipe"):
        sources.load("/dev/zero")


def test_archives_with_one_checkpoint_are_read(tmp_path: Path) -> None:
    content = saved(weights())
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/model.pth", content)
        archive.writestr("x/README.md", "words")
    with tarfile.open(tmp_path / "a.tar", "w") as tape:
        info = tarfile.TarInfo("x/model.pth")
        info.size = len(content)
        tape.addfile(info, io.BytesIO(content))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes()))
    assert all(is_read(tmp_path / name) for name in ("a.gz", "a.zip", "a.tar", "a.tar.gz"))


def constant() -> State:
    """An untrained network of one number each, 45 MB of it: as gzip, a hundredth."""
    return {name: torch.full_like(tensor, 2) for name, tensor in torchvision.models.resnet18().state_dict().items()}


@pytest.mark.parametrize("packed", ["gzip", "a zip in gzip", "a zip", "a pickle in gzip"])
def test_what_packs_well_is_read(tmp_path: Path, packed: str) -> None:
    state = constant()
    content = saved(state) if packed != "a pickle in gzip" else pickle.dumps({k: t.numpy() for k, t in state.items()})
    if "zip" in packed.split():
        deflated = io.BytesIO()
        with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("model.pth", content)
        content = deflated.getvalue()
    (tmp_path / "a").write_bytes(gzip.compress(content, 1) if "gzip" in packed else content)
    assert (tmp_path / "a").stat().st_size * 20 < 45e6
    read = sources.load(str(tmp_path / "a"))
    assert all(torch.equal(tensor.float(), state[name].float()) for name, tensor in read.state.items())


def test_a_bomb_in_gzip_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LARGEST", 2**23)
    begun = saved(weights())[:1000]
    (tmp_path / "a.gz").write_bytes(gzip.compress(begun + bytes(30 * 2**20)))
    with pytest.raises(CheckpointError, match=r"would unpack to far more than it is(.|\n)*more than 8\.0 MiB unpacked"):
        sources.load(str(tmp_path / "a.gz"))


def test_zeros_without_end_in_gzip_are_unpacked_no_further_than_their_beginning(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(30 * 2**20)))
    asked: list[int] = []
    with gzip.open(tmp_path / "a.gz") as stream:
        bounds.unpacked(lambda size: asked.append(size) or stream.read(size), 30_000, tmp_path)  # type: ignore[func-returns-value]
    assert asked == [bounds.CHUNK]
    with pytest.raises(CheckpointError, match=r"a file that begins with zeros only(.|\n)*unpacked, it begins with"):
        sources.load(str(tmp_path / "a.gz"))


def test_an_unpacked_zip_and_a_folder_with_one_file_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved(weights()))) as archive:
        archive.extractall(tmp_path / "unpacked.pth")
    assert is_read(tmp_path / "unpacked.pth")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    safetensors.torch.save_file(weights(), snapshot / "model.safetensors")
    (snapshot / "config.json").write_text("{}")
    (snapshot / "optimizer.pt").write_bytes(b"x")
    assert is_read(snapshot)
    shutil.copy(snapshot / "model.safetensors", snapshot / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"a folder of 2 checkpoints(.|\n)*model\.safetensors, other\.safetensors"):
        sources.load(str(snapshot))


def test_a_folder_whose_weights_lie_deeper_names_them(tmp_path: Path) -> None:
    (tmp_path / "run/step10").mkdir(parents=True)
    (tmp_path / "run/latest").write_text("step10")
    torch.save({}, tmp_path / "run/step10/model_states.pt")
    with pytest.raises(CheckpointError, match=r"do: +pass .*run/step10/model_states\.pt"):
        sources.load(str(tmp_path / "run"))


def test_a_storage_s_name_can_t_lead_out_of_a_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved({"conv1.weight": torch.zeros(2)}))) as archive:
        archive.extractall(tmp_path)
    pickled = tmp_path / "archive" / "data.pkl"
    pickled.write_bytes(pickled.read_bytes().replace(b"X\x01\x00\x00\x000", b"X\x04\x00\x00\x00../x"))
    (tmp_path / "archive" / "x").write_bytes(bytes(8))
    with pytest.raises(CheckpointError, match=r"'\.\./x' is no storage"):
        sources.load(str(tmp_path))


def test_shards_are_joined_and_a_missing_one_is_named(tmp_path: Path) -> None:
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    every = list(weights().items())
    for name, part in zip(names, (every[:60], every[60:]), strict=True):
        safetensors.torch.save_file(dict(part), tmp_path / name)
    listed = {key: names[int(n >= 60)] for n, (key, _) in enumerate(every)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    for path in (tmp_path, tmp_path / names[0], tmp_path / names[1], tmp_path / "model.safetensors.index.json"):
        assert is_read(path)
    assert "joined of 2 shards" in sources.load(str(tmp_path)).why
    (tmp_path / names[1]).unlink()
    for path in (tmp_path / names[0], tmp_path / "model.safetensors.index.json"):
        with pytest.raises(CheckpointError, match=rf"shard(.|\n)*missing: {names[1]}"):
            sources.load(str(path))


def test_an_index_names_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.index.json").write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    with pytest.raises(CheckpointError, match="is no index of shards"):
        sources.load(str(tmp_path / "a.index.json"))


@pytest.mark.parametrize("pad", range(32))
def test_a_safetensors_file_is_one_whatever_its_header_s_length(tmp_path: Path, pad: int) -> None:
    """The length may begin like a pickle, with 0x80; it does in one good file of 32."""
    path = tmp_path / "m.safetensors"
    state = {"a" * (8 * pad + 1): torch.zeros(2)}
    safetensors.torch.save_file(state, path)
    assert files.read(path).form == "safetensors"


NAMED = {
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x05", "likely ONNX"),
    "one array": (b"\x93NUMPY\x01\x00", "one array of numpy"),
    "bzip2": (b"BZh91AY", "compressed with bzip2"),
    "JSON": (b'{"a": 1}', "it is JSON"),
    "GGUF": (b"GGUF\x03", "it is GGUF"),
    "a page with a byte order mark": (b"\xef\xbb\xbf<html>", "a web page"),
    "zeros": (bytes(600), "zeros only"),
    "macOS's": (b"\0\5\x16\7\0\2\0\0Mac OS X", "what macOS keeps beside a file"),
    "a SavedModel": (b"\x08\x01\x12\xf0\x05", "a SavedModel of TensorFlow"),
    "TensorBoard": (
        b"\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\x09\0\0\xc0\x16\xc0\x9a\xd9A\x1a\rbrain.Event:2",
        "log of TensorBoard",
    ),
    "Torch7": (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", "Torch7"),
    "MXNet": (b"\x12\x01\0\0\0\0\0\0" + bytes(16), "of MXNet"),
    "Caffe": (b"\n\tResNet-50\xa2\x06\x92\x01\n\x04data", "likely Caffe's"),
    "TensorRT": (b"ftrt\0\0", "TensorRT"),
    "text": ("model:\n  name: resnet18 # é\n".encode(), "it is text"),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    content, words = NAMED[name]
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"it is none; (.|\n)*{words}"):
        sources.load(str(tmp_path / "x.pth"))


def test_a_text_that_names_a_checkpoint_beside_it_names_it(tmp_path: Path) -> None:
    (tmp_path / "model_0004999.pth").write_bytes(saved(weights()))
    for text in ("model_0004999.pth", "/elsewhere/output/model_0004999.pth\n"):
        (tmp_path / "last_checkpoint").write_text(text)
        with pytest.raises(CheckpointError, match=rf"it is text that names one(.|\n)*do: +pass {tmp_path}/model_0004999\.pth"):
            sources.load(str(tmp_path / "last_checkpoint"))


IN_FOLDERS = {
    "macOS's beside it": (["model.pth", "._model.pth", ".DS_Store"], "model.pth"),
    "accelerate's": (
        ["model.safetensors", "sampler.bin", "custom_checkpoint_0.pkl", "random_states_0.pkl"],
        "model.safetensors",
    ),
    "DeepSpeed's": (["mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"], "mp_rank_00_model_states.pt"),
}


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_what_trainers_keep_beside_the_weights_is_no_checkpoint(tmp_path: Path, name: str) -> None:
    names, taken = IN_FOLDERS[name]
    for each in names:
        (tmp_path / each).write_bytes(b"x")
    if taken.endswith(".safetensors"):
        safetensors.torch.save_file(weights(), tmp_path / taken)
    else:
        (tmp_path / taken).write_bytes(saved(weights()))
    assert is_read(tmp_path)


IN_SEVERAL_FILES = {
    "torch's": (["meta.pt", ".metadata", "__0_0.distcp"], "__0_0.distcp", "a distributed checkpoint of torch"),
    "TensorFlow's": (
        ["checkpoint", "m.ckpt-1.index", "m.ckpt-1.data-00000-of-00001"],
        "m.ckpt-1",
        "a checkpoint of TensorFlow",
    ),
    "Orbax's": (["_METADATA", "manifest.ocdbt"], None, "Flax or Orbax"),
}


@pytest.mark.parametrize("name", IN_SEVERAL_FILES)
def test_a_checkpoint_of_several_files_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    names, part, words = IN_SEVERAL_FILES[name]
    for each in names:
        (tmp_path / each).write_bytes(b"x")
    for path in (tmp_path, *([tmp_path / part] if part else [])):
        with pytest.raises(CheckpointError, match=rf"seen: .*{words}"):
            sources.load(str(path))


def test_weights_deep_in_a_cache_of_the_hub_are_named(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"do: +pass .*/snapshots/abc/model\.safetensors"):
        sources.load(str(tmp_path / "models--a--b"))


def test_an_archive_of_a_folder_is_read_as_the_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("run/pytorch_model.bin", saved(weights()))
        archive.writestr("run/optimizer.pt", saved({}))
        archive.writestr("__MACOSX/run/._pytorch_model.bin", b"x")
    assert is_read(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("m/data/weights/model_weights_config.json", "torch.export's"),
        ("model.weights.h5", "Keras's"),
    ],
)
def test_archives_of_others_are_named_whatever_lies_in_them(tmp_path: Path, member: str, words: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "{}")
        archive.writestr("m/data/sample_inputs/model.pt", saved({}))
    with pytest.raises(CheckpointError, match=f"is {words}"):
        sources.load(str(tmp_path / "a.zip"))


def test_an_archive_with_a_password_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("model.pth", b"x")
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    raw[raw.rfind(b"PK\x01\x02") + 8] |= 1  # its flag in the list of members
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(CheckpointError, match="locked with a password"):
        sources.load(str(tmp_path / "a.zip"))


def test_pairs_of_names_and_tensors_and_names_in_bytes_are_read(tmp_path: Path) -> None:
    (tmp_path / "pairs.pth").write_bytes(saved({"model": list(weights().items())}))
    (tmp_path / "bytes.pth").write_bytes(saved({b"state_dict": {name.encode(): each for name, each in weights().items()}}))
    assert is_read(tmp_path / "pairs.pth")
    assert is_read(tmp_path / "bytes.pth")


def test_numpy_s_archives_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(CheckpointError, match=r"it is an archive of numpy \(\.npz\)"):
        sources.load(str(tmp_path / "x.npz"))


def test_a_class_of_ours_can_t_be_changed_by_a_pickle(tmp_path: Path) -> None:
    """BUILD with a pair sets attributes of whatever stands on the stack: here, of values of ours only."""
    before = vars(files.inert.pickled.Array).copy()
    body = b"cnumpy\nndarray\n(N}X\x05\x00\x00\x00valueK\x01std}."
    (tmp_path / "x.pkl").write_bytes(b"\x80\x02" + body)
    with pytest.raises(CheckpointError):
        sources.load(str(tmp_path / "x.pkl"))
    assert vars(files.inert.pickled.Array).keys() == before.keys()


def test_a_trusted_file_that_lacks_a_package_says_which(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(collections.Counter(), 0).replace(b"collections", b"nosuchpackage"))
    with pytest.raises(CheckpointError, match="pip install nosuchpackage"):
        sources.load(str(tmp_path / "x.pkl"), trust=True)


def test_a_trusted_file_whose_class_is_gone_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(collections.Counter(), 0).replace(b"Counter", b"NoSuchName"))
    with pytest.raises(CheckpointError, match=r"needs code that is not here(.|\n)*NoSuchName(.|\n)*do: +leave --trust"):
        sources.load(str(tmp_path / "x.pkl"), trust=True)


def test_what_a_file_can_t_tell_is_told_and_what_it_says_is_not_contradicted(tmp_path: Path) -> None:
    path = tmp_path / "moco.pth"
    path.write_bytes(saved({"state_dict": {f"module.encoder_q.{name}": tensor for name, tensor in weights().items()}}))
    told = {"method": "pcl", "aug": "mixup", "supervision": "self", "epochs": 200}
    provenance = sources.load(str(path), told=told).provenance
    assert (provenance.method, provenance.aug, provenance.supervision, provenance.epochs) == ("pcl", "mixup", "self", 200)
    with pytest.raises(CheckpointError, match="unknown field of --provenance 'arch'"):
        sources.load(str(path), told={"arch": "resnet50"})
    with pytest.raises(CheckpointError, match=r"says another provenance(.|\n)*method: random"):
        sources.load("random:resnet18", told={"method": "simclr"})
