"""Failures of the machine: each is one message, and earlier checkpoints stay whole. Whole runs: `faults.py`."""

import os
import resource
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from pretrain.checkpoint import save_atomically
from pretrain.config import PretrainConfig
from pretrain.core import machine_errors
from pretrain.core.errors import BenchError, DataError, GoneError, StorageError, TrainingError
from pretrain.core.journal import Journal
from pretrain.images import imageset, skipping
from pretrain.images.crops import Crop
from pretrain.images.loading import Crops, Epochs, loader
from pretrain.train import train, training_set
from transfer import record

HERE = Path(__file__).resolve().parent
lay_images = runpy.run_path(str(HERE / "faults.py"))["lay_images"]
sample = runpy.run_path(str(HERE / "targets_record.py"))["sample"]
TINY = {"arch": "resnet18", "size": 16, "epochs": 2, "batch": 8, "queue": 16, "num_workers": 0, "feature_dim": 8}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file gets larger than that, which ends a write as a full disk does: after a part of it, with an error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that can't be written to: root, who may do anything, becomes someone else meanwhile."""
    folder.chmod(0o555)
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lay_images(tmp_path / "data")
    return tmp_path / "data"


def in_parts(error: BenchError, *words: str) -> bool:
    return all(word in str(error) for word in (*words, "\n  seen:", "\n  do:")) and "Traceback" not in str(error)


def test_a_checkpoint_that_finds_no_room_leaves_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "last.pth"
    save_atomically({"a": torch.ones(10)}, path)
    with largest_file(1 << 20), pytest.raises(StorageError) as caught:
        save_atomically({"a": torch.zeros(1 << 20)}, path)
    assert in_parts(caught.value, str(path), "MiB free on that disk", "File too large")
    assert [each.name for each in tmp_path.iterdir()] == ["last.pth"]
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.ones(10))


def test_a_result_that_finds_no_room_is_not_there(tmp_path: Path) -> None:
    with largest_file(100), pytest.raises(StorageError) as caught:
        record.write(sample(), tmp_path / "result.json")
    assert in_parts(caught.value, "result.json")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_finds_no_room_keeps_whole_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.step("train", 1, 9, loss=1.0)
    size = (tmp_path / "metrics.jsonl").stat().st_size
    with largest_file(size + 10), pytest.raises(StorageError, match=r"can't write: .*metrics\.jsonl"):
        journal.step("train", 2, 9, loss=1.0)
    journal.step("train", 3, 9, loss=1.0)
    assert [line[:40] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        '{"stage": "train", "step": 1, "of": 9, "',
        '{"stage": "train", "step": 3, "of": 9, "',
    ]


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    with read_only(tmp_path), pytest.raises(StorageError) as caught:
        save_atomically({"a": torch.ones(10)}, tmp_path / "last.pth")
    assert in_parts(caught.value, "Permission denied", "last.pth")
    with read_only(tmp_path), pytest.raises(StorageError, match=r"log\.txt(.|\n)*Permission denied"):
        Journal(tmp_path).say("hello")


def test_a_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"can't write: .*gone/metrics\.jsonl(.|\n)*mount or restore it"):
        Journal(tmp_path / "gone").step("train", 1, 2, loss=0.0)


def test_what_is_no_fault_of_the_machine_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), machine_errors.translating_os_errors("write", tmp_path):
        (tmp_path / "none").read_text()
    with pytest.raises(RuntimeError, match="shapes"), machine_errors.translating_os_errors("write", tmp_path):
        raise RuntimeError("shapes differ")


class _Dying(Dataset[int]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_killed_loader_worker_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught, machine_errors.translating_os_errors("train", tmp_path):
        list(DataLoader(_Dying(), num_workers=1))
    assert in_parts(caught.value, "a loader worker died", "num_workers=1")


HOLDING = """
from pathlib import Path
import sys
from pretrain.images import imageset
from pretrain.images.crops import Crop
from pretrain.images.loading import Crops, Epochs, loader
found = imageset.read(Path(sys.argv[1]), "train")
crops = Crops(found, found.labels, [Crop(16, (0.2, 1.0))], seed=0)
held = iter(loader(crops, Epochs(len(found), batch=4, epochs=9, seed=0), num_workers=2))
next(held)
print("loading")
sys.exit(3)
"""


def test_a_command_ends_although_its_loaders_ignore_the_signal_that_ends_processes(root: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", HOLDING, str(root)], capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "loading\n", "")


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def cropped(root: Path, *, workers: int = 0, skip: bool = True, start: int = 0) -> list[tuple[torch.Tensor, list[int]]]:
    found = imageset.read(root, "train")
    skipped = skipping.Skipped(len(found)) if skip else None
    crops = Crops(found, found.labels, [Crop(16, (0.2, 1.0))], seed=0, skipped=skipped)
    batches = Epochs(len(found), batch=8, epochs=2, seed=0, start=start)
    return [(views[0], chosen.tolist()) for views, _, chosen in loader(crops, batches, num_workers=workers)]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_one_message_that_names_it(root: Path, workers: int) -> None:
    spoil(root / "train" / "ant" / "3.png")
    with pytest.raises(DataError) as caught:
        cropped(root, workers=workers, skip=False)
    assert in_parts(caught.value, "can't decode the image ant/3.png in ", "replace or remove that file")
    assert str(caught.value).startswith("can't decode")


def test_the_next_readable_image_takes_the_place_of_an_unreadable_one_whatever_was_before(root: Path) -> None:
    whole = [chosen for _, chosen in cropped(root)]
    names = imageset.read(root, "train").names
    bad = {names.index(f"ant/{number}.png") for number in (3, 4)}
    for number in (3, 4):
        spoil(root / "train" / "ant" / f"{number}.png")
    follows = min(set(range(max(bad), len(names))) - bad)
    expected = [[follows if index in bad else index for index in chosen] for chosen in whole]
    expected_batches = cropped(root)
    assert [chosen for _, chosen in expected_batches] == expected
    resumed, workers = cropped(root, start=4), cropped(root, workers=2)
    for (a, _), (b, _) in zip(expected_batches[4:], resumed, strict=True):
        assert torch.equal(a, b)
    assert [chosen for _, chosen in workers] == expected


def test_a_data_set_that_disappears_is_no_bad_image(root: Path) -> None:
    found = imageset.read(root, "train")
    root.rename(root.with_name("away"))
    for skipped in (None, skipping.Skipped(len(found))):
        crops = Crops(found, found.labels, [Crop(16, (0.2, 1.0))], seed=0, skipped=skipped)
        with pytest.raises(GoneError, match=r"ant/0\.png in .* is not there any more(.|\n)*train is gone"):
            crops.__getitems__([(0, 0)])


def test_images_that_are_all_unreadable_end_a_run_that_skips(root: Path) -> None:
    for path in (root / "train").rglob("*.png"):
        spoil(path)
    with pytest.raises(DataError, match="24 images in a row can't be read"):
        cropped(root)


@pytest.mark.parametrize("cache", [None, "ram", "disk"])
def test_a_run_that_skips_says_what_it_replaced(root: Path, cache: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(root / "train" / "ant" / "3.png")
    (root / "train" / "bee" / "5.png").write_text("no image")
    found, out, said = imageset.read(root, "train"), root / "run", []
    out.mkdir()
    config = PretrainConfig.read({**TINY, "cache": cache, "on_bad_image": "skip"})
    data = training_set(config, found)
    trained = train(config, data, out, Journal(out, lambda text, *_: said.append(text)), name="noise")
    assert trained.skipped == ("ant/3.png", "bee/5.png")
    assert sorted((out / "skipped.txt").read_text().split()) == ["ant/3.png", "bee/5.png"]
    assert "2 of 24 images can't be read" in said[-1]
    if cache == "disk":  # what the one kept for later, the other, which is stricter, must not take for an image
        (out / "strict").mkdir()
        strict = PretrainConfig.read({**TINY, "cache": cache})
        with pytest.raises(DataError, match="can't decode the image"):
            train(strict, training_set(strict, found), out / "strict", Journal(), name="noise")
