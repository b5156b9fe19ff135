"""The commands about data: `bench data check`."""

from typing import Annotated

import typer

from bench.options import Classes, Data, Labels, Set

app = typer.Typer(help="Look at data before a run does.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group of commands, though there is one."""


@app.command()
def check(
    task: Annotated[str, typer.Option(help="Whose data it is: a task of `bench ls tasks`, or pretrain or measure.")],
    data: Data = None,
    classes: Classes = None,
    label_map: Labels = None,
    set_: Set = None,
    images: Annotated[bool, typer.Option(help="Open every image and compare its size with the annotated one.")] = True,
    make: Annotated[bool, typer.Option("--make", help="Make Cityscapes' missing training ids; overwrites nothing.")] = False,
) -> None:
    """List what is in a data set and what is wrong with it; exit code 2 where a run would stop."""
    from bench.progress import Display
    from bench.selection import Selection
    from bench.verbs import Request
    from bench.verbs import data as verb
    from pretrain.core.settings import assignments

    with Display() as display:
        request = Request(display.hook, data, selection=Selection.asked(classes, label_map))
        good = verb.check(request, task, assignments(set_ or []), images=images, make=make)
    if not good:
        raise SystemExit(2)
