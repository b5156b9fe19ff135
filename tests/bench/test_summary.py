"""What a command prints of a finished run."""

import runpy
import shlex
from pathlib import Path

from bench import summary
from bench.verbs import Finished

made = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))["made"]


def test_a_measure_says_under_which_probe_it_was_taken_and_which_way_its_numbers_go() -> None:
    metrics = {"Linv": 0.75, "Ldiv": 0.5, "diversity_cap": None}
    record = made(
        "representation",
        metrics,
        kind="measure",
        protocol="representation@cutout(side=0.3)",
        sha256="0123456789abcdef",
        intervals={"Linv": (0.7, 0.8)},
        notes=("generated",),
    )
    assert list(summary.lines(Finished(Path("runs/a"), record, reused=True), "bench report")) == [
        "already done: runs/a/result.json",
        "representation@cutout(side=0.3), resnet18 of 0123456789ab",
        "  Linv                 0.75  [0.7, 0.8]  (cosine to the original, higher is more invariant)",
        "  Ldiv                 0.50  (cosine between views, lower is more diverse)",
        "  diversity_cap        absent  (the most diversity that Linv allows)",
        "  note: generated",
        "next: bench report",
    ]


def test_a_vit_goes_to_a_probe_next_and_a_resnet_to_a_detector() -> None:
    tasks = [summary.first_task(Finished(Path("runs/c"), made(arch=arch), reused=False)) for arch in ("vit_small", "resnet18")]
    assert tasks == ["linear", "coco-c4"]


def test_a_backbone_of_ones_own_images_is_tried_on_them_first(tmp_path) -> None:
    (tmp_path / "my photos" / "val").mkdir(parents=True)
    done, own = Finished(Path("runs/c"), made(arch="resnet18"), reused=False), str(tmp_path / "my photos")
    said = shlex.split(summary.first_transfer(done, own, "small"))
    assert said == ["bench", "transfer", "--task", "knn", "--data", own, "--ckpt", "runs/c/backbone.pth", "--budget", "small"]
    for data in (None, str(tmp_path)):
        assert summary.first_transfer(done, data, None) == "bench transfer --task coco-c4 --ckpt runs/c/backbone.pth"


def test_a_transfer_is_its_percentages() -> None:
    lines = list(summary.lines(Finished(Path("runs/b"), made(metrics={"top1": 61.234}), reused=False), "bench report"))
    assert lines == ["done: runs/b/result.json", "  top1                 61.23", "next: bench report"]
