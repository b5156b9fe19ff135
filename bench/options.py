"""Options that several commands share, each declared once. Most come in groups, which the verbs take as they are."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pretrain.core import loggers
from pretrain.core.errors import ConfigError

if TYPE_CHECKING:  # the command line answers `--help` without torch
    from pretrain.core.journal import Journal
    from transfer.sources import Backbone

SMALL = "small"
"""The only budget: settings that fit a CPU."""
SEEDS = 2**32

Ckpt = Annotated[
    str,
    typer.Option(
        help="Checkpoint: a file or folder, torchvision:resnet50/IMAGENET1K_V2, timm:resnet50.a1_in1k, "
        "hf:OWNER/NAME, https://HOST/FILE, or random:resnet50 for an untrained one; all forms: `bench ls sources`."
    ),
]
Set = Annotated[list[str] | None, typer.Option("--set", help="field=value of the settings; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead, and nothing else, on standard output.")]
Runs = Annotated[list[Path] | None, typer.Option(help="Folder of runs; may be repeated; runs/ without it.")]


@dataclass(frozen=True)
class Setup:
    """Settings to start from."""

    config: Annotated[str | None, typer.Option(help="Name of a configuration (`bench ls configs`), or a YAML file.")] = None
    budget: Annotated[str | None, typer.Option(help="small: fits a CPU; marks the result as not the published protocol.")] = (
        None
    )
    seed: Annotated[int, typer.Option(help="Seed of everything random in this run.")] = 0

    def __post_init__(self) -> None:
        if self.budget not in (None, SMALL):
            raise ConfigError.unknown("budget", str(self.budget), [SMALL])
        if not 0 <= self.seed < SEEDS:
            raise ConfigError("a seed has 32 bits", seen=self.seed, allowed=f"0 to {SEEDS - 1}")


@dataclass(frozen=True)
class Place:
    """Data, folder and devices."""

    data: Annotated[
        str | None,
        typer.Option(
            help="Folder of your data, or a name below BENCH_DATA; of images also tars or tables, as in 'in/train-*.tar'; "
            "generated data without it."
        ),
    ] = None
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/<id> without it.")] = None
    resume: Annotated[
        bool, typer.Option(help="Resume from the last checkpoint, which the same command does without it, too.")
    ] = False
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N; without it, cuda where there is one.")] = None
    devices: Annotated[int, typer.Option(help="Processes to train in; the same command also runs under torchrun.")] = 1
    log: Annotated[
        str | None,
        typer.Option(
            help="What the run's log is also sent to: tensorboard, wandb, mlflow, joined by commas, or none; tensorboard "
            "without it, where it is installed."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise ConfigError("at least one device is needed", seen=f"--devices {self.devices}")
        loggers.chosen(self.log)  # a package that is missing is said before any work

    @property
    def loggers(self) -> tuple[str, ...]:
        """Name what the run's log is also sent to."""
        return loggers.chosen(self.log)

    @property
    def processes(self) -> int:
        """Processes that the training runs in: the launcher's, if one started this process, or those asked for."""
        from pretrain.core import launcher

        return launcher.processes() if launcher.launched() else self.devices

    def device_name(self) -> str:
        """Name the device: `cpu`, `cuda` or one GPU's `cuda:N`, as asked, or cuda where there is one.

        Raises:
            ConfigError: As `pretrain.core.devices.choose`.
        """
        from pretrain.core import devices

        return devices.choose(self.device, self.devices)


@dataclass(frozen=True)
class Reading:
    """How to read the checkpoint."""

    source: Annotated[
        str | None, typer.Option(help="Codebase that wrote the checkpoint (`bench ls sources`); recognised without it.")
    ] = None
    branch: Annotated[
        str | None, typer.Option(help="online or momentum, of a pair of encoders; the source's own choice without it.")
    ] = None
    prefix: Annotated[
        str | None,
        typer.Option(help="What stands before the backbone's names in the checkpoint, such as encoder. or state_dict/encoder."),
    ] = None
    provenance: Annotated[
        str | None,
        typer.Option(
            help="What the checkpoint can't tell, such as method=simclr,aug=mixup,epochs=200; also supervision, data, ..."
        ),
    ] = None
    input_order: Annotated[
        str | None,
        typer.Option(help="Order of the channels that the checkpoint's network sees, where nothing says it: RGB or BGR."),
    ] = None
    mean: Annotated[
        str | None,
        typer.Option(help="Mean that is taken from its pixels, such as 0.5 or 103.53,116.28,123.675 (above 1: of 0 to 255)."),
    ] = None
    std: Annotated[
        str | None, typer.Option(help="Deviation that its pixels are divided by, likewise; 1/255 is a number, too.")
    ] = None
    eps: Annotated[float | None, typer.Option(help="What its norms add to a variance, such as 1e-3.")] = None
    stride_in: Annotated[
        str | None, typer.Option(help="Convolution of its bottlenecks that is strided: 3x3, or 1x1 as in Caffe's ResNets.")
    ] = None
    trust_checkpoint: Annotated[
        bool, typer.Option("--trust-checkpoint", help="Let the checkpoint's pickle run the code in it.")
    ] = False

    def load(self, checkpoint: str, journal: "Journal | None" = None) -> "Backbone":
        """Read a checkpoint's backbone; the journal is told what is fetched.

        Raises:
            CheckpointError: If it holds none that can be read.
            ConfigError: If `--provenance` is no list of field=value.
        """
        from pretrain.core.settings import assignments
        from transfer import sources

        told = assignments((word for word in (self.provenance or "").split(",") if word.strip()), "--provenance")
        how = {"source": self.source, "branch": self.branch, "prefix": self.prefix}
        return sources.load(checkpoint, **how, told=told, recipe=self.recipe(), trust=self.trust_checkpoint, journal=journal)

    def recipe(self) -> dict[str, Any]:
        """Return what the options say of the network, by the names that `transfer.sources.recipe` has."""
        return {
            "order": self.input_order and self.input_order.upper(),
            "mean": _numbers(self.mean),
            "std": _numbers(self.std),
            "eps": self.eps,
            "stride": self.stride_in and self.stride_in.lower(),
        }


def _numbers(text: str | None) -> Any:
    """Read `0.5`, `1/255` or three such, joined by commas or blanks; the text itself where it is none, for who checks it."""
    if text is None:
        return None
    try:
        values = [float(Fraction(word)) for word in re.split(r"[,\s]+", text.strip("[]() "))]
    except (ValueError, ZeroDivisionError, OverflowError):
        return text
    return values[0] if len(values) == 1 else values


SETUP, READING = Setup(), Reading()
"""The groups where no option was given."""
