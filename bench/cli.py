"""The command line: options in, one verb called, a few lines out. Everything heavy is imported inside the commands."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import FIRST, command, datacli
from bench.options import Branch, Budget, Ckpt, Classes, Config, Data, Device, Devices, Labels, Out, Resume, Set, Source, Trust

app = typer.Typer(
    help="Pre-train backbones, transfer them to detection and segmentation, and compare: pretrain → transfer → report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(datacli.app, name="data")

_RESULTS = FIRST and "BENCH_CHILD" not in os.environ
"""And the one that started them says what came out."""


@app.command()
def pretrain(
    method: Annotated[str | None, typer.Option(help="`bench ls methods`.")] = None,
    aug: Annotated[str | None, typer.Option(help="Augmentation: `bench ls augs`.")] = None,
    supervision: Annotated[str | None, typer.Option(help="self, semi or full.")] = None,
    label_fraction: Annotated[float | None, typer.Option(help="Share of the labels used, 0 to 1.")] = None,
    label_mode: Annotated[str | None, typer.Option(help="positives, mean-positives or drop-negatives.")] = None,
    classes: Annotated[str | None, typer.Option(help="imagenet100, a file of class folders, or a share such as 0.2.")] = None,
    label_map: Labels = None,
    label_list: Annotated[str | None, typer.Option(help="File of image names that keep their label (semi).")] = None,
    cache: Annotated[str | None, typer.Option(help="ram or disk: keep decoded images; for small sets.")] = None,
    on_bad_image: Annotated[str | None, typer.Option(help="stop, or skip: go on with the next readable image.")] = None,
    arch: Annotated[str | None, typer.Option(help="resnet18, 34, 50 or 101.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    config: Config = None,
    budget: Budget = None,
    set_: Set = None,
    data: Data = None,
    out: Out = None,
    resume: Resume = False,
    device: Device = None,
    devices: Devices = 1,
    keep_every: Annotated[int | None, typer.Option(help="Epochs between backbones kept on the way.")] = None,
    monitor_every: Annotated[int | None, typer.Option(help="Epochs between nearest-neighbour measurements.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would run, and the memory and time it would take.")] = False,
) -> None:
    """Make a backbone: MoCo v2 under an augmentation and a supervision regime."""
    from bench.progress import Display
    from bench.verbs import Request
    from bench.verbs import pretrain as verb
    from pretrain.core.settings import assignments

    named = {"method": method, "aug": aug, "supervision": supervision, "label_fraction": label_fraction}
    named |= {"classes": classes, "label_map": label_map, "label_list": label_list, "cache": cache}
    named |= {"arch": arch, "epochs": epochs, "seed": seed, "on_bad_image": on_bad_image, "label_mode": label_mode}
    named |= {"keep_every": keep_every, "monitor_every": monitor_every}
    options: dict[str, Any] = {key: value for key, value in named.items() if value is not None} | assignments(set_ or [])
    with Display() as display:
        request = Request(display.hook, data, out, device, budget, config, resume=resume, devices=devices)
        if dry_run:
            return verb.explain(request, options)
        done = verb.run(request, options)
    return _print(done, f"bench transfer --task coco-c4 --ckpt {done.folder / 'backbone.pth'}")


@app.command()
def views(
    aug: Annotated[str | None, typer.Option(help="Augmentation: `bench ls augs`.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the images and of everything drawn.")] = None,
    images: Annotated[int, typer.Option(help="Rows of the grid.")] = 6,
    config: Config = None,
    set_: Set = None,
    data: Data = None,
    out: Annotated[Path, typer.Option(help="The picture, a PNG; an older one is replaced.")] = Path("views.png"),
) -> None:
    """Draw what the network will see under an augmentation: look before you train."""
    from bench.progress import Display
    from bench.verbs import Request
    from bench.verbs import views as verb
    from pretrain.core.settings import assignments

    options = {key: value for key, value in {"aug": aug, "seed": seed}.items() if value is not None} | assignments(set_ or [])
    with Display() as display:
        drawn = verb.run(Request(display.hook, data, config=config), options, out, images)
    print(drawn)


@app.command()
def transfer(
    task: Annotated[str, typer.Option(help="`bench ls tasks`; TASK@SCHEDULE where it has several, such as coco-c4@1x.")],
    ckpt: Ckpt,
    schedule: Annotated[str | None, typer.Option(help="The same as @SCHEDULE: 1x or 2x.")] = None,
    engine: Annotated[str | None, typer.Option(help="detectron2, torchvision, ...; without it the first installed.")] = None,
    iters: Annotated[int | None, typer.Option(help="Training iterations; the schedule scales with them.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images per iteration; the learning rate scales with it.")] = None,
    size: Annotated[int | None, typer.Option(help="Short side of images in pixels, training and test.")] = None,
    rois: Annotated[int | None, typer.Option(help="Regions per image to train the box head.")] = None,
    precise_bn: Annotated[int | None, typer.Option(help="Forward passes for the norms' statistics.")] = None,
    lr_search: Annotated[bool, typer.Option(help="Linear: learning rates side by side, chosen on held-out images.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    trials: Annotated[int | None, typer.Option(help="Run that many seeds, from --seed on; mean and spread at the end.")] = None,
    config: Config = None,
    budget: Budget = None,
    set_: Set = None,
    data: Data = None,
    classes: Classes = None,
    label_map: Labels = None,
    out: Out = None,
    resume: Resume = False,
    device: Device = None,
    devices: Devices = 1,
    source: Source = None,
    branch: Branch = None,
    trust_checkpoint: Trust = False,
) -> None:
    """Fine-tune or probe a backbone on a task."""
    from bench.progress import Display
    from bench.selection import Selection
    from bench.verbs import Request
    from bench.verbs import transfer as verb
    from bench.verbs import trials as seeds
    from pretrain.core.settings import assignments

    shortcuts = {"iters": iters, "batch": batch, "size": size, "rois": rois, "precise_bn": precise_bn}
    shortcuts |= {"lr_search": lr_search or None}
    chosen = Selection.asked(classes, label_map)
    with Display() as display:
        request = Request(
            display.hook, data, out, device, budget, config, seed, resume, source, branch, trust_checkpoint, devices, chosen
        )
        how: Any = {"schedule": schedule, "engine": engine, "shortcuts": shortcuts, "options": assignments(set_ or [])}
        done = seeds.run(request, trials, lambda each: verb.run(each, task, ckpt, **how))
    for each in done:
        _print(each, "bench report")
    for line in seeds.summary(done) if _RESULTS else ():
        print(line)


@app.command()
def measure(
    ckpt: Annotated[list[str], typer.Option(help="A checkpoint file, or random:resnet18; may be repeated.")],
    probe: Annotated[list[str] | None, typer.Option(help="Probing augmentation, as in --aug; may be repeated.")] = None,
    sweep: Annotated[str | None, typer.Option(help="field=value,value,... of the probe: its invariance curve.")] = None,
    splits: Annotated[int, typer.Option(help="Also measure on that many disjoint parts of the images.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the views.")] = 0,
    budget: Budget = None,
    set_: Set = None,
    data: Data = None,
    classes: Classes = None,
    label_map: Labels = None,
    out: Out = None,
    device: Device = None,
    source: Source = None,
    branch: Branch = None,
    trust_checkpoint: Trust = False,
) -> None:
    """Measure invariance (Linv), diversity (Ldiv) and their kin: every checkpoint under every probe."""
    from bench.progress import Display
    from bench.selection import Selection
    from bench.verbs import Request
    from bench.verbs import measure as verb
    from pretrain.core.settings import assignments

    which: Any = {"source": source, "branch": branch, "trust": trust_checkpoint}
    which |= {"selection": Selection.asked(classes, label_map)}
    with Display() as display:
        request = Request(display.hook, data, out, device, budget, seed=seed, **which)
        done = verb.matrix(request, ckpt, probe or [], sweep, assignments(set_ or []), splits=splits)
    for one in done:
        _print(one, "bench report")


@app.command()
def convert(
    ckpt: Ckpt,
    to: Annotated[str, typer.Option(help="torchvision, timm, detectron2 or mmseg.")],
    out: Annotated[Path, typer.Option(help="The file to write; OUT.json beside it says how to use it.")],
    norm_rescale: Annotated[
        str | None, typer.Option(help="Bring LARS-trained norms down: a factor such as 0.1, or an SGD-trained checkpoint.")
    ] = None,
    scope: Annotated[str, typer.Option(help="Of --norm-rescale: params, or all for running statistics too.")] = "params",
    source: Source = None,
    branch: Branch = None,
    trust_checkpoint: Trust = False,
) -> None:
    """Write a backbone as another tool reads it."""
    from bench.progress import Display
    from bench.verbs import Request
    from bench.verbs import convert as verb

    with Display() as display:
        request = Request(display.hook, source=source, branch=branch, trust=trust_checkpoint)
        done = verb.run(request, ckpt, to, out, norm_rescale=norm_rescale, scope=scope)
    print(f"done: {done.file}\n  how to use it: {done.about}")


@app.command()
def report(
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="More folders of runs.")] = None,
    runs: Annotated[list[Path] | None, typer.Option(help="Folder of runs; may be repeated; runs/ without it.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for leaderboard.md, .csv, .tex and .html.")] = Path(),
    diff: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Show what changed from one folder of runs to another.")
    ] = None,
) -> None:
    """Gather every result into a leaderboard."""
    from bench import report as make

    if diff:
        whole = make.compare(*diff)
    else:
        made = make.report([*(runs or ()), *(more or ())] or [Path("runs")], out)
        print("written:", ", ".join(map(str, made.written)))
        whole = not made.problems
    if not whole:
        raise SystemExit(2)


@app.command()
def card(
    run: Annotated[Path, typer.Argument(help="Folder of a pre-training.")],
    runs: Annotated[list[Path] | None, typer.Option(help="Folder of its transfers; may be repeated; runs/ without it.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file; card.md in the run's folder without it.")] = None,
) -> None:
    """Write the model card of a pre-training, with the table of its transfers."""
    from bench import report as make

    written, whole = make.describe(run, runs or [Path("runs")], out)
    print(f"done: {written}")
    if not whole:
        raise SystemExit(2)


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Of the pre-training.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for leaderboard.md, .csv, .tex and .html.")] = Path(),
) -> None:
    """The whole road on generated data, in minutes: two pre-trainings, every task, the leaderboard."""
    from bench import demo as verb

    verb.run(seed, out)


@app.command("ls")
def list_(
    what: Annotated[str, typer.Argument(help="tasks, augs, methods, sources, configs or runs.")],
    name: Annotated[str | None, typer.Argument(help="Of a task, such as coco-c4@1x: its settings and what to expect.")] = None,
) -> None:
    """List what exists."""
    from bench import listing

    listing.show(what, name)


@app.command()
def doctor() -> None:
    """Versions, devices, engines, data roots, and what to do about what is missing."""
    from bench import doctor as verb

    verb.show()


def _print(done: Any, after: str) -> None:
    """The result in a few lines: what was measured, where it lies, what to do next."""
    from bench import summary

    if _RESULTS:
        print(*summary.lines(done, after), sep="\n")


def main() -> None:
    """Entry point: a user's mistake is one message and exit code 2, a signal one line and its own exit code; anything else
    is a bug and keeps its traceback.
    """
    from pretrain.core import interrupt, machine_errors
    from pretrain.core.errors import BenchError

    try:
        with interrupt.at_once(), machine_errors.translating_os_errors("write here", Path()):
            app()
    except interrupt.Interrupted as stop:
        if FIRST and stop.saved:
            print(f"bench: stopped by {stop.by.name}; saved: {stop.saved}; to go on: {command()}", file=sys.stderr)
        raise SystemExit(stop.code) from None
    except interrupt.Stopped as stop:
        if FIRST:
            print(f"bench: stopped at once by {stop.by.name}; the same command starts again", file=sys.stderr)
        raise SystemExit(stop.code) from None
    except BenchError as error:
        if FIRST:
            print(f"bench: {error}", file=sys.stderr)
        raise SystemExit(2) from None
