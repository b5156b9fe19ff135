"""Kill runs at random moments, also while they save, go on with each, and compare with a run that nobody killed.

    python tests/robustness/kill.py                    # every kind of run, as in docs/ROBUSTNESS.md; prints the rows as JSON
    python tests/robustness/kill.py --kind pretrain --kills 100 --seed 1
    python tests/robustness/kill.py --demo             # the demo's own pre-training, killed five times: both SHA-256

A third of the kills come while a file is being written. A run is killed until it is done or `PATIENCE` is at an end. It is
lost where a later command does not bring it to its end, and wrong where that end differs from the undisturbed run's.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import random
import runpy
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
from faults import lay_images
from forks import Ended
from rows import Row

TESTS = Path(__file__).resolve().parents[1]
PATIENCE = 8
"""Kills after which a run is left alone to finish."""
FILES_AT_ONCE = 12
"""Files a run writes between two kills at most: the kills while saving are spread over these."""
IMPORTED = ("bench.cli", "bench.progress", "bench.verbs.pretrain", "bench.verbs.transfer", "torch.utils.tensorboard")
"""What the parent imports, so that no child has to; the engines beside."""

KINDS = ("pretrain", "signals", "linear", "torchvision", "detectron2", "mmseg", "demo")
KILLS = {"demo": 5, "pretrain": 100, "signals": 40, "linear": 20, "torchvision": 20, "detectron2": 20, "mmseg": 20}
"""Of the long form."""
SMALL = ["--device", "cpu", "--budget", "small"]
TINY = ["arch=resnet18", "size=16", "batch=8", "queue=16", "feature_dim=8", "num_workers=0", "keep_every=2", "monitor_every=2"]
DETECTION = [
    "iters=6",
    "batch=2",
    "lr=0.02",
    "warmup=2",
    "steps=[4]",
    "min_sizes=[80]",
    "test_size=80",
    "rois=8",
    "rpn_batch=32",
]
DETECTION += ["roi_resolution=4", "pre_nms_train=100", "post_nms_train=30", "pre_nms_test=100", "post_nms_test=10"]
DETECTION += ["precise_bn=2", "detections_per_image=10", "num_workers=0", "checkpoint_seconds=0"]
SEGMENTATION = ["iters=8", "batch=2", "lr=0.02", "crop=64", "head_dilation=1", "num_workers=0"]


@dataclass
class Tally:
    """What became of the runs of one kind."""

    kills: int = 0
    while_saving: int = 0
    """Of the kills, those that came while a file was being written."""
    runs: int = 0
    lost: list[str] = field(default_factory=list)
    """What those said that did not go on."""
    wrong: list[str] = field(default_factory=list)
    """How those that did differ from the undisturbed run."""


def voc(root: Path) -> Path:
    """A few scenes of coloured rectangles in the layout of VOC 2007."""
    scenes = runpy.run_path(str(TESTS / "transfer/conftest.py"))
    folder = root / "VOC2007"
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for split, numbers in (("trainval", range(6)), ("test", range(1000, 1004))):
        for number in numbers:
            image, things = scenes["scene"](number)
            image.save(folder / f"JPEGImages/{number:06}.png")
            (folder / f"Annotations/{number:06}.xml").write_text(scenes["voc_xml"](things))
        (folder / f"ImageSets/Main/{split}.txt").write_text("".join(f"{number:06}\n" for number in numbers))
    return root


def command(kind: str, data: Path) -> list[str]:
    """A tiny run of that kind, without its folder."""
    if kind in ("pretrain", "signals"):
        more = ["num_workers=1"] if kind == "signals" else []
        words = ["pretrain", "--device", "cpu", "--aug", "cutmix", "--supervision", "semi", "--epochs", "3"]
        return words + _set(TINY + more) + ["--data", str(data / "images")]
    words = ["transfer", *SMALL, "--ckpt", "random:resnet18"]
    if kind == "linear":
        own = ["--task", "linear", "--data", str(data / "images")]
        return words + own + _set(["epochs=3", "batch=8", "size=32", "num_workers=0", *_often("linear")])
    if kind == "mmseg":
        return words + ["--task", "cityscapes", "--data", str(data / "scenes")] + _set(SEGMENTATION + _often("cityscapes"))
    return words + ["--task", "voc07", "--engine", kind, "--data", str(data / "voc")] + _set(DETECTION)


def _often(task: str) -> list[str]:
    """A checkpoint after every step or two, by whichever setting the task has."""
    from transfer import tasks

    often = {"checkpoint_seconds": 0, "checkpoint_every": 2}
    return [f"{name}={value}" for name, value in often.items() if name in type(tasks.get(task).settings).model_fields]


def _set(pairs: list[str]) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


def missing(kind: str) -> str | None:
    """The package without which that kind can't run here."""
    from transfer import engines

    return engines.missing(kind) if kind in engines.ENGINES else None


def damage(kind: str, kills: int, seed: int, folder: Path) -> Tally:
    """Kill runs of a kind that often in all."""
    rng, tally, words = random.Random(seed), Tally(), command(kind, folder)
    whole = folder / f"{kind}-whole"
    reference = forks.bench([*words, "--out", str(whole)], folder / "said.txt")
    if reference.code:
        raise RuntimeError(f"the undisturbed {kind} run failed:\n{reference.said}")
    while tally.kills < kills and len(tally.lost) + len(tally.wrong) < 3:
        out = folder / f"{kind}-{tally.runs}"
        often = _set([f"checkpoint_seconds={reference.seconds / 4:.3f}"]) if words[0] == "pretrain" else []
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
    """Whether a child ended as one that got that signal should."""
    if by == signal.SIGKILL:
        return ended.killed
    told = "bench: stopped" in ended.said or not ended.said  # nothing where the command had not begun
    return ended.code == 128 + by and told and "Traceback" not in ended.said


def differences(kind: str, whole: Path, killed: Path) -> Iterator[str]:
    """What an undisturbed run and a killed one should have in common, and have not."""
    ours, theirs = (json.loads((folder / "result.json").read_text()) for folder in (whole, killed))
    if ours["schedule"] != theirs["schedule"]:
        yield f"schedule {theirs['schedule']} in place of {ours['schedule']}"
    exact = kind in ("pretrain", "signals", "linear")
    if exact and ours["metrics"] != theirs["metrics"]:
        yield f"metrics {theirs['metrics']} in place of {ours['metrics']}"
    if exact and _course(whole) != _course(killed):
        yield f"another course: {_course(killed)} in place of {_course(whole)}"
    if not exact and _course(whole, "lr") != _course(killed, "lr"):
        yield f"another schedule: {_course(killed, 'lr')} in place of {_course(whole, 'lr')}"
    if kind in ("pretrain", "signals"):
        for path in sorted(whole.glob("backbone*.pth")):
            if not (killed / path.name).is_file() or digest(path) != digest(killed / path.name):
                yield f"{path.name} is another file"
    left = [path.name for path in killed.rglob(".*")]
    if left:
        yield f"left behind: {left}"


def _course(folder: Path, *only: str) -> list[tuple[Any, ...]]:
    """Every line of `metrics.jsonl` that training wrote: stage, step and values, but not the time."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    time = {"seconds", "images_per_second"}
    trained = (row for row in rows if row["stage"] != "evaluate")
    return [
        (row["stage"], row["step"], *((k, v) for k, v in row.items() if k in only or (not only and k not in time)))
        for row in trained
    ]


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def demo(folder: Path, seed: int, kills: int = 5) -> tuple[str, str]:
    """The SHA-256 of the demo's backbone from an undisturbed run and from one killed five times."""
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
        if (killed / "result.json").is_file():  # done before it was killed often enough: once more from the start, and sooner
            shutil.rmtree(killed)
            done, seconds = 0, seconds / 2
    ended = forks.bench([*words, "--out", str(killed)], said)
    if ended.code:
        raise RuntimeError(f"the run killed {kills} times did not go on:\n{ended.said}")
    return digest(whole / "backbone.pth"), digest(killed / "backbone.pth")


def of_demo(folder: Path, seed: int) -> Tally:
    """The demo's pre-training as one run among the others."""
    whole, killed = demo(folder, seed)
    return Tally(kills=5, runs=1, wrong=[] if whole == killed else [f"backbone {killed} in place of {whole} (seed {seed})"])


def prepare(folder: Path, kinds: tuple[str, ...]) -> None:
    """Import what the runs need, and write the images they are trained on."""
    engines = [f"transfer.engines.{kind}.engine" for kind in kinds if kind in ("torchvision", "detectron2", "mmseg")]
    for name in (
        *IMPORTED,
        "transfer.engines.probe.engine",
        *engines,
        *(kind for kind in kinds if importlib.util.find_spec(kind)),
    ):
        importlib.import_module(name)
    if "detectron2" in kinds:
        importlib.import_module("detectron2.engine")
    lay_images(folder / "images", train=16)
    voc(folder / "voc")
    runpy.run_path(str(TESTS / "transfer/tiny_scenes.py"))["lay"](folder / "scenes")


PROMISES: dict[str, tuple[str, str]] = {
    "pretrain": (
        "a killed pre-training goes on, to the same losses, course and backbones, bit for bit",
        "SIGKILL at random moments, a third of them while a file is written; then the same command, with and without --resume",
    ),
    "signals": (
        "SIGINT and SIGTERM end a pre-training with a checkpoint, one line and 130 or 143; it goes on bit for bit",
        "the signal to the whole process group at random moments, one loader process",
    ),
    "linear": ("a killed `linear` goes on, to the same losses and accuracies, bit for bit", "as above, on the probe engine"),
    "torchvision": (
        "a killed detection run goes on, with the same iterations and schedule",
        "as above, on the torchvision engine",
    ),
    "detectron2": (
        "a killed detection run goes on, with the same iterations and schedule",
        "as above, on the detectron2 engine",
    ),
    "demo": (
        "an undisturbed and a five times killed pre-training of the demo's configuration end in one and the same file",
        "both SHA-256 compared",
    ),
    "mmseg": ("a killed segmentation run goes on, with the same iterations and schedule", "as above, on the mmseg engine"),
}


def tallies(kinds: tuple[str, ...], kills: Callable[[str], int], seed: int) -> Iterator[tuple[str, Tally]]:
    """Every kind that can run here, with what became of its runs."""
    with tempfile.TemporaryDirectory(prefix="bench-kill-") as name:
        able = tuple(kind for kind in kinds if missing(kind) is None)
        prepare(Path(name), able)
        for kind in able:
            yield kind, damage(kind, kills(kind), seed, Path(name)) if kind != "demo" else of_demo(Path(name), seed)


def rows(short: bool, kinds: tuple[str, ...] = KINDS, seed: int = 0) -> list[Row]:
    """One row for each kind of run that can run here; a kind that can't has none."""
    found = []
    kinds = tuple(kind for kind in kinds if not (short and kind == "demo"))  # minutes
    for kind, tally in tallies(kinds, lambda kind: 2 if short else KILLS[kind], seed):
        for problem in (*tally.lost, *tally.wrong):
            print(f"{kind}: {problem}", file=sys.stderr)
        promise, test = PROMISES[kind]
        found.append(Row(promise, f"{test} ({tally.runs} runs)", tally.kills, len(tally.lost) + len(tally.wrong)))
    return found


def main() -> None:
    """Print what was found, as JSON; exit with 1 where a run was lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, action="append", help="may be repeated; all without it")
    parser.add_argument("--kills", type=int, help="of each kind; those of the long form without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--demo", action="store_true", help="kill the demo's pre-training five times")
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
