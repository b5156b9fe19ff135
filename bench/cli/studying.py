"""The commands of `bench study`: one file, hundreds of runs."""

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Argument(help="The study file.")]
Elsewhere = Annotated[
    list[Path] | None, typer.Option("--found", help="Folder whose records count as done, too; may be repeated.")
]


def plan(
    file: File,
    found: Elsewhere = None,
    devices: Annotated[int, typer.Option(help="Devices to forecast the wall time on.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print every cell with its command, for other engines.")] = False,
    snakefile: Annotated[Path | None, typer.Option(help="Write what is to do as a Snakefile there.")] = None,
) -> None:
    """Say what would run, and what it costs; all that is wrong in the file at once."""
    from bench.verbs import study as verb

    verb.plan(file, found or [], devices, as_json=as_json, snakefile=snakefile)


def run(
    file: File,
    found: Elsewhere = None,
    on: Annotated[str, typer.Option(help="Where: local, this machine's devices; slurm, a cluster's.")] = "local",
    devices: Annotated[str | None, typer.Option(help="GPUs to use, such as 0,1; all of them without it.")] = None,
    workers: Annotated[int | None, typer.Option(help="Instead of GPUs: cells at a time on the CPU.", min=1)] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show what runs, how far it is, and when all will be done.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be started, and in which order.")] = False,
) -> None:
    """Run what is not done, in parallel; may be stopped, and goes on with the same command."""
    from bench.verbs import study as verb

    options = {"devices": devices, "workers": workers}
    raise SystemExit(verb.run(file, found or [], on, options, watch=watch, dry_run=dry_run))


def status(
    file: File,
    found: Elsewhere = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until nothing is left to do.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed or is impossible, with its message.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As `plan --json`.")] = False,
) -> None:
    """Say what has become of the cells."""
    from bench.verbs import study as verb

    verb.status(file, found or [], watch=watch, failed=failed, as_json=as_json)


def retry(
    file: File,
    cells: Annotated[list[str] | None, typer.Argument(metavar="[CELL]...", help="Ids, or names of folders.")] = None,
    found: Elsewhere = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that have failed.")] = False,
) -> None:
    """Let `run` start failed cells again."""
    from bench.verbs import study as verb

    verb.retry(file, cells or [], found or [], failed=failed)


def stop(
    file: File,
    now: Annotated[bool, typer.Option("--now", help="Let what runs save and stop, too.")] = False,
) -> None:
    """Let nothing more be started, until `run` is given again."""
    from bench.verbs import study as verb

    verb.stop(file, now=now)


def cell(
    file: File,
    names: Annotated[list[str], typer.Argument(metavar="CELL...", help="Ids, beginnings of them, or names of folders.")],
    found: Elsewhere = None,
    wait: Annotated[bool, typer.Option("--wait", help="If another process runs it, wait for that one's end.")] = False,
    on: Annotated[str, typer.Option(help="As what: slurm, a job that `run --on slurm` submitted.")] = "local",
) -> None:
    """Do one cell here, or several one after another."""
    from bench.verbs import study as verb

    raise SystemExit(verb.cell(file, names, on, found or [], wait=wait))
