"""Make records by hand: `made` makes one, `sample` a dozen, `lay` writes them as runs. Tests get them by `runpy.run_path`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transfer.board.entries import Entry
from transfer.record import RunRecord, write

PROVENANCE = {
    "method": "mocov2",
    "aug": "none",
    "supervision": "full",
    "label_fraction": 1.0,
    "arch": "resnet18",
    "data": "shapes",
    "data_fingerprint": "d0",
    "epochs": 20,
    "seed": 0,
    "augmentation": {},
}
RANDOM = {"method": "random", "supervision": "none", "label_fraction": 0.0, "data": "none", "epochs": 0} | {
    "data_fingerprint": None,
}
SMALL = {"iters": 60, "batch": 4}


def made(task: str = "linear", metrics: dict[str, Any] | None = None, **more: Any) -> RunRecord:
    """Make a valid record. `more` replaces its fields (`run_seed`: its seed), its provenance's and (`of_…`) its data's."""
    provenance = {**PROVENANCE, **{key: more.pop(key) for key in [*more] if key in PROVENANCE}}
    provenance["changed"] = more.pop("settings", {})  # what the pre-training changed
    data = {"name": "shapes", "layout": "voc", "fingerprint": "f0", "train": 2000, "val": 500, "classes": 20} | {
        "chosen_from": None
    }
    data |= {key: more.pop(f"of_{key}") for key in data if f"of_{key}" in more}
    sha256 = more.pop("sha256", "-".join(str(value) for value in provenance.values()))
    provenance["method_version"] = more.pop("method_version", None)
    plain = {
        "kind": "transfer",
        "task": task,
        "protocol": task,
        "version": 1,
        "engine": "probe",
        "schedule": "100 epochs",
        "checkpoint": {"sha256": sha256, "source": "bench", "provenance": provenance},
        "data": data,
        "seed": more.pop("run_seed", 0),
        "metrics": {"top1": 50.0} if metrics is None else metrics,
        "environment": {"versions": {"torch": "2"}, "commit": "abc", "hardware": "a processor", "threads": 1},
        "wall_seconds": 12.0,
        "peak_memory_mib": 700.0,
        "finished": "2030-01-01T00:00:00+00:00",
        "command": f"bench transfer --task {task}",
    }
    return RunRecord.model_validate(plain | more)


def entries(records: Sequence[RunRecord]) -> list[Entry]:
    """Pair the records with paths, as if they lay in `runs/r00`, `runs/r01`, …"""
    return [Entry(Path(f"runs/r{index:02d}/result.json"), record) for index, record in enumerate(records)]


def lay(records: Sequence[RunRecord], folder: Path) -> list[Path]:
    """Write the records as `folder/r00/result.json`, …"""
    paths = [folder / f"r{index:02d}" / "result.json" for index in range(len(records))]
    for path, record in zip(paths, records, strict=True):
        path.parent.mkdir(parents=True)
        write(record, path)
    return paths


def sample() -> list[RunRecord]:
    """Make two pre-trainings, one with two seeds, and the baseline; all tasks, one of them with another schedule once."""
    kinds = [({"aug": "none"}, 0.0), ({"aug": "cutmix"}, 2.0), ({"aug": "cutmix", "seed": 1}, 3.0), (RANDOM, -20.0)]
    return [record for provenance, shift in kinds for record in _backbone(provenance, shift)] + [
        made("coco-c4", {"AP_box": 9.0, "AP50_box": 18.0}, engine="torchvision", changed={"iters": 90, "batch": 4})
    ]


def _backbone(provenance: dict[str, Any], shift: float) -> list[RunRecord]:
    boxes = {"AP50": 40.0 + shift, "AP": 20.0 + shift / 2, "AP75": 21.0 + shift / 2}
    masks = {f"{name}_{kind}": value - 5 for kind in ("box", "seg") for name, value in boxes.items()}
    small: dict[str, Any] = {"engine": "torchvision", "changed": SMALL, "schedule": "60 iterations of 4 images"}
    shared: dict[str, Any] = dict(provenance)
    records = [
        made("linear", {"top1": 60.0 + shift, "top5": 80.0 + shift / 2}, **shared),
        made("knn", {"knn": 50.0 + shift}, **shared),
        made("voc0712", boxes, **small, **shared),
        made("coco-c4", masks, **small, **shared, notes=("Plain BN: one process.",)),
        made("cityscapes", {"mIoU": 30.0 + shift, "mAcc": 40.0}, **{**small, "engine": "mmseg"}, **shared),
        made("representation", {"Linv": 0.75 - shift / 100, "Ldiv": 0.5 - shift / 50}, kind="measure", **shared),
    ]
    if provenance.get("method") != "random":
        command = f"bench pretrain --aug {provenance['aug']}"
        records.append(made("pretrain", {"loss": 1.5}, kind="pretrain", command=command, wall_seconds=90.0 + shift, **shared))
    return records


def sweep() -> list[RunRecord]:
    """Measure two pre-trainings under CutOut with two sides."""
    return [_swept(0.1, 0.9), _swept(0.5, 0.6), _swept(0.1, 0.8, aug="cutmix"), _swept(0.5, 0.7, aug="cutmix")]


def _swept(side: float, linv: float, **more: Any) -> RunRecord:
    options = {"side": side, "fill": "zero"}
    probe = {"augmentation": "cutout", "options": options, "meanings": {"side": "Share of the shorter side"}}
    metrics = {"Linv": linv, "Ldiv": linv - 0.1}
    known = {"intervals": {name: (value - 0.01, value + 0.02) for name, value in metrics.items()}, "probe": probe}
    return made("representation", metrics, kind="measure", protocol=f"representation@cutout(side={side})", **known, **more)
