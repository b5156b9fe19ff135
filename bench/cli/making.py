"""The commands that make runs, and their result in a few lines."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import FIRST, command_line
from bench.cli import completion
from bench.cli.groups import Only
from bench.cli.tables import ADJUSTMENTS, MEASURE, PRETRAIN, SELECTION
from bench.options import Ckpt, Place, Reading, Set, Setup

PRINTS = FIRST and "BENCH_CHILD" not in os.environ
"""Whether this process prints the result: not if it was started by a process that does."""

Task = Annotated[
    str,
    typer.Option(
        help="`bench ls tasks`; TASK@SCHEDULE where it has several, such as coco-c4@1x.", autocompletion=completion.of("tasks")
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(help="detectron2, torchvision, ...; without it the first installed.", autocompletion=completion.of("engines")),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would run, and the memory and time it would take; write nothing.")
]
Trials = Annotated[int | None, typer.Option(help="Run that many seeds, counted up from --seed; mean and spread at the end.")]


def pretrain(
    fields: Annotated[dict[str, Any], PRETRAIN],
    setup: Annotated[Setup, Only("config", "budget")],
    place: Place,
    set_: Set = None,
    dry_run: DryRun = False,
) -> None:
    """Make a backbone: a method under an augmentation and a supervision regime."""
    from bench import api
    from bench.progress import Display
    from bench.summary import first_transfer
    from bench.verbs import pretrain as verb
    from pretrain.core.settings import assignments

    settings = assignments(set_ or [])
    with Display() as display:
        if dry_run:
            return verb.explain(fields | settings, setup, place, display.hook)
        groups = {"config": setup.config, "budget": setup.budget, **vars(place)}
        done = api.pretrain(**groups, settings=settings, progress=display.hook, command=command_line(), **fields)
    return _print(done, first_transfer(done, place.data, setup.budget))


def init(
    place: Annotated[Place, Only("data")],
    folder: Annotated[Path, typer.Argument(help="Folder to write study.yaml into; the working folder without it.")] = Path(),
    ckpt: Annotated[
        list[str] | None,
        typer.Option(help="Evaluate this checkpoint, as in `bench transfer --ckpt`, instead of pre-training; may be repeated."),
    ] = None,
) -> None:
    """Look at your data, and write a study of it to begin with; overwrites nothing."""
    from bench.progress import Display
    from bench.verbs import init as verb

    with Display() as display:
        said = verb.run(folder, place.data, ckpt or [], display.hook)
    print(*said, sep="\n")


def transfer(
    task: Task,
    ckpt: Ckpt,
    adjustments: Annotated[dict[str, Any], ADJUSTMENTS],
    selection: Annotated[dict[str, Any], SELECTION],
    setup: Setup,
    place: Place,
    reading: Reading,
    schedule: Annotated[str | None, typer.Option(help="The same as @SCHEDULE: 1x or 2x.")] = None,
    engine: Engine = None,
    trials: Trials = None,
    set_: Set = None,
    dry_run: DryRun = False,
) -> None:
    """Fine-tune or probe a backbone on a task."""
    from functools import partial

    from bench import api
    from bench.progress import Display
    from bench.selection import Selection
    from bench.verbs import transfer as verb
    from bench.verbs import trials as seeds
    from pretrain.core.settings import assignments

    settings = assignments(set_ or [])
    how: dict[str, Any] = {"schedule": schedule, "engine": engine, "reading": reading}
    with Display() as display:
        if dry_run:
            how |= {"selection": Selection.read(selection, where="the options"), "options": settings}
            asked = partial(verb.Transfer, task=task, checkpoint=ckpt, adjustments=adjustments, **how)
            return seeds.explain(trials, setup, place, display.hook, lambda setup, *at: verb.explain(asked(setup=setup), *at))
        one = partial(
            api.transfer,
            task,
            ckpt,
            **how,
            settings=settings,
            progress=display.hook,
            command=command_line(),
            **selection,
            **adjustments,
        )
        done = seeds.run(trials, setup, place, lambda setup, place: one(**vars(setup), **vars(place)))
    for each in done:
        _print(each, "bench report")
    return print(*seeds.summary(done), sep="\n") if PRINTS and len(done) > 1 else None


def measure(
    ckpt: Annotated[list[str], typer.Option(help="A checkpoint, as in `bench transfer --ckpt`; may be repeated.")],
    fields: Annotated[dict[str, Any], MEASURE],
    selection: Annotated[dict[str, Any], SELECTION],
    setup: Annotated[Setup, Only("budget", "seed")],
    place: Annotated[Place, Only("data", "out", "device", "devices", "log")],
    reading: Reading,
    probe: Annotated[list[str] | None, typer.Option(help="Probing augmentation, as in --aug; may be repeated.")] = None,
    sweep: Annotated[str | None, typer.Option(help="field=value,value,... of the probe: its invariance curve.")] = None,
    splits: Annotated[int, typer.Option(help="Also measure on that many disjoint parts of the images.")] = 1,
    set_: Set = None,
) -> None:
    """Measure invariance (Linv), diversity (Ldiv) and their kin: every checkpoint under every probe."""
    from functools import partial

    from bench import api
    from bench.progress import Display
    from bench.verbs import measure as verb
    from pretrain.core.group import group
    from pretrain.core.settings import assignments

    asked = verb.cases(ckpt, probe or [], sweep, fields | assignments(set_ or []), place.out)
    with Display() as display:
        one = partial(
            api.measure,
            splits=splits,
            budget=setup.budget,
            seed=setup.seed,
            data=place.data,
            out=place.out,
            device=place.device,
            devices=place.devices,
            log=place.log,
            reading=reading,
            progress=display.hook,
            command=command_line(),
            **selection,
        )
        with group(place.device_name()):  # one for all: torch can't make it twice for the same launcher
            done = [one(checkpoint=checkpoint, settings=settings) for checkpoint, settings in asked]
    for each in done:
        _print(each, "bench report")


def _print(done: Any, after: str) -> None:
    """Print what was measured, where it lies, and what to do next."""
    from bench import summary

    if PRINTS:
        print(*summary.lines(done, after), sep="\n")
