"""Stands for `bench` in tests of studies: takes its words, waits, and leaves what a run would leave: in `last.pth`, its
checkpoint, a line for each process that came so far.

`fake.json` in the working folder says what each run folder's record says (`says`), how long a run takes (`seconds`), and which
folders, by a part of their name, end otherwise (`ends`). A line of `ran.txt` for each record that is written.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench.runs import lock
from pretrain.core.errors import ConfigError


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def outcome(error: str, message: str) -> None:
    Path(os.environ["BENCH_OUTCOME"]).write_text(json.dumps({"error": error, "message": message}), encoding="utf-8")


def record(says: dict[str, Any], folder: Path) -> dict[str, Any]:
    checkpoint = Path(option("--ckpt") if "--ckpt" in sys.argv else folder / "backbone.pth")
    provenance = {"arch": "resnet18", "method": "mocov2", "seed": says["seed"], "epochs": 1}
    return {
        **says,
        "checkpoint": {
            "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
            "source": "bench",
            "provenance": provenance,
        },
        "data": {"name": "shapes", "fingerprint": "f", "train": 100},
        "environment": {"hardware": "a processor", "threads": os.environ.get("OMP_NUM_THREADS")},
        "wall_seconds": 1.0,
        "peak_memory_mib": 10.0,
    }


def wait(plan: dict[str, Any], folder: Path) -> None:
    """Take the time of a run; a signal saves how much of it is over, and the next start goes on from there."""
    saved, steps = folder / "progress.pth", max(1, round(plan["seconds"] / 0.02))
    step = int(saved.read_text()) if saved.exists() else 0
    print(f"going on after step {step} of {steps}", flush=True)
    try:
        while step < steps:
            time.sleep(0.02)
            step += 1
    except SystemExit:
        if plan.get("saves", True):
            saved.write_text(str(step), encoding="utf-8")
        raise
    saved.unlink(missing_ok=True)


def work(plan: dict[str, Any], folder: Path) -> None:
    if plan.get("saves", True):
        with (folder / "last.pth").open("a", encoding="utf-8") as checkpoint:
            checkpoint.write(f"{os.getpid()}\n")
    wait(plan, folder)
    if sys.argv[1] == "pretrain":
        (folder / "backbone.pth").write_text(folder.name, encoding="utf-8")
    content = json.dumps(record(plan["says"][str(folder)], folder))
    with (Path("ran.txt")).open("a", encoding="utf-8") as ran:
        ran.write(folder.name + "\n")
    temporary = folder / ".result.json.tmp"
    temporary.write_text(content, encoding="utf-8")
    temporary.rename(folder / "result.json")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan, folder = json.loads(Path("fake.json").read_text(encoding="utf-8")), Path(option("--out"))
    for part, (code, error, message) in plan["ends"].items():
        if part in folder.name:
            if error:
                outcome(error, message)
            return int(code)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with lock.held(folder):
            if not (folder / "result.json").is_file():
                work(plan, folder)
    except ConfigError as error:
        outcome("ConfigError", str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
