"""Injected faults in whole runs of the command: `python tests/robustness/faults.py`, as root for the disks.

Each scenario starts `bench pretrain` on tiny images, does the damage once the first checkpoint is there, and checks how the
command ended and what it left. `rows(short)` tries each scenario once or `TRIES` times.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from rows import Row  # noqa: E402

TRIES = 10
IMAGES = 12
"""Training images of each of two classes."""
SETTINGS = ("size=16", "batch=8", "queue=16", "feature_dim=8", "projector=linear")
DISK_MIB = 240
"""Size of the disk that fills up: the state of this run takes 130 MiB, and a second one doesn't fit beside it."""
WAIT = 240
"""Seconds to wait for a file or for the end of a process."""


class Ended(NamedTuple):
    """The end of a command."""

    code: int
    said: str
    """Standard error."""


class Place(NamedTuple):
    """The folders of a scenario."""

    data: Path
    out: Path

    def run(self, *options: str, damage: Callable[[int], None] = lambda pid: None) -> Ended:
        """Run `bench pretrain`, and do the damage once its first checkpoint is there."""
        words = [sys.executable, "-m", "bench", "pretrain", "--arch", "resnet18", "--device", "cpu"]
        words += ["--data", str(self.data), "--out", str(self.out), *options]
        words += [word for setting in SETTINGS for word in ("--set", setting)]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
        deadline = time.monotonic() + WAIT
        while child.poll() is None and not (self.out / "last.pth").is_file() and time.monotonic() < deadline:
            time.sleep(0.02)
        if child.poll() is None:
            damage(child.pid)
        _, said = child.communicate(timeout=WAIT)
        return Ended(child.returncode, said)

    def whole(self) -> bool:
        """Whether the last checkpoint can be read, nothing half-written lies beside it, and nothing says it is done."""
        torch.load(self.out / "last.pth", weights_only=True)
        return not list(self.out.glob(".*.tmp")) and not (self.out / "result.json").exists()

    def image(self, number: int) -> Path:
        """Return the path of a training image."""
        return self.data / "train" / "ant" / f"{number}.png"


def one_message(ended: Ended, *words: str) -> bool:
    """Whether a command ended with exit code 2, one message with these words, and no traceback."""
    fine = ended.code == 2 and "Traceback" not in ended.said and ended.said.count("bench: ") == 1
    if not (fine and all(word in ended.said for word in words)):
        print(ended, words, file=sys.stderr)
        return False
    return True


def disk_full(place: Place) -> bool:
    """A disk without room for a second checkpoint beside the first; with room, the same command resumes."""
    with _disk(place.out, f"size={DISK_MIB}m"):
        first = place.run("--epochs", "3")
        kept = one_message(first, "No space left on device", "MiB free") and place.whole()
        subprocess.run(["mount", "-o", f"remount,size={3 * DISK_MIB}m", place.out], check=True)
        return kept and place.run("--epochs", "3").code == 0 and (place.out / "result.json").is_file()


def disk_read_only(place: Place) -> bool:
    """A disk that becomes read-only."""

    def lock(pid: int) -> None:
        # A read-only bind mount of the folder: the kernel refuses to remount a disk on which files are open for writing.
        subprocess.run(["mount", "-o", "bind,ro", place.out, place.out], check=True)

    with _disk(place.out, f"size={3 * DISK_MIB}m"):
        try:
            return one_message(place.run("--epochs", "300", damage=lock), "Read-only file system") and place.whole()
        finally:
            subprocess.run(["umount", "--lazy", place.out], check=True)


def data_lost(place: Place) -> bool:
    """The folder of images is taken away, and brought back: the same command resumes."""
    away = place.data.with_name("away")
    ended = place.run("--epochs", "300", damage=lambda pid: place.data.rename(away) and None)
    kept = one_message(ended, "is not there any more") and place.whole()
    away.rename(place.data)
    return kept and _resumes(place)


def worker_killed(place: Place) -> bool:
    """A loader worker is killed as the kernel does it when memory runs out."""

    def kill(pid: int) -> None:
        for child in _children(pid)[:1]:
            os.kill(child, signal.SIGKILL)

    ended = place.run("--epochs", "300", "--set", "num_workers=2", damage=kill)
    return one_message(ended, "a loader worker died") and place.whole() and _resumes(place)


def image_spoilt(place: Place) -> bool:
    """An image is cut short in the middle of an epoch."""
    ended = place.run("--epochs", "300", "--set", "num_workers=1", damage=lambda pid: _spoil(place.image(3)))
    return one_message(ended, "can't decode the image ant/3.png") and place.whole()


def image_skipped(place: Place) -> bool:
    """The same with `--on-bad-image skip`: the run ends well, and says what it replaced."""
    ended = place.run("--epochs", "12", "--on-bad-image", "skip", damage=lambda pid: _spoil(place.image(3)))
    listed = (place.out / "skipped.txt").read_text() if (place.out / "skipped.txt").is_file() else ""
    result = (place.out / "result.json").read_text() if (place.out / "result.json").is_file() else ""
    return ended.code == 0 and listed == "ant/3.png\n" and f"1 of {2 * IMAGES} images can't be read" in result


def loss_not_finite(place: Place) -> bool:
    """An absurd learning rate."""
    return one_message(place.run("--epochs", "30", "--set", "base_lr=1e30"), "the loss is") and not list(
        place.out.glob("r*.json")
    )


SCENARIOS: tuple[tuple[str, Callable[[Place], bool]], ...] = (
    ("a full disk ends with one message; the last checkpoint is whole, and the run resumes when there is room", disk_full),
    ("a disk that becomes read-only ends with one message; the last checkpoint is whole", disk_read_only),
    ("a data set that disappears ends with one message; the run resumes when it is back", data_lost),
    ("a loader worker that the kernel kills ends with one message; the run resumes", worker_killed),
    ("an unreadable image in the middle of an epoch ends with one message that names it", image_spoilt),
    ("with --on-bad-image skip, the run takes the next image, counted and recorded", image_skipped),
    ("a loss that is not finite ends with one message, and no result", loss_not_finite),
)


def rows(short: bool) -> list[Row]:
    """Try every scenario once or `TRIES` times; those that mount a disk only where mounting is allowed."""
    lines = []
    for promise, scenario in SCENARIOS:
        if scenario in (disk_full, disk_read_only) and not can_mount():
            continue
        tries = 1 if short else TRIES
        failures = sum(not _tried(scenario) for _ in range(tries))
        lines.append(Row(promise, " ".join((scenario.__doc__ or "").split()).rstrip("."), tries, failures))
    return lines


def can_mount() -> bool:
    """Whether a small disk of memory can be made here."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
        return not done.returncode and not subprocess.run(["umount", folder]).returncode


def lay_images(root: Path, train: int = IMAGES) -> None:
    """Write two classes of noise, 24 pixels a side, with `train` training images of each."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", 2)):
        for cls in ("ant", "bee"):
            (root / split / cls).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / cls / f"{number}.png")


def _tried(scenario: Callable[[Place], bool]) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="bench-faults-"))
    try:
        lay_images(folder / "data")
        return scenario(Place(folder / "data", folder / "run"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _resumes(place: Place) -> bool:
    """Whether the same run resumes: it gets past its checkpoint, and is killed then."""
    before = torch.load(place.out / "last.pth", weights_only=True)["step"]
    place.run("--epochs", "300", damage=lambda pid: _stop_after(pid, place.out / "last.pth"))
    return bool(torch.load(place.out / "last.pth", weights_only=True)["step"] > before)


def _stop_after(pid: int, checkpoint: Path) -> None:
    """Kill a process once it has replaced its checkpoint."""
    first, deadline = checkpoint.stat().st_mtime_ns, time.monotonic() + WAIT
    while checkpoint.stat().st_mtime_ns == first and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)


def _spoil(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _children(pid: int) -> list[int]:
    """List the processes that a process has forked."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def _disk(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


if __name__ == "__main__":
    for row in rows(short="--short" in sys.argv):
        print(row)
