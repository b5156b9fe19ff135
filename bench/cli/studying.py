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
) -> None:
    """Say what would run, and what it costs; all that is wrong in the file at once."""
    from bench.verbs import study as verb

    verb.plan(file, found or [], devices, as_json=as_json)
