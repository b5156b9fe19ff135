"""Compare the losses of a former commit with this tree's, to the last bit, and print a Markdown table.

    python tests/benchmarks/equal_losses.py [--base 512532b] [--only CASE ...] [--same-words]

A worktree of the base commit is made in a temporary folder and removed at the end. Each case runs once with each tree, at the
same time, in fp32 with one thread: the public command line, in a process that notes the loss of every optimiser step as a
hexadecimal number and stops after as many as the case has. No number is stored, since processors round differently. A case
whose definition was changed on purpose says why; it may differ. Exit code 1 where another loss differs, a run fails, or
nothing was compared.
"""

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
TREE = HERE.parents[2]
BASE = "512532b"


@dataclass(frozen=True)
class Case:
    """A command that both trees understand, but for the words that only one of them does."""

    words: str
    """What both take."""
    steps: int = 20
    """Optimiser steps compared."""
    base: str = ""
    """Words for the base commit alone."""
    new: str = ""
    """Words for this tree alone."""
    processes: int = 1
    needs: str = ""
    """A package without which the case is left out."""
    changed: str = ""
    """Why it is another definition now than at the base commit: its losses may differ, but both trees must make their steps."""

    def command(self, side: str) -> list[str]:
        """The words of `base` or `new`."""
        return [*self.words.split(), *getattr(self, side).split()]


def _pretrain(words: str, **more: Any) -> Case:
    """Five epochs of four steps, in the last two of which the step schedule has lower learning rates. Filling a queue of 64
    keys takes four steps more.
    """
    common = "pretrain --data images --device cpu --arch resnet18 --epochs 5 --seed 1 --set size=32 --set batch=16"
    return Case(f"{common} --set base_lr=0.3 --set num_workers=0 --set precision=fp32 {words}", **more)


def _moco(words: str = "", **more: Any) -> Case:
    return _pretrain(f"--set queue=64 --set feature_dim=32 {words}", **more)


def _transfer(words: str, **more: Any) -> Case:
    words = f"transfer --ckpt random:resnet18 --device cpu --seed 1 --set num_workers=0 {words}"
    return Case(words, steps=5, **more)


FOLDED = "under i-Mix an image keeps at least half of a CutMix too"
UNFOLDED = "under Un-Mix a MixUp's λ is as drawn"
PRETRAINING = {
    "none": _moco(),
    "none, small stem": _moco("--set stem=small"),
    "none, key momentum 0.9": _moco(base="--set key_momentum=0.9", new="--set method.momentum=0.9"),
    "none, linear projector": _moco("--set projector=linear --set temperature=0.1"),
    "none, BN in 2 parts, shuffled": _moco("--set bn_splits=2"),
    "none, 2 processes": _moco(processes=2),
    "none, AdamW": _moco("--set optimizer=adamw --set base_lr=0.01 --set weight_decay=0.01"),
    "none, step schedule": _moco("--set schedule=step"),
    "none, queue filled first": _moco("--set fill_queue=true --epochs 6"),
    "none, MoCo v1's pipeline": _moco("--set pipeline=mocov1"),
    "random-erasing": _moco("--aug random-erasing"),
    "random-erasing, both views": _moco("--aug random-erasing --set aug_views=both"),
    "cutmix, i-mix": _moco("--aug cutmix", changed=FOLDED),
    "cutmix, un-mix": _moco("--aug cutmix --set mixed_target=un-mix"),
    "cutmix, no mixed target": _moco("--aug cutmix --set mixed_target=none"),
    "cutmix, i-mix, both views": _moco("--aug cutmix --set aug_views=both", changed=FOLDED),
    "cutmix, i-mix, 2 processes": _moco(
        "--aug cutmix --supervision semi", processes=2, changed=f"{FOLDED}, and compares with the keys of all processes"
    ),
    "mixup, i-mix": _moco("--aug mixup"),
    "mixup, un-mix": _moco("--aug mixup --set mixed_target=un-mix", changed=UNFOLDED),
    "mixup, un-mix, both views": _moco("--aug mixup --set mixed_target=un-mix --set aug_views=both", changed=UNFOLDED),
    "cutmix+random-erasing": _moco("--aug cutmix+random-erasing", changed=FOLDED),
    **{
        f"{supervision}, {mode}": _moco(f"--supervision {supervision} --set label_mode={mode}")
        for supervision in ("semi", "full")
        for mode in ("positives", "mean-positives", "drop-negatives")
    },
    "full, mean-positives, cutmix, i-mix": _moco(
        "--supervision full --aug cutmix --set label_mode=mean-positives", changed=FOLDED
    ),
    "semi, drop-negatives, mixup, un-mix": _moco(
        "--supervision semi --aug mixup --set mixed_target=un-mix --set label_mode=drop-negatives", changed=UNFOLDED
    ),
    "MoCo v1": _moco(base="--config mocov1", new="--method mocov1"),
    "supervised": _pretrain("--method supervised --supervision full"),
    "supervised, semi": _pretrain("--method supervised --supervision semi"),
    "supervised, cutmix": _pretrain("--method supervised --supervision full --aug cutmix"),
}
TRANSFERS = {
    "linear": _transfer("--task linear --data images --budget small --set batch=16"),
    "linear-cached": _transfer("--task linear-cached --data images --budget small --set batch=16"),
    "coco-c4": _transfer("--task coco-c4 --engine torchvision --iters 5"),
    "coco-fpn": _transfer("--task coco-fpn --engine torchvision --iters 5"),
    "voc0712": _transfer("--task voc0712 --engine torchvision --iters 5"),
    "cityscapes": _transfer("--task cityscapes --engine mmseg --iters 5"),
    "cityscapes-deeplabv3": _transfer("--task cityscapes-deeplabv3 --engine mmseg --iters 5"),
    "coco-c4, Detectron2": _transfer("--task coco-c4 --engine detectron2 --iters 5", needs="detectron2"),
    "coco-fpn, Detectron2": _transfer("--task coco-fpn --engine detectron2 --iters 5", needs="detectron2"),
}
CASES = PRETRAINING | TRANSFERS


def main() -> int:
    """Run the cases and print the table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=BASE, help="commit compared with")
    parser.add_argument("--only", nargs="+", metavar="CASE", choices=list(CASES), default=list(CASES))
    parser.add_argument("--same-words", action="store_true", help="this tree still takes the base's words")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the worktree is removed all the same
    sides = {"base": "base", "new": "base" if options.same_words else "new"}
    print(f"| case | optimiser steps | first loss | last loss | {options.base} and this tree |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, worktree(options.base, Path(folder) / "tree") as base:
        work = Path(folder) / "work"
        lay_images(work / "images")
        if any(name in TRANSFERS for name in options.only):
            bench(base, work, "data", "check", "--task", "knn", "--no-images")  # generates data/shapes, which both then read
        outcomes = [compare(name, {"base": base, "new": TREE}, sides, work) for name in options.only]
    compared = [good for good in outcomes if good is not None]
    return 0 if compared and all(compared) else 1


@contextlib.contextmanager
def worktree(commit: str, folder: Path) -> Iterator[Path]:
    """A worktree of the commit, for as long as the block lasts."""
    git = ["git", "-C", str(TREE), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def lay_images(root: Path, train: int = 16, val: int = 4) -> None:
    """Write an image folder of four classes, so many images of each: stripes of the class's own direction, in noise."""
    import numpy as np
    from PIL import Image

    rng, side = np.random.default_rng(0), 40
    down, right = np.mgrid[:side, :side] / side
    for split, count in {"train": train, "val": val}.items():
        for number, name in enumerate(("ant", "bee", "cat", "dog")):
            (root / split / name).mkdir(parents=True)
            angle = number * np.pi / 4
            for i in range(count):
                phase, colour = rng.uniform(0, 2 * np.pi), rng.uniform(40, 120, 3)
                stripes = np.sin(20 * (down * np.sin(angle) + right * np.cos(angle)) + phase)
                pixels = 128 + stripes[..., None] * colour + rng.normal(0, 20, (side, side, 3))
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / split / name / f"{i}.png")


def compare(name: str, trees: dict[str, Path], sides: dict[str, str], work: Path) -> bool | None:
    """Run a case with both trees and print its row; whether all losses are equal, None where it is left out."""
    case = CASES[name]
    if case.needs and importlib.util.find_spec(case.needs) is None:
        print(f"| {name} | | | | left out: {case.needs} is not installed |", flush=True)
        return None
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(losses, case, sides[key], tree, work / f"{name}, {key}") for key, tree in trees.items()]
        base, new = (run.result() for run in runs)
    wanted = case.steps * case.processes
    steps = zip(base, new, strict=False)
    unequal = next((f"step {i} differs: {b} and {n}" for i, (b, n) in enumerate(steps, 1) if b != n), None)
    short = None if len(base) == len(new) == wanted else f"{len(base)} and {len(new)} steps were made, not {wanted}"
    first, last = (f"{float.fromhex(loss):.9g}" for loss in (base[0], base[-1])) if base else ("", "")
    found = f"{unequal}; changed on purpose: {case.changed}" if unequal and case.changed else unequal
    print(f"| {name} | {len(base)} | {first} | {last} | {short or found or 'equal'} |", flush=True)
    return not (short or (unequal and not case.changed))


def losses(case: Case, side: str, tree: Path, out: Path) -> list[str]:
    """The losses of a case's optimiser steps with a tree, hexadecimal; those of several processes one after the other."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={case.processes}"]
    python = [sys.executable, *(launcher if case.processes > 1 else [])]
    found = out.with_name(f"{out.name}, losses")
    found.mkdir()
    command = [*python, str(HERE), "--child", str(found), str(case.steps), *case.command(side), "--out", str(out)]
    done = subprocess.run(command, cwd=out.parent, env=environment(tree), capture_output=True, text=True)
    if done.returncode:
        print(f"{out.name}: exit code {done.returncode}\n{done.stderr[-3000:]}", file=sys.stderr)
    return [line for path in sorted(found.iterdir()) for line in path.read_text().split()]


def bench(tree: Path, work: Path, *words: str) -> None:
    """Run a command of a tree, which must work."""
    command = [sys.executable, "-m", "bench", *words]
    done = subprocess.run(command, cwd=work, env=environment(tree), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench {' '.join(words)} failed:\n{done.stderr[-3000:]}")


def environment(tree: Path) -> dict[str, str]:
    """This process's, with the tree's packages before all others, one thread, and no data but what is made here."""
    kept = {key: value for key, value in os.environ.items() if key != "BENCH_DATA"}
    path = os.pathsep.join([str(tree), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TREE": str(tree)}


@contextlib.contextmanager
def recorded(tell: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, `tell` gets the loss of each optimiser step, hexadecimal, before the step is taken.

    It is the last tensor that was differentiated: estimates, which differentiate and take no step, leave no trace.
    """
    import torch
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    backward, last = torch.Tensor.backward, [""]

    def noted(self: torch.Tensor, *arguments: Any, **options: Any) -> None:
        last[0] = float(self.detach()).hex()
        backward(self, *arguments, **options)

    hook = register_optimizer_step_pre_hook(lambda *_: tell(last[0]))
    torch.Tensor.backward = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.backward = backward  # type: ignore[method-assign]
        hook.remove()


def child(folder: str, steps: str, *words: str) -> None:
    """Run a command of `bench` and write its losses into the folder, one file for each process; ends after that many steps.

    One of several processes doesn't end early, since the others may still be waiting for what it has computed.
    """
    import bench
    from bench import cli

    if not Path(bench.__file__).is_relative_to(os.environ["TREE"]):
        raise RuntimeError(f"{bench.__file__} is not below {os.environ['TREE']}")
    with (Path(folder) / os.environ.get("RANK", "0")).open("w", buffering=1) as file:
        left = int(steps)

        def tell(loss: str) -> None:
            nonlocal left
            file.write(f"{loss}\n")
            left -= 1
            if not left and "RANK" not in os.environ:
                os._exit(0)

        sys.argv = ["bench", *words]
        with recorded(tell):
            cli.main()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        raise SystemExit(main())
