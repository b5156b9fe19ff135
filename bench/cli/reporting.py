"""The command `bench report`: it gathers, compares, prints, or serves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.options import Json, Runs

PORT = 8642
"""Where `bench report --serve` listens unless told."""

Report = Annotated[
    Path | None, typer.Option(help="Folder for leaderboard.md, .csv, .tex, .json and .html; the working folder without it.")
]


def report(
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="More folders of runs.")] = None,
    runs: Runs = None,
    out: Report = None,
    diff: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Only show what changed from one folder of runs to another.")
    ] = None,
    interest: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=SIZE", help="Smallest difference of interest, such as top1=0.3; smaller ones are ≈."),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Report the cells of this study file, those to come, too.")
    ] = None,
    found: Annotated[
        list[Path] | None, typer.Option(help="With --study: folder whose records count as done, too; may be repeated.")
    ] = None,
    as_json: Json = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the page to this machine alone, made anew as runs end; write nothing.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help=f"With --serve: port to listen on; {PORT} without it, 0 for a free one."),
    ] = None,
) -> None:
    """Gather every result into a leaderboard."""
    from rich.console import Console

    from bench import report as make
    from bench.report.interests import interests

    folders = [*(runs or ()), *(more or ())]
    _require_agreeing(folders, out, diff, interest or (), study, found or ())
    _require_serving(serve, port, {"--diff": diff, "--out": out, "--json": as_json or None})
    console = Console(quiet=as_json)
    if serve:
        whole = _served(folders or [Path("runs")], interests(interest or ()), study, found or (), port)
    elif diff:
        whole = make.compare(*diff, as_json=as_json)
    elif study:
        from bench.verbs import study_report

        whole = _told(study_report.run(study, found or [], out or Path(), interests(interest or ()), console), as_json)
    else:
        whole = _told(make.report(folders or [Path("runs")], out or Path(), console, interests(interest or ())), as_json)
    if not whole:
        raise SystemExit(2)


def _served(
    folders: Sequence[Path], interests: Mapping[str, float], study: Path | None, found: Sequence[Path], port: int | None
) -> bool:
    """Serve the page until Ctrl-C."""
    from bench.report import serving, sources
    from bench.verbs import study_report
    from pretrain.core.interrupt import Stopped

    source = study_report.Cells.here(study, found, interests) if study else sources.Folders.here(folders, interests)
    try:
        serving.serve(source, PORT if port is None else port, lambda text: print(text, flush=True))
    except Stopped:
        print("ended")
    return True


def _require_serving(serve: bool, port: int | None, others: Mapping[str, object]) -> None:
    """Refuse options that make no sense with a server, or without one."""
    from pretrain.core.errors import ConfigError

    if port is not None and not serve:
        raise ConfigError("--port belongs to --serve", fix="add --serve, or leave --port away")
    given = [name for name, value in others.items() if value is not None]
    if serve and given:
        seen = f"--serve and {', '.join(given)}"
        raise ConfigError("--serve shows the page and writes nothing", seen=seen, fix="leave the rest away")


def _require_agreeing(
    folders: Sequence[Path],
    out: Path | None,
    diff: tuple[Path, Path] | None,
    interest: Sequence[str],
    study: Path | None,
    found: Sequence[Path],
) -> None:
    """Refuse options of a report that contradict each other."""
    from pretrain.core.errors import ConfigError

    if found and not study:
        raise ConfigError("--found belongs to --study", fix="name the study file, or the folders of runs alone")
    if study and (diff or folders):
        seen = "--study and " + ("--diff" if diff else ", ".join(map(str, folders)))
        fix = "name folders with records of the study by --found"
        raise ConfigError("--study reports the records of its own cells", seen=seen, fix=fix)
    others = [*map(str, folders), *(f"--interest {text}" for text in interest), *([] if out is None else [f"--out {out}"])]
    if diff and others:
        seen = f"--diff and {', '.join(others)}"
        raise ConfigError("--diff compares its own two folders, and writes nothing", seen=seen, fix="leave the rest away")


def _told(made: Any, as_json: bool) -> bool:
    """Say what a report wrote, or all that it decides; return whether every record was read."""
    from bench.report import answer

    if as_json:
        answer.reported(made.content, made.written).show()
    else:
        print("written:", ", ".join(map(str, made.written)))
    return not made.problems
