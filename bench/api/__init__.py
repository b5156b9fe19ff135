"""The Python interface: what the commands do, with the same settings, records and errors.

    from bench import api

    made = api.pretrain(method="mocov2", aug="cutmix", data="images", settings={"epochs": 100})
    run = api.transfer("linear", made.backbone, data="images")
    print(run.metrics["top1"])

Names are those of the command line, with `_` for `-`; what a command has as `--set NAME=VALUE` is an entry of `settings`.
What is asked for wrongly is a `pretrain.core.errors.BenchError`. A run that is done already is not done again, and one that
was interrupted goes on. What a command repeats (`--trials`, several `--ckpt`) is a loop here. torch is imported when needed.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from bench.api import options
from bench.api.options import Adjustments, Name, Pretraining
from bench.command import plain
from bench.options import READING, Reading, Setup

if TYPE_CHECKING:  # torch and pandas take seconds
    import pandas as pd

    from bench.verbs import Finished
    from bench.verbs.convert import Converted
    from pretrain.core.journal import Progress
    from transfer.representation.extractor import Extractor

__all__ = ["Reading", "convert", "leaderboard", "load_backbone", "measure", "pretrain", "records", "transfer"]


def pretrain(
    *,
    config: Name | None = None,
    budget: str | None = None,
    data: Name | None = None,
    out: Name | None = None,
    resume: bool = False,
    device: str | None = None,
    devices: int = 1,
    log: str | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: "Progress | None" = None,
    command: str | None = None,
    **fields: Unpack[Pretraining],
) -> "Finished":
    """Make a backbone: a method under an augmentation and a supervision regime, as `bench pretrain` does.

    Args:
        config: Name of a configuration (`bench ls configs`), or a YAML file; what is given here has the last word.
        budget: `small` fits a CPU, and marks the result as not the published recipe.
        data: Folder of images, or what else `--data` takes; None: BENCH_DATA's, or generated data.
        out: Folder of the run; None: `runs/<id>` of the working folder.
        resume: Whether a checkpoint to resume from is expected; without, it is used where there is one.
        device: `cpu`, `cuda` or `cuda:N`; None: cuda where there is one.
        devices: Processes to train in.
        log: What the run's log is also sent to: `"tensorboard,wandb,mlflow"` or some of them, or `"none"`.
        settings: Further fields by their short or whole names: `{"recipe.optimizer.momentum": 0.99}`.
        progress: Called as `progress(stage, done, total, values)` after each step, and with a total of 0 for a line of the log.
        command: What the record names as the exact command; None: the one that asks for the same.
        fields: Those with a name of their own, such as `method`, `aug`, `epochs` and `seed`.

    Returns:
        The run: its `folder`, `record`, `metrics` and `backbone` (the file), and whether it was `reused`.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
        Interrupted: If a signal stopped it; the same call goes on.
    """
    from bench.verbs import pretrain as verb

    setup, where = Setup(options.text(config), budget), options.place(data, out, resume, device, devices, log)
    wanted = plain(settings or {})
    named = {name: value for name, value in plain(fields).items() if value is not None}
    command = command or options.command("pretrain", named, (setup, where), wanted)
    with options.translated():
        return verb.run(named | wanted, setup, where, progress or options.silent, command)


def transfer(
    task: str,
    checkpoint: Name,
    *,
    schedule: str | None = None,
    engine: str | None = None,
    config: Name | None = None,
    budget: str | None = None,
    seed: int = 0,
    data: Name | None = None,
    out: Name | None = None,
    resume: bool = False,
    device: str | None = None,
    devices: int = 1,
    log: str | None = None,
    classes: str | float | Name | None = None,
    label_map: Name | None = None,
    reading: Reading = READING,
    settings: Mapping[str, Any] | None = None,
    progress: "Progress | None" = None,
    command: str | None = None,
    **adjustments: Unpack[Adjustments],
) -> "Finished":
    """Fine-tune or probe a backbone on a task, as `bench transfer` does: one seed, one run, one record.

    Args are those of `pretrain`, and: a task of `bench ls tasks` (`"coco-c4@1x"`), anything that `--ckpt` takes, how to read
    it, the classes of an image folder to use, and adjustments such as `iters` and `batch`.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
        Interrupted: If a signal stopped it; the same call goes on.
    """
    from bench.verbs import transfer as verb

    setup, where = Setup(options.text(config), budget, seed), options.place(data, out, resume, device, devices, log)
    chosen, wanted = options.chosen(classes, label_map), plain(settings or {})
    what: dict[str, Any] = {"task": task, "schedule": schedule, "engine": engine}
    asked = verb.Transfer(
        **what,
        checkpoint=os.fspath(checkpoint),
        adjustments=plain(adjustments),
        options=wanted,
        setup=setup,
        reading=reading,
        selection=options.selection(chosen),
    )
    what |= {"ckpt": checkpoint, **chosen, **adjustments}
    command = command or options.command("transfer", what, (setup, where, reading), wanted)
    with options.translated():
        return verb.run(asked, where, progress or options.silent, command)


def measure(
    checkpoint: Name,
    *,
    probe: str | None = None,
    splits: int = 1,
    budget: str | None = None,
    seed: int = 0,
    data: Name | None = None,
    out: Name | None = None,
    device: str | None = None,
    devices: int = 1,
    log: str | None = None,
    classes: str | float | Name | None = None,
    label_map: Name | None = None,
    on_bad_image: Literal["stop", "skip"] | None = None,
    reading: Reading = READING,
    settings: Mapping[str, Any] | None = None,
    progress: "Progress | None" = None,
    command: str | None = None,
) -> "Finished":
    """Measure invariance (Linv), diversity (Ldiv) and their kin, as `bench measure` does for one checkpoint and one probe.

    Args are those of `transfer`, and: the probing augmentation, with its fields as `settings={"probe_options": {...}}`, and
    into how many disjoint parts the images are also split.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    from bench.verbs import measure as verb

    setup, where, chosen = (
        Setup(budget=budget, seed=seed),
        options.place(data, out, False, device, devices, log),
        options.chosen(classes, label_map),
    )
    wanted = plain(settings or {})
    named = {name: value for name, value in (("probe", probe), ("on_bad_image", on_bad_image)) if value is not None}
    asked = verb.Measure(
        options=named | wanted, splits=splits, setup=setup, reading=reading, selection=options.selection(chosen)
    )
    what = {"ckpt": checkpoint, **named, "splits": splits if splits > 1 else None, **chosen}
    command = command or options.command("measure", what, (setup, where, reading), wanted)
    with options.translated():
        return verb.run(asked, os.fspath(checkpoint), where, progress or options.silent, command)


def convert(
    checkpoint: Name,
    to: str,
    out: Name,
    *,
    norm_rescale: str | None = None,
    scope: str = "params",
    audit: Name | None = None,
    reading: Reading = READING,
    progress: "Progress | None" = None,
) -> "Converted":
    """Write a backbone as another tool reads it, as `bench convert` does: `to` is torchvision, timm, detectron2 or mmseg.

    Returns:
        The `file`, and `about`: the JSON beside it that says how to use it.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    from bench.verbs import convert as verb

    images = None if audit is None else Path(audit)
    rescaling: dict[str, Any] = {"norm_rescale": norm_rescale, "scope": scope}
    with options.translated():
        return verb.run(
            os.fspath(checkpoint), to, Path(out), progress or options.silent, reading=reading, audit=images, **rescaling
        )


def load_backbone(checkpoint: Name, *, size: int | None = None, reading: Reading = READING) -> "Extractor":
    """Load any checkpoint as a `torch.nn.Module`: normalised images (N, 3, S, S) → pooled features (N, D).

    Its `preprocess(image)` makes of a file or of Pillow's image the (3, S, S) that it takes, as the probes do; `maps(images)`
    are its feature maps. It is in eval mode, and its weights can be trained.

    Args:
        checkpoint: Anything that `--ckpt` takes: a file, a folder, `torchvision:resnet50/IMAGENET1K_V2`, ...
        size: S, pixels along each side of a preprocessed image; None: 224.
        reading: How to read it, where the file doesn't tell.

    Raises:
        CheckpointError: If it holds no backbone that can be read.
        ConfigError: If the architecture takes no images of that size.
    """
    from pretrain.backbones import PUBLISHED_SIZE
    from transfer.representation.extractor import Extractor

    with options.translated():
        return Extractor(reading.load(os.fspath(checkpoint)), PUBLISHED_SIZE if size is None else size)


def records(*folders: Name) -> "pd.DataFrame":
    """Read every `result.json` below some folders (`runs` without any): one line for each run.

    The columns are the record's fields: `task`, `seed`, `metrics.top1`, `checkpoint.provenance.aug`; `path` is the file.
    What can't be read is left out with a warning.

    Raises:
        RecordError: If there is no good record.
    """
    from bench.report import tables

    return tables.records(options.folders(folders))


def leaderboard(*folders: Name, interests: Mapping[str, float] | None = None) -> "pd.DataFrame":
    """Pool the records below some folders (`runs` without any) as `bench report` does: one line for each row and column.

    A line has the pre-training's fields (`method`, `aug`, ...), the `protocol`, the `metric` with its `mean` and `std`, of how
    many pre-trainings and trials, whether it is among the `best`, and what is known of its difference to its baseline:
    `answer`, `difference`, `low`, `high`. What can't be read is left out with a warning.

    Args:
        folders: Folders of runs.
        interests: Metric → smallest difference of interest, where it isn't the declared one.

    Raises:
        RecordError: If there is no good record.
    """
    from bench.report import tables

    return tables.leaderboard(options.folders(folders), interests)
