"""Run a study undisturbed, and again while two coordinators and their children are killed and its file is edited; compare both.

    python tests/robustness/study_kills.py             # studies/small-augmentations.yaml, five kills; prints a table
    python tests/robustness/study_kills.py --kills 20 --seed 1

The second run begins with another file: a seed more, which nothing may start, and no `knn`. While it goes, the file is broken,
and then mended to be the first run's. Every cell has one thread in both, for their number changes the rounding.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rows import Row

HOME = Path(__file__).resolve().parents[2]
STUDY = HOME / "studies/small-augmentations.yaml"
FILE = Path("study.yaml")
KILLS = 5
PATIENCE = 7200.0
"""Seconds after which a run is given up."""
LONGEST_CELL = 15.0
"""Seconds within which a kill comes after the record that it waits for."""
VERBS = (b"pretrain", b"transfer", b"measure")


def whole(short: bool) -> dict[str, Any]:
    """Return the study; in its short form two pre-trainings with two evaluations each."""
    study: dict[str, Any] = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    study["resources"] = [{"cpus": 1}]
    if short:
        study["pretrain"]["main"]["grid"] = {"aug": ["none"], "supervision": ["self"]}
        study["evaluate"][1]["measure"]["probe"] = ["none"]
    return study


def first_draft(study: dict[str, Any]) -> dict[str, Any]:
    """Return the file that the second run begins with."""
    main = study["pretrain"]["main"]
    pretrain = {"main": {**main, "seeds": main["seeds"] + 1}}
    return {**study, "pretrain": pretrain, "evaluate": study["evaluate"][1:]}


def coordinator(folder: Path, name: str) -> "subprocess.Popen[bytes]":
    """Start `bench study run`; what it says is added to a file of that name."""
    environment = {**os.environ, "BENCH_DATA": str(folder.parent / "data")}
    words = [sys.executable, "-m", "bench", "study", "run", str(FILE), "--workers", "1"]
    with (folder / name).open("ab") as said:
        return subprocess.Popen(
            words, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )


def children(of: int) -> list[int]:
    """Return the process ids of the cells that a coordinator runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, status = (path / "cmdline").read_bytes().split(b"\0"), (path / "stat").read_text(encoding="utf-8")
        except OSError:
            continue
        if int(status.rpartition(")")[2].split()[1]) == of and len(words) > 3 and words[3] in VERBS:
            found.append(int(path.name))
    return found


@dataclass
class Disturbed:
    """The second run."""

    folder: Path
    study: dict[str, Any]
    kills: int
    draw: random.Random
    live: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """Promises that were broken."""
    _records: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def run(self, cells: int) -> None:
        """Run it, with kills spread over all of its cells and the edit after a quarter of them."""
        _write(self.folder, first_draft(self.study))
        self.live = {name: coordinator(self.folder, name) for name in ("one.txt", "two.txt")}
        due: list[tuple[int, Callable[[], None]]] = [(cells // 4, self._edit)]
        victims = ["coordinator", "child", *self.draw.choices(["coordinator", "child"], k=self.kills)][: self.kills]
        for victim in victims:
            due.append((self.draw.randrange(cells), lambda victim=victim: self._kill(victim)))  # type: ignore[misc]
        due.sort(key=lambda each: each[0])
        deadline = time.monotonic() + PATIENCE
        while self._alive() and time.monotonic() < deadline:
            self._look()
            while due and len(self._records) >= due[0][0]:
                due.pop(0)[1]()
            time.sleep(0.1)
        self._look()
        for name, process in self.live.items():
            if process.poll() != 0:
                process.kill()
                self.wrong.append(f"the coordinator of {name} ended with {process.wait()}")
        if due:
            self.wrong.append(f"{len(due)} kills or edits never came")

    def _alive(self) -> bool:
        return any(process.poll() is None for process in self.live.values())

    def _kill(self, victim: str) -> None:
        """Kill a coordinator, and start another in its place; or a cell, which its coordinator starts again."""
        time.sleep(self.draw.uniform(0, LONGEST_CELL))
        deadline = time.monotonic() + LONGEST_CELL
        while time.monotonic() < deadline:
            alive = [name for name, process in self.live.items() if process.poll() is None]
            name = self.draw.choice(alive) if alive else ""
            pids = children(self.live[name].pid) if alive else []
            if victim == "coordinator" and alive:
                self.live[name].kill()
                self.live[name].wait()
                self.live[name] = coordinator(self.folder, name)
            elif victim == "child" and pids:
                os.kill(pids[0], signal.SIGKILL)
            else:
                time.sleep(0.1)
                continue
            self.killed[victim] += 1
            return
        self.wrong.append(f"no {victim} to kill")

    def _edit(self) -> None:
        """Break the file, wait until every coordinator has seen that, and mend it."""
        (self.folder / FILE).write_text("study: [", encoding="utf-8")
        deadline = time.monotonic() + 4 * LONGEST_CELL
        while not all("can't be used" in (self.folder / name).read_text(encoding="utf-8") for name in self.live):
            if time.monotonic() > deadline:
                self.wrong.append("a coordinator did not say that the file is broken")
                break
            time.sleep(0.1)
        _write(self.folder, self.study)

    def _look(self) -> None:
        """Note the records that are there, and those that were written again."""
        for path in self.folder.glob("runs/*/result.json"):
            status = path.stat()
            now = (status.st_ino, status.st_mtime_ns)
            if self._records.setdefault(path, now) != now:
                self._records[path] = now
                self.wrong.append(f"{path.parent.name} was done twice")


def _write(folder: Path, study: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")


def ends(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is left of a run that tells it from others: record by record, identity, numbers and backbone."""
    found = {}
    for path in sorted(folder.glob("runs/*/result.json")):
        plain = json.loads(path.read_text(encoding="utf-8"))
        backbone = path.with_name("backbone.pth")
        found[path.parent.name] = {
            **{name: plain[name] for name in ("kind", "protocol", "version", "changed", "engine", "seed", "metrics")},
            "of": plain["checkpoint"]["sha256"],
            "data": plain["data"]["fingerprint"],
            "backbone": hashlib.sha256(backbone.read_bytes()).hexdigest() if backbone.is_file() else None,
        }
    return found


def differences(one: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield what differs between both runs."""
    for name in sorted(one.keys() ^ other.keys()):
        yield f"{name} is in one of the two alone"
    for name in sorted(one.keys() & other.keys()):
        fields = [key for key, value in one[name].items() if other[name][key] != value]
        if fields:
            yield f"{name}: another {', '.join(fields)}"


def attempts(folder: Path, study: str) -> Counter[str]:
    """Count how the attempts at all cells ended."""
    lines = [line for path in folder.glob(f"{study}/cells/*/attempts.jsonl") for line in path.read_text().splitlines()]
    return Counter(json.loads(line)["ended"] for line in lines)


def compare(short: bool, kills: int, seed: int, folder: Path) -> tuple[Disturbed, dict[str, Any]]:
    """Run both; returns the second one with all that is wrong with it, and figures of both."""
    study = whole(short)
    calm, cut = folder / "undisturbed", folder / "disturbed"
    _write(calm, study)
    began = time.monotonic()
    if coordinator(calm, "one.txt").wait(PATIENCE):
        raise RuntimeError((calm / "one.txt").read_text(encoding="utf-8"))
    seconds, reference = time.monotonic() - began, ends(calm)
    run = Disturbed(cut, study, kills, random.Random(seed))
    began = time.monotonic()
    run.run(len(reference))
    run.wrong += differences(reference, ends(cut))
    backbones = {each["backbone"] for each in reference.values()} - {None}
    figures = {
        "cells": len(reference),
        "backbones": len(backbones),
        "seconds": {"undisturbed": round(seconds), "disturbed": round(time.monotonic() - began)},
        "killed": dict(run.killed),
        "attempts": {each.name: dict(attempts(each, study["study"])) for each in (calm, cut)},
    }
    return run, figures


def rows(short: bool, seed: int = 0) -> list[Row]:
    """Make the rows of docs/ROBUSTNESS.md."""
    with tempfile.TemporaryDirectory(prefix="bench-study-") as name:
        run, figures = compare(short, 2 if short else KILLS, seed, Path(name))
    for line in (json.dumps(figures, indent=1), *run.wrong):
        print(line, file=sys.stderr)
    promise = (
        "a study goes on after kills and edits of its file: the same identities, numbers and backbones, nothing done twice"
    )
    test = (
        f"SIGKILL to two coordinators and their cells by turns, the file broken and mended meanwhile "
        f"({figures['cells']} cells, {figures['backbones']} backbones)"
    )
    return [Row(promise, test, sum(run.killed.values()), len(run.wrong))]


def main() -> None:
    """Print the figures and what is wrong; exit with 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="two pre-trainings")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-study-") as name:
        run, figures = compare(asked.short, asked.kills, asked.seed, Path(name))
    print(json.dumps({**figures, "wrong": run.wrong}, indent=1))
    raise SystemExit(bool(run.wrong))


if __name__ == "__main__":
    main()
