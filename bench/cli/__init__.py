"""The command line: options in, one verb called, a few lines out. Everything heavy is imported inside the commands."""

import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench import FIRST, __version__, command_line
from bench.cli import making, reporting, showing, studying
from bench.cli.groups import expanded
from bench.cli.hints import Command

COMMANDS: dict[str, Callable[..., None]] = {
    "init": making.init,
    "pretrain": making.pretrain,
    "views": showing.views,
    "transfer": making.transfer,
    "measure": making.measure,
    "convert": showing.convert,
    "report": reporting.report,
    "card": showing.card,
    "demo": showing.demo,
    "ls": showing.list_,
    "doctor": showing.doctor,
}
"""Command → its function, in the order of the help."""

_AT_HOME = re.compile(r"^(--[\w-]+=)~/")
"""Matches paths that begin at home, and that no shell expands."""

app = typer.Typer(
    help="Pre-train backbones, transfer them to detection and segmentation, and compare: pretrain → transfer → report.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
for _name, _command in COMMANDS.items():
    app.command(_name, cls=Command)(expanded(_command))

_data = typer.Typer(help="Look at data before a run does.", no_args_is_help=True)
_data.command("check")(expanded(showing.check))
_data.command("arrange")(expanded(showing.arrange))
app.add_typer(_data, name="data")

STUDY: dict[str, Callable[..., None]] = {
    "plan": studying.plan,
    "run": studying.run,
    "status": studying.status,
    "retry": studying.retry,
    "stop": studying.stop,
    "cell": studying.cell,
}
"""Command of `bench study` → its function."""
_study = typer.Typer(help="One file, hundreds of runs: plan, run and watch them.", no_args_is_help=True)
for _name, _command in STUDY.items():
    _study.command(_name)(expanded(_command))
app.add_typer(_study, name="study")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of `bench` itself."""


def main() -> None:
    """Run a command. A user's mistake is one message and exit code 2, a signal one line and its own exit code; anything else
    is a bug and keeps its traceback.
    """
    from bench.runs import outcome
    from pretrain.core import interrupt, launcher, machine_errors
    from pretrain.core.errors import BenchError

    _escape_unprintable()
    sys.argv[1:] = [_AT_HOME.sub(lambda found: found[1] + os.path.expanduser("~/"), word) for word in sys.argv[1:]]
    try:
        with outcome.noted(), interrupt.at_once(), machine_errors.translating_os_errors("write here", Path()):
            app()
        return
    except interrupt.Interrupted as stop:
        code = stop.code
        if stop.saved and FIRST:
            _complain(f"stopped by {stop.by.name}; saved: {stop.saved}; to go on: {command_line()}")
    except interrupt.Stopped as stop:
        code = stop.code
        if FIRST:
            _complain(f"stopped at once by {stop.by.name}; the same command starts again")
    except BenchError as error:
        code = error.EXIT
        if FIRST if error.prints is None else error.prints:
            _complain(str(error) if FIRST else f"process {os.environ['RANK']}: {error}")
    except Exception:
        if not launcher.abandoned():
            raise
        code = 1
        traceback.print_exc()
    launcher.leave(code)


def _escape_unprintable() -> None:
    """Escape what the terminal's encoding can't write, such as the name of a class in other letters."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _complain(message: str) -> None:
    print(f"bench: {message}", file=sys.stderr, flush=True)
