"""The command line: options in, one verb called, a few lines out. Everything heavy is imported inside the commands."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Pre-train backbones, transfer them to detection and segmentation, and compare: pretrain → transfer → report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[str | None, typer.Option(help="Folder of your data, or a name below BENCH_DATA; generated data without it.")]
Out = Annotated[Path | None, typer.Option(help="The run's folder; runs/<id> without it.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; what there is, without it.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="field=value of the settings; may be repeated.")]
Config = Annotated[str | None, typer.Option(help="Name of a configuration (`bench ls configs`) or a YAML file.")]
Budget = Annotated[str | None, typer.Option(help="small: fits a CPU; marks the result as not the published protocol.")]
Resume = Annotated[bool, typer.Option(help="Go on from the last checkpoint (what the same command does anyway).")]
Checkpoint = Annotated[
    str, typer.Option(help="A file, torchvision:resnet50/IMAGENET1K_V2, or random:resnet50 for an untrained one.")
]
Source = Annotated[str | None, typer.Option(help="Whose file the checkpoint is (`bench ls sources`); recognised without it.")]
Branch = Annotated[
    str | None, typer.Option(help="online or momentum, of a pair of encoders; the source's own choice without it.")
]
Trust = Annotated[bool, typer.Option(help="Let the checkpoint's pickle run what is in it.")]


@app.command()
def pretrain(
    method: Annotated[str | None, typer.Option(help="`bench ls methods`.")] = None,
    aug: Annotated[str | None, typer.Option(help="Augmentation: `bench ls augs`.")] = None,
    supervision: Annotated[str | None, typer.Option(help="self, semi or full.")] = None,
    label_fraction: Annotated[float | None, typer.Option(help="Share of the labels used, 0 to 1.")] = None,
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
) -> None:
    """Make a backbone: MoCo v2 under an augmentation and a supervision regime."""
    from bench.progress import Display
    from bench.verbs import Request
    from bench.verbs import pretrain as verb
    from pretrain.settings import assignments

    named = {"method": method, "aug": aug, "supervision": supervision, "label_fraction": label_fraction}
    named |= {"arch": arch, "epochs": epochs, "seed": seed}
    options: dict[str, Any] = {key: value for key, value in named.items() if value is not None} | assignments(set_ or [])
    with Display() as display:
        request = Request(display.hook, data, out, device, budget, config, resume=resume)
        done = verb.run(request, options)
    _print(done, f"bench transfer --task coco-c4 --ckpt {done.folder / 'backbone.pth'}")


@app.command()
def transfer(
    task: Annotated[str, typer.Option(help="`bench ls tasks`.")],
    ckpt: Checkpoint,
    iters: Annotated[int | None, typer.Option(help="Training iterations; the schedule scales with them.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images per iteration; the learning rate scales with it.")] = None,
    size: Annotated[int | None, typer.Option(help="Short side of images in pixels, training and test.")] = None,
    rois: Annotated[int | None, typer.Option(help="Regions per image to train the box head.")] = None,
    precise_bn: Annotated[int | None, typer.Option(help="Forward passes for the norms' statistics.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    config: Config = None,
    budget: Budget = None,
    set_: Set = None,
    data: Data = None,
    out: Out = None,
    resume: Resume = False,
    device: Device = None,
    source: Source = None,
    branch: Branch = None,
    trust_checkpoint: Trust = False,
) -> None:
    """Fine-tune or probe a backbone on a task."""
    from bench.progress import Display
    from bench.verbs import Request
    from bench.verbs import transfer as verb
    from pretrain.settings import assignments

    shortcuts = {"iters": iters, "batch": batch, "size": size, "rois": rois, "precise_bn": precise_bn}
    with Display() as display:
        request = Request(display.hook, data, out, device, budget, config, seed, resume, source, branch, trust_checkpoint)
        done = verb.run(request, task, ckpt, shortcuts=shortcuts, options=assignments(set_ or []))
    _print(done, "bench report")


@app.command()
def measure(
    ckpt: Checkpoint,
    seed: Annotated[int, typer.Option(help="Of the views.")] = 0,
    budget: Budget = None,
    set_: Set = None,
    data: Data = None,
    out: Out = None,
    device: Device = None,
    source: Source = None,
    branch: Branch = None,
    trust_checkpoint: Trust = False,
) -> None:
    """Measure invariance (Linv) and diversity (Ldiv) of a backbone's features."""
    from bench.progress import Display
    from bench.verbs import Request
    from bench.verbs import measure as verb
    from pretrain.settings import assignments

    with Display() as display:
        request = Request(
            display.hook, data, out, device, budget, seed=seed, source=source, branch=branch, trust=trust_checkpoint
        )
        done = verb.run(request, ckpt, assignments(set_ or []))
    _print(done, "bench report")


@app.command()
def convert(
    ckpt: Checkpoint,
    to: Annotated[str, typer.Option(help="torchvision, detectron2 or mmseg.")],
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
    runs: Annotated[list[Path] | None, typer.Option(help="Folder of runs; may be repeated; runs/ without it.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for leaderboard.md, .csv and .html.")] = Path(),
) -> None:
    """Gather every result into a leaderboard."""
    from bench.report import report as make

    made = make(runs or [Path("runs")], out)
    if made.problems:
        raise SystemExit(2)


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Of the pre-training.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for leaderboard.md, .csv and .html.")] = Path(),
) -> None:
    """The whole road on generated data, in minutes: two pre-trainings, every task, the leaderboard."""
    from bench import demo as verb

    verb.run(seed, out)


@app.command("ls")
def list_(what: Annotated[str, typer.Argument(help="tasks, augs, methods, sources, configs or runs.")]) -> None:
    """List what exists."""
    from bench import listing

    listing.show(what)


@app.command()
def doctor() -> None:
    """Versions, devices, engines, data roots, and what to do about what is missing."""
    from bench import doctor as verb

    verb.show()


def _print(done: Any, after: str) -> None:
    """The result in a few lines: what was measured, where it lies, what to do next."""
    record = done.record
    print(f"{'already done' if done.reused else 'done'}: {done.folder / 'result.json'}")
    for name, value in record.metrics.items():
        print(f"  {name:<20} {'absent' if value is None else f'{value:.2f}'}")
    for note in record.notes:
        print(f"  note: {note}")
    print(f"next: {after}")


def main() -> None:
    """Entry point: a user's mistake is one message and exit code 2; anything else is a bug and keeps its traceback."""
    from pretrain.errors import BenchError

    try:
        app()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        raise SystemExit(2) from None
