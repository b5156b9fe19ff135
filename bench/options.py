"""Options that several commands share: their types and what their help says."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[str | None, typer.Option(help="Folder of your data, or a name below BENCH_DATA; generated data without it.")]
Classes = Annotated[
    str | None,
    typer.Option(help="imagenet100, a file of class folders (a pre-training's classes.txt), or a share, drawn with seed 0."),
]
Labels = Annotated[str | None, typer.Option(help="File of `folder: label` lines: other labels for classes.")]
Out = Annotated[Path | None, typer.Option(help="The run's folder; runs/<id> without it.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; what there is, without it.")]
Devices = Annotated[int, typer.Option(help="Processes to train in; the same command also runs under torchrun.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="field=value of the settings; may be repeated.")]
Config = Annotated[str | None, typer.Option(help="Name of a configuration (`bench ls configs`) or a YAML file.")]
Budget = Annotated[str | None, typer.Option(help="small: fits a CPU; marks the result as not the published protocol.")]
Resume = Annotated[bool, typer.Option(help="Go on from the last checkpoint (what the same command does anyway).")]
Ckpt = Annotated[str, typer.Option(help="A file, torchvision:resnet50/IMAGENET1K_V2, or random:resnet50 for an untrained one.")]
Source = Annotated[str | None, typer.Option(help="Whose file the checkpoint is (`bench ls sources`); recognised without it.")]
Branch = Annotated[
    str | None, typer.Option(help="online or momentum, of a pair of encoders; the source's own choice without it.")
]
Trust = Annotated[bool, typer.Option(help="Let the checkpoint's pickle run what is in it.")]
