"""CIFAR, MNIST's kin, numpy's archives and Arrow tables are image folders, pixel by pixel, and nothing in them is run."""

import gzip
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretrain.core.errors import DataError
from pretrain.images import imageset
from pretrain.images.imageset import ImageSet
from pretrain.images.stores import pixels, shards

NAMES = ["ant", "bee", "cat"]
COUNTS = {"train": 10, "val": 4}


def drawn(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def images(split: str, *shape: int) -> np.ndarray:
    return drawn((COUNTS[split], *shape), seed=len(split))


def labels(split: str) -> list[int]:
    return [number % 3 for number in range(COUNTS[split])]


def planes(array: np.ndarray) -> np.ndarray:
    """CIFAR's rows: all of red, then green, then blue."""
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)).reshape(len(array), -1)


def dumped(path: Path, content: Any) -> None:
    """As Python 2 wrote it: byte strings for text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))


def cifar10(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    for number in range(5):
        part = {b"data": planes(images("train", 32, 32, 3))[2 * number : 2 * number + 2]}
        dumped(folder / f"data_batch_{number + 1}", part | {b"labels": labels("train")[2 * number : 2 * number + 2]})
    dumped(folder / "test_batch", {b"data": planes(images("val", 32, 32, 3)), b"labels": labels("val")})
    dumped(folder / "batches.meta", {b"label_names": NAMES, b"num_vis": 3072})
    return root


def cifar100(root: Path) -> Path:
    for split, name in (("train", "train"), ("val", "test")):
        coarse = [0] * COUNTS[split]
        content = {"data": planes(images(split, 32, 32, 3)), "fine_labels": labels(split), "coarse_labels": coarse}
        dumped(root / name, content)
    dumped(root / "meta", {"fine_label_names": NAMES, "coarse_label_names": ["animal"]})
    return root


def binary(root: Path, before: int) -> Path:
    for split in COUNTS:
        rows = np.hstack([np.full((COUNTS[split], before - 1), 9, np.uint8), np.array(labels(split), np.uint8)[:, None]])
        rows = np.hstack([rows, planes(images(split, 32, 32, 3))])
        if before == 2:
            rows.tofile(root / {"train": "train.bin", "val": "test.bin"}[split])
        elif split == "val":
            rows.tofile(root / "test_batch.bin")
        else:
            for number in range(5):
                rows[2 * number : 2 * number + 2].tofile(root / f"data_batch_{number + 1}.bin")
    (root / {1: "batches.meta.txt", 2: "fine_label_names.txt"}[before]).write_text("\n".join(NAMES) + "\n\n")
    return root


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist(root: Path, *, packed: bool = False, name: str = "", turned: bool = False) -> Path:
    for split, word in (("train", "train"), ("val", "t10k")):
        pictures = images(split, 28, 28)
        for kind, array in (
            ("images-idx3", pictures.transpose(0, 2, 1) if turned else pictures),
            ("labels-idx1", np.array(labels(split), np.uint8)),
        ):
            content = idx(np.ascontiguousarray(array))
            file = root / f"{name}{word}-{kind}-ubyte{'.gz' * packed}"
            file.write_bytes(gzip.compress(content) if packed else content)
    (root / "classes.txt").write_text("\n".join(NAMES))
    return root


def medmnist(root: Path, *shape: int) -> Path:
    arrays = {f"{split}_images": images(split, *shape) for split in COUNTS}
    arrays |= {f"{split}_labels": np.array(labels(split))[:, None] for split in COUNTS}
    np.savez_compressed(root / "antmnist.npz", **arrays, test_images=images("val", *shape), test_labels=np.zeros((4, 1)))
    (root / "classes.txt").write_text("\n".join(NAMES))
    return root


def keras(root: Path) -> Path:
    arrays = {f"x_{word}": images(split, 28, 28) for split, word in (("train", "train"), ("val", "test"))}
    arrays |= {f"y_{word}": np.array(labels(split)) for split, word in (("train", "train"), ("val", "test"))}
    np.savez(root / "mnist.npz", **arrays)
    (root / "classes.txt").write_text("\n".join(NAMES))
    return root


def one_each(root: Path) -> Path:
    for split in COUNTS:
        np.savez(root / f"{split}.npz", data=planes(images(split, 16, 16, 3)), labels=np.array(labels(split)), mean=np.zeros(3))
    (root / "classes.txt").write_text("\n".join(NAMES))
    return root


KINDS: dict[str, tuple[Callable[[Path], Path], tuple[int, ...]]] = {
    "CIFAR-10": (cifar10, (32, 32, 3)),
    "CIFAR-10, the folder itself": (lambda root: cifar10(root) / "cifar-10-batches-py", (32, 32, 3)),
    "CIFAR-100": (cifar100, (32, 32, 3)),
    "CIFAR-10, binary": (lambda root: binary(root, 1), (32, 32, 3)),
    "CIFAR-100, binary": (lambda root: binary(root, 2), (32, 32, 3)),
    "MNIST": (mnist, (28, 28)),
    "MNIST, packed": (lambda root: mnist(root, packed=True), (28, 28)),
    "EMNIST": (lambda root: mnist(root, name="emnist-letters-", turned=True), (28, 28)),
    "MedMNIST, colours": (lambda root: medmnist(root, 28, 28, 3), (28, 28, 3)),
    "MedMNIST, grey, the file": (lambda root: medmnist(root, 28, 28) / "antmnist.npz", (28, 28)),
    "Keras": (keras, (28, 28)),
    "ImageNet32": (one_each, (16, 16, 3)),
}


def pictures(found: ImageSet) -> list[tuple[str, np.ndarray]]:
    """Class and pixels of each image, in the order of the array that it is of."""
    every = [(name.split("/")[1][:6], name.split("/")[0], np.asarray(found.open(i))) for i, name in enumerate(found.names)]
    return [(cls, array) for _, cls, array in sorted(every, key=lambda each: each[0])]


@pytest.mark.parametrize("kind", KINDS)
def test_every_image_has_its_pixels_and_its_class(tmp_path: Path, kind: str) -> None:
    write, shape = KINDS[kind]
    root = write(tmp_path)
    for split, count in COUNTS.items():
        found = imageset.read(root, split, labelled=True)
        assert found.classes == tuple(NAMES)
        for number, (cls, array) in enumerate(pictures(found)):
            expected = images(split, *shape)[number]
            assert np.array_equal(array, expected if len(shape) == 3 else np.stack([expected] * 3, axis=2))
            assert cls == NAMES[labels(split)[number]]
        assert len(found) == count
        assert list(found.members.sizes()) == [len(found.members.read(index)) for index in range(count)]


def test_it_is_the_set_of_a_folder_of_its_files_and_is_sent_to_other_processes(tmp_path: Path) -> None:
    found = imageset.read(cifar10(tmp_path / "a"), "train")
    for number, name in enumerate(found.names):
        file = tmp_path / "b/train" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(found.members.read(number))
    folder = imageset.read(tmp_path / "b", "train")
    assert (folder.names, folder.labels, folder.fingerprint()) == (found.names, found.labels, found.fingerprint())
    sent = pickle.loads(pickle.dumps(found)).part([3, 1])
    assert sent.members.read(0) == folder.members.read(3)
    assert imageset.read(tmp_path / "a", "train", ["bee"]).members.read(0) == folder.part([4]).members.read(0)


def test_other_pixels_are_another_fingerprint(tmp_path: Path) -> None:
    first = imageset.read(mnist(tmp_path), "train").fingerprint()
    content = bytearray((tmp_path / "train-images-idx3-ubyte").read_bytes())
    content[-1] ^= 1
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    assert imageset.read(tmp_path, "train").fingerprint() != first


def test_cifar_that_python_3_wrote_anew_is_the_same(tmp_path: Path) -> None:
    before = imageset.read(cifar10(tmp_path / "a"), "train")
    folder = cifar10(tmp_path / "b") / "cifar-10-batches-py"
    for file in folder.iterdir():
        content = pickle.loads(file.read_bytes())
        if file.name == "batches.meta":
            content[b"label_names"] = [name.encode() for name in NAMES]
        else:
            content[b"labels"] = np.array(content[b"labels"])
        file.write_bytes(pickle.dumps(content, protocol=4))
    after = imageset.read(tmp_path / "b", "train")
    assert (after.classes, after.names, after.labels) == (before.classes, before.names, before.labels)


def refused(root: Path, split: str = "train") -> str:
    with pytest.raises(DataError) as caught:
        imageset.read(root, split, labelled=True)
    return str(caught.value)


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch attacked",)


def test_a_pickle_that_asks_for_code_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = cifar100(tmp_path)
    deep: tuple[Any, ...] = ()
    for _ in range(50):
        deep = (deep,)
    for content, words in (
        ({"data": Attack()}, "its pickle asks for posix.system"),
        ({deep: 1}, "tuples inside each other"),
        ([1], "is no batch of CIFAR"),
        ({"data": images("train", 32, 32), "fine_labels": [0]}, r"is no batch of CIFAR"),
        ({"data": planes(images("train", 32, 32, 3)), "fine_labels": [0]}, "10 images, 1 labels"),
        ({"data": planes(images("train", 32, 32, 3)), "fine_labels": [7] * 10}, "is no class"),
    ):
        dumped(root / "train", content)
        assert words in refused(root)
    (root / "train").write_bytes(b"\x80\x02}(")
    assert "can't read" in refused(root)
    assert not (tmp_path / "attacked").exists()


def test_what_is_cut_or_of_another_kind_is_named(tmp_path: Path) -> None:
    mnist(tmp_path)
    whole = (tmp_path / "train-images-idx3-ubyte").read_bytes()
    for content, words in (
        (whole[:-1], "is not whole"),
        (whole + b"x", "is not whole"),
        (b"\0\0\x0d\3" + whole[4:], "of bytes"),
    ):
        (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
        assert words in refused(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert "lacks a file of train" in refused(tmp_path)
    mnist(tmp_path, name="emnist-letters-")
    assert "several sets" in refused(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"train_images": drawn((2, 8, 8, 8)), "train_labels": np.zeros(2, int)}, "no images that are read"),
        ({"train_images": drawn((2, 8, 8)), "train_labels": np.zeros((2, 14), int)}, "not one class for each image"),
        ({"train_images": np.random.rand(2, 8, 8), "train_labels": np.zeros(2, int)}, "the pixels in"),
        ({"train_images": np.full((2, 8, 8), "white"), "train_labels": np.zeros(2, int)}, "the pixels in"),
        ({"train_images": np.array([None]), "train_labels": np.zeros(1, int)}, "can't read"),
    ],
)
def test_archives_of_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    assert words in refused(tmp_path)
    assert words in refused(tmp_path / "a.npz")


def test_one_array_alone_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", images("train", 28, 28))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    assert "can't read" in refused(tmp_path / "a.npz")


def test_several_archives_ask_for_one_and_one_is_called_by_its_name(tmp_path: Path) -> None:
    medmnist(tmp_path, 28, 28)
    (tmp_path / "other.npz").write_bytes((tmp_path / "antmnist.npz").read_bytes())
    assert f"do:      name one: --data {tmp_path}/antmnist.npz" in refused(tmp_path)
    assert len(imageset.read(tmp_path / "other.npz", "val")) == COUNTS["val"]
    assert shards.named(str(tmp_path / "other.npz"))
    assert shards.title(tmp_path / "other.npz") == "other"


def test_a_large_array_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "free_memory", lambda workers: 1000)
    assert "doesn't fit into memory" in refused(mnist(tmp_path))
    assert "doesn't fit into memory" in refused(medmnist(tmp_path, 28, 28) / "antmnist.npz")


@pytest.mark.parametrize("stream", [True, False])
def test_what_hugging_face_saves_to_disk_is_the_table_that_it_was(tmp_path: Path, root: Path, stream: bool) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import ipc

    features = {"image": {"_type": "Image"}, "label": {"names": ["ant", "bee"], "_type": "ClassLabel"}}
    noted = {"huggingface": json.dumps({"info": {"features": features}})}
    for split, word in (("train", "train"), ("val", "test")):
        own = imageset.read(root, split)
        rows = [{"bytes": own.members.read(i), "path": name.split("/")[1]} for i, name in enumerate(own.names)]
        table = pyarrow.table({"image": rows, "label": list(own.labels)}).replace_schema_metadata(noted)
        place = tmp_path / "saved" / word
        place.mkdir(parents=True)
        for number in range(2):
            name = f"data-{number:05d}-of-00002.arrow"
            with (ipc.new_stream if stream else ipc.new_file)(str(place / name), table.schema) as out:
                for batch in table.slice(*((0, 3), (3, None))[number]).to_batches(max_chunksize=2):
                    out.write_batch(batch)
        (place / "cache-1.arrow").write_bytes(b"not data")
        if stream:
            files = [{"filename": f"data-{number:05d}-of-00002.arrow"} for number in range(2)]
            (place / "state.json").write_text(json.dumps({"_data_files": files}))
    (tmp_path / "saved/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for split in COUNTS:
        ours, theirs = imageset.read(tmp_path / "saved", split), imageset.read(root, split)
        assert (ours.names, ours.labels, ours.classes) == (theirs.names, theirs.labels, theirs.classes)
        assert ours.fingerprint() == theirs.fingerprint()
        sent = pickle.loads(pickle.dumps(ours))
        assert [sent.members.read(i) for i in range(len(ours))] == [theirs.members.read(i) for i in range(len(ours))]
