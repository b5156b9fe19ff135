"""The monitor's work is dealt to all processes, and its number is that of one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pretrain.core import distributed
from pretrain.core.group import group
from transfer import sources
from transfer.datasets import imagefolder
from transfer.representation.monitor import monitor


def knn(root: Path, state: dict[str, torch.Tensor]) -> dict[str, float]:
    return monitor(imagefolder.read(root), arch="resnet18", size=32, batch=4, device="cpu")(state)


def backbone() -> dict[str, torch.Tensor]:
    return dict(sources.load("random:resnet18").state)


def test_two_processes_find_what_one_finds(in_two_processes: Callable[..., None], tmp_path: Path) -> None:
    root, rng = tmp_path / "images", np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 3)):
        for name in "ab":
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    in_two_processes(__file__, "check_two_processes", root, knn(root, backbone())["knn"])


def check_two_processes(root: str, expected: str) -> None:
    """What each of two processes asserts."""
    torch.set_num_threads(1)
    with group("cpu"):
        state = backbone()
        if distributed.rank():  # each process has running statistics of its own, and the first one's count
            state["bn1.running_mean"] += 1.0
        before = state["bn1.running_mean"].clone()
        found = knn(Path(root), state)
        assert found == ({} if distributed.rank() else {"knn": float(expected)})
        assert torch.equal(state["bn1.running_mean"], before)
