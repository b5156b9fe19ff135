"""The commands that make no run: they draw, check, convert, gather and list."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli import completion, listing
from bench.cli.groups import Only
from bench.cli.reporting import Report
from bench.cli.tables import SELECTION, VIEWS
from bench.options import Ckpt, Json, Place, Reading, Runs, Set, Setup


def views(
    fields: Annotated[dict[str, Any], VIEWS],
    setup: Annotated[Setup, Only("config", "budget")],
    place: Annotated[Place, Only("data")],
    set_: Set = None,
    images: Annotated[int, typer.Option(help="Rows of the grid.")] = 6,
    out: Annotated[Path, typer.Option(help="The picture, a PNG; an older one is replaced.")] = Path("views.png"),
) -> None:
    """Draw what the network will see under an augmentation: look before you train."""
    from bench.progress import Display
    from bench.verbs import views as verb
    from pretrain.core.settings import assignments

    with Display() as display:
        drawn = verb.run(fields | assignments(set_ or []), setup, place, display.hook, out, images)
    print(drawn)


def check(
    task: Annotated[str, typer.Option(help="Whose data it is: a task of `bench ls tasks`, or pretrain or measure.")],
    selection: Annotated[dict[str, Any], SELECTION],
    place: Annotated[Place, Only("data")],
    set_: Set = None,
    images: Annotated[bool, typer.Option(help="Decode every image as a run does.")] = True,
    headers: Annotated[
        bool, typer.Option("--headers", help="Read the images' headers alone: faster, and promises less.")
    ] = False,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Also list pictures that are there more than once, by their pixels.")
    ] = False,
    make: Annotated[bool, typer.Option("--make", help="Make Cityscapes' missing training ids; overwrites nothing.")] = False,
    as_json: Json = False,
) -> None:
    """List what is in a data set and what is wrong with it; exit code 2 where a run would stop."""
    from functools import partial

    from bench import output
    from bench.progress import Display
    from bench.selection import Selection
    from bench.verbs import checked
    from bench.verbs import data as verb
    from pretrain.core.settings import assignments

    chosen = Selection.read(selection, where="the options")
    looks = verb.looks(images=images, headers=headers, duplicates=duplicates)
    check = partial(verb.check, task, place.data, chosen, assignments(set_ or []))
    with Display() as display:
        found = check(display.hook, looks=looks, copies=duplicates, make=make)
    if as_json:
        found.show()
    else:
        checked.show(found, output.console())
    if not found.good:
        raise SystemExit(2)


def arrange(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="Folder of another tool's export; it is never changed.")],
    target: Annotated[Path, typer.Argument(metavar="TO", help="Folder to write, new or empty.")],
    as_: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="coco, voc, cityscapes, imagefolder, or crops (an image folder of the objects); the usual one without it.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Names such as cat,dog, or a file with one a line, with its colour or without: where the export "
            "names none, in the order of their numbers; otherwise those to keep."
        ),
    ] = None,
    val: Annotated[
        str | None, typer.Option(help="Validation images, where the export has none: a share such as 0.1, or a list of names.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw of validation images.")] = 0,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the files instead of linking to them.")] = False,
) -> None:
    """Write another tool's export in a layout that is read here: links to the images, annotations written anew."""
    from bench.progress import Display
    from bench.verbs import arrange as verb
    from transfer.arrange.work import Wanted

    with Display() as display:
        verb.run(source, target, Wanted(as_, classes, val, seed, copy), display.hook)


def convert(
    ckpt: Ckpt,
    to: Annotated[str, typer.Option(help="torchvision, timm, detectron2 or mmseg.", autocompletion=completion.of("targets"))],
    out: Annotated[Path, typer.Option(help="The file to write; OUT.json beside it says how to use it.")],
    reading: Reading,
    norm_rescale: Annotated[
        str | None, typer.Option(help="Bring LARS-trained norms down: a factor such as 0.1, or an SGD-trained checkpoint.")
    ] = None,
    scope: Annotated[
        str, typer.Option(help="What --norm-rescale changes: params, or all for running statistics, too.")
    ] = "params",
    audit: Annotated[
        Path | None, typer.Option(metavar="DATA", help="Images whose statistics are compared with those of its norms.")
    ] = None,
) -> None:
    """Write a backbone as another tool reads it."""
    from bench import api
    from bench.progress import Display

    how: dict[str, Any] = {"norm_rescale": norm_rescale, "scope": scope, "audit": audit, "reading": reading}
    with Display() as display:
        done = api.convert(ckpt, to, out, progress=display.hook, **how)
    print(f"done: {done.file}\n  how to use it: {done.about}")


def card(
    run: Annotated[str, typer.Argument(help="Folder of a pre-training; with --hub also a checkpoint, as --ckpt takes it.")],
    reading: Reading,
    runs: Runs = None,
    out: Annotated[Path | None, typer.Option(help="The file; card.md in the run's folder without it.")] = None,
    hub: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a folder for the Hugging Face hub, which timm loads by itself."),
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="With --hub: the license, such as apache-2.0; to be filled in without it.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With --hub: replace files that differ.")] = False,
) -> None:
    """Write the model card of a backbone, with the table of its transfers."""
    from bench import report as make
    from pretrain.core.errors import ConfigError

    folders = runs or [folder for folder in (Path("runs"),) if folder.is_dir()]
    if hub is None:
        alone = {"--license": license_, "--overwrite": overwrite, "--source and its like": reading != Reading()}
        if said := [name for name, given in alone.items() if given]:
            raise ConfigError(f"{', '.join(said)}: only with --hub", fix="give --hub FOLDER, too")
        written, whole = make.describe(Path(run), folders, out)
        print(f"done: {written}")
    elif out is not None:
        raise ConfigError("--out is the file of a card without --hub", seen=f"--out {out}", fix="leave one of them away")
    else:
        whole = _for_hub(run, hub, folders, {"license_id": license_, "overwrite": overwrite, "reading": reading})
    if not whole:
        raise SystemExit(2)


def _for_hub(checkpoint: str, hub: Path, runs: list[Path], how: dict[str, Any]) -> bool:
    """Write the folder, and say what was written and what to do; returns whether every record was read."""
    from bench.progress import Display
    from bench.verbs import card as verb

    with Display() as display:
        done = verb.for_hub(checkpoint, hub, runs, display.hook, **how)
    print(f"done: {done.folder}; written: {', '.join(done.files) or 'nothing, for all was the same'}")
    if how["license_id"] is None:
        print(f"  license: add `license:` to the head of {done.folder / verb.README}, or give --license")
    print(f"  to load it: timm.create_model('local-dir:{done.folder}', pretrained=True, num_classes=0)")
    for problem in done.problems:
        print(f"left out: {problem.message}")
    print(f"next: {done.upload}")
    return not done.problems


def demo(
    out: Report = None,
) -> None:
    """Run end to end on generated data, in minutes: nine pre-trainings, four tasks, the leaderboard and what it says."""
    from bench.verbs import demo as verb

    verb.run(out or Path())


def list_(
    what: Annotated[str, typer.Argument(help=f"One of {', '.join(listing.LISTS)}.")] = "lists",
    name: Annotated[
        str | None, typer.Argument(help="One of them, such as the task coco-c4@1x: its settings and what to expect.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what exists."""
    listing.show(what, name, as_json=as_json)


def doctor(as_json: Json = False) -> None:
    """Show versions, devices, engines, data roots, and what to do about what is missing."""
    from bench.verbs import doctor as verb

    verb.show(as_json=as_json)
