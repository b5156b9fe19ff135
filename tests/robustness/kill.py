"""Kill runs at random moments, also while they save, resume each, and compare it with an undisturbed run.

    python tests/robustness/kill.py                    # every kind of run, as in docs/ROBUSTNESS.md; prints the rows as JSON
    python tests/robustness/kill.py --kind pretrain --kills 100 --seed 1
    python tests/robustness/kill.py --demo             # the pre-training `shapes`, killed five times: both SHA-256

A third of the kills come while a file is being written. A run is killed until it is done, at most `PATIENCE` times. It is lost
if the next command doesn't finish it, and wrong if its result differs from the undisturbed run's.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import forks
from forks import Ended
from rows import Row
from tiny_runs import METHODS, PRETRAININGS, assigned, command, missing, prepare

PATIENCE = 8
"""Kills of one run at most; then it may finish."""
FILES_AT_ONCE = 12
"""Files a run writes between two kills at most: the kills while saving are spread over these."""
KINDS = ("pretrain", "swav", "dino", "signals", "linear", "torchvision", "detectron2", "mmseg", "demo")
KILLS = {
    "demo": 5,
    "pretrain": 100,
    **dict.fromkeys(METHODS, 40),
    "signals": 40,
    "linear": 20,
    "torchvision": 20,
    "detectron2": 20,
    "mmseg": 20,
}
"""Kills of each kind in the long form."""


@dataclass
class Tally:
    """The outcome of the runs of one kind."""

    kills: int = 0
    while_saving: int = 0
    """Number of kills that came while a file was being written."""
    runs: int = 0
    lost: list[str] = field(default_factory=list)
    """Messages of the runs that did not resume."""
    wrong: list[str] = field(default_factory=list)
    """How the others differ from the undisturbed run."""


def damage(kind: str, kills: int, seed: int, folder: Path) -> Tally:
    """Kill runs of one kind, `kills` times in total."""
    rng, tally, words = random.Random(seed), Tally(), command(kind, folder)
    whole = folder / f"{kind}-whole"
    reference = forks.bench([*words, "--out", str(whole)], folder / "said.txt")
    if reference.code:
        raise RuntimeError(f"the undisturbed {kind} run failed:\n{reference.said}")
    while tally.kills < kills and len(tally.lost) + len(tally.wrong) < 3:
        out = folder / f"{kind}-{tally.runs}"
        often = assigned([f"checkpoint_seconds={reference.seconds / 4:.3f}"]) if words[0] == "pretrain" else []
        _kill_until_done([*words, *often, "--out", str(out)], kind, out, kills, reference.seconds, rng, tally)
        problems = [] if tally.lost else list(differences(kind, whole, out))
        tally.wrong += [f"run {tally.runs} (seed {seed}): {problem}" for problem in problems]
        tally.runs += 1
        shutil.rmtree(out)
    shutil.rmtree(whole)
    return tally


def _kill_until_done(
    words: list[str], kind: str, out: Path, kills: int, seconds: float, rng: random.Random, tally: Tally
) -> None:
    for attempt in range(PATIENCE + 1):
        patient = attempt == PATIENCE or tally.kills >= kills
        while_saving = rng.random() < 1 / 3
        moment: forks.Due = forks.after(rng.uniform(0.02, 0.7) * seconds)
        if while_saving:
            moment = forks.saving(out, rng.randint(1, FILES_AT_ONCE), rng.uniform(0, 0.02))
        by = signal.SIGKILL if kind != "signals" else rng.choice((signal.SIGINT, signal.SIGTERM))
        resume = ["--resume"] * rng.randint(0, 1)
        ended = forks.bench(words + resume, out.parent / "said.txt", due=None if patient else moment, by=by)
        if ended.code == 0:
            return
        if not _as_asked(ended, by):
            tally.lost.append(f"{' '.join(words)}\nexit code {ended.code}\n{ended.said[-2000:]}")
            return
        tally.kills += 1
        tally.while_saving += while_saving


def _as_asked(ended: Ended, by: signal.Signals) -> bool:
    """Whether a child ended as it should after that signal."""
    if by == signal.SIGKILL:
        return ended.killed
    clean = "bench: stopped" in ended.said or not ended.said  # no output if the command had not begun
    return ended.code == 128 + by and clean and "Traceback" not in ended.said


def differences(kind: str, whole: Path, killed: Path) -> Iterator[str]:
    """Yield what differs between an undisturbed run and a killed one, and shouldn't."""
    ours, theirs = (json.loads((folder / "result.json").read_text()) for folder in (whole, killed))
    if ours["schedule"] != theirs["schedule"]:
        yield f"schedule {theirs['schedule']} in place of {ours['schedule']}"
    exact = kind in (*PRETRAININGS, "linear")
    if exact and ours["metrics"] != theirs["metrics"]:
        yield f"metrics {theirs['metrics']} in place of {ours['metrics']}"
    if exact and _course(whole) != _course(killed):
        yield f"another course: {_course(killed)} in place of {_course(whole)}"
    if not exact and _course(whole, "lr") != _course(killed, "lr"):
        yield f"another schedule: {_course(killed, 'lr')} in place of {_course(whole, 'lr')}"
    if kind in PRETRAININGS:
        for path in sorted(whole.glob("backbone*.pth")):
            if not (killed / path.name).is_file() or digest(path) != digest(killed / path.name):
                yield f"{path.name} is another file"
    left = [path.name for path in killed.rglob(".*")]
    if left:
        yield f"left behind: {left}"


def _course(folder: Path, *only: str) -> list[tuple[Any, ...]]:
    """Read the lines of `metrics.jsonl` that training wrote: stage, step and values, without times."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    time = {"seconds", "images_per_second"}
    trained = (row for row in rows if row["stage"] != "evaluate")
    return [
        (row["stage"], row["step"], *((k, v) for k, v in row.items() if k in only or (not only and k not in time)))
        for row in trained
    ]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def demo(folder: Path, seed: int, kills: int = 5) -> tuple[str, str]:
    """Return the SHA-256 of the backbone `shapes` from an undisturbed run and from one killed five times."""
    rng, words = random.Random(seed), ["pretrain", "--device", "cpu", "--data", "shapes", "--set", "checkpoint_seconds=2"]
    said = folder / "said.txt"
    os.environ.pop("BENCH_DATA", None)
    os.chdir(folder)
    forks.bench([*words, "--dry-run"], said)  # makes the generated data
    whole, killed = folder / "whole", folder / "killed"
    seconds = forks.bench([*words, "--out", str(whole)], said).seconds
    done = 0
    while done < kills:
        due = forks.after(rng.uniform(0.1, 1 / (kills - 1)) * seconds)
        done += forks.bench([*words, "--out", str(killed)], said, due=due).killed
        if (killed / "result.json").is_file():  # finished before enough kills: start again, with earlier kills
            shutil.rmtree(killed)
            done, seconds = 0, seconds / 2
    ended = forks.bench([*words, "--out", str(killed)], said)
    if ended.code:
        raise RuntimeError(f"the run killed {kills} times did not resume:\n{ended.said}")
    return digest(whole / "backbone.pth"), digest(killed / "backbone.pth")


def of_demo(folder: Path, seed: int) -> Tally:
    """Tally the pre-training `shapes` like the other kinds."""
    whole, killed = demo(folder, seed)
    return Tally(kills=5, runs=1, wrong=[] if whole == killed else [f"backbone {killed} in place of {whole} (seed {seed})"])


PROMISES: dict[str, tuple[str, str]] = {
    "pretrain": (
        "a killed pre-training resumes, to the same losses, course and backbones, bit for bit",
        "SIGKILL at random moments, a third of them while a file is written; then the same command, with and without --resume",
    ),
    **{
        name: (
            f"a killed pre-training of {name} resumes, to the same losses, course and backbones, bit for bit",
            f"as above, with {what}",
        )
        for name, what in METHODS.items()
    },
    "signals": (
        "SIGINT and SIGTERM end a pre-training with a checkpoint, one line and 130 or 143; it resumes bit for bit",
        "the signal to the whole process group at random moments, one loader worker",
    ),
    "linear": ("a killed `linear` resumes, to the same losses and accuracies, bit for bit", "as above, on the probe engine"),
    "torchvision": (
        "a killed detection run resumes, with the same iterations and schedule",
        "as above, on the torchvision engine",
    ),
    "detectron2": (
        "a killed detection run resumes, with the same iterations and schedule",
        "as above, on the detectron2 engine",
    ),
    "demo": (
        "an undisturbed and a five times killed pre-training of the configuration `shapes` end in one and the same file",
        "both SHA-256 compared",
    ),
    "mmseg": ("a killed segmentation run resumes, with the same iterations and schedule", "as above, on the mmseg engine"),
}


def tallies(kinds: tuple[str, ...], kills: Callable[[str], int], seed: int) -> Iterator[tuple[str, Tally]]:
    """Yield every kind that can run here, with the outcome of its runs."""
    with tempfile.TemporaryDirectory(prefix="bench-kill-") as name:
        able = tuple(kind for kind in kinds if missing(kind) is None)
        prepare(Path(name), able)
        for kind in able:
            yield kind, damage(kind, kills(kind), seed, Path(name)) if kind != "demo" else of_demo(Path(name), seed)


def rows(short: bool, kinds: tuple[str, ...] = KINDS, seed: int = 0) -> list[Row]:
    """Make one row for each kind that can run here."""
    found = []
    kinds = tuple(kind for kind in kinds if not (short and kind == "demo"))  # minutes
    for kind, tally in tallies(kinds, lambda kind: 2 if short else KILLS[kind], seed):
        for problem in (*tally.lost, *tally.wrong):
            print(f"{kind}: {problem}", file=sys.stderr)
        promise, test = PROMISES[kind]
        found.append(Row(promise, f"{test} ({tally.runs} runs)", tally.kills, len(tally.lost) + len(tally.wrong)))
    return found


def main() -> None:
    """Print the tallies as JSON; exit with 1 if a run was lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, action="append", help="may be repeated; all without it")
    parser.add_argument("--kills", type=int, help="of each kind; those of the long form without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--demo", action="store_true", help="kill the pre-training `shapes` five times")
    asked = parser.parse_args()
    if asked.demo:
        with tempfile.TemporaryDirectory(prefix="bench-kill-") as name:
            prepare(Path(name), ())
            hashes = dict(zip(("undisturbed", "killed five times"), demo(Path(name), asked.seed), strict=True))
        print(json.dumps(hashes, indent=1))
        raise SystemExit(len(set(hashes.values())) != 1)
    found = dict(tallies(tuple(asked.kind or KINDS), lambda kind: asked.kills or KILLS[kind], asked.seed))
    print(json.dumps({kind: asdict(tally) for kind, tally in found.items()}, indent=1))
    raise SystemExit(any(tally.lost or tally.wrong for tally in found.values()))


if __name__ == "__main__":
    main()
