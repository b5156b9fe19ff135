"""`bench transfer`: fine-tune or probe a backbone on a task."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import places
from bench.verbs import (
    SMALL,
    Finished,
    Request,
    account,
    checkpoint_ref,
    data_ref,
    execute,
    introduce,
    loaded,
    notes,
    remarks,
    slug,
)
from pretrain.core import distributed
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal
from transfer import datasets, engines, tasks
from transfer.engines import Outcome
from transfer.tasks import Task, TaskSettings

TRAINING = ("train", "linear")
"""The stages in which the engines train."""


def run(
    request: Request,
    task_name: str,
    checkpoint: str,
    *,
    schedule: str | None = None,
    engine: str | None = None,
    shortcuts: Mapping[str, int | bool | None],
    options: Mapping[str, Any],
) -> Finished:
    """Transfer a checkpoint to a task.

    Args:
        request: What all verbs are told.
        task_name: What `transfer.tasks.get` takes.
        checkpoint: What `transfer.sources.load` takes.
        schedule: One of the task's published ones; None: as the name says.
        engine: One of the task's engines; None: the first that is installed.
        shortcuts: `iters`, `batch`, `size`, `rois`, `precise_bn`, `lr_search`: each changes the protocol in its own way; None:
            as it is.
        options: Fields of the task's settings; they have the last word.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    task = tasks.get(task_name, schedule)
    request.selection.require_folders(task.name, task.layout)
    engine = engines.choose(task, engine, request.processes)
    with distributed.group(request.device_name()) as device:
        return _run(request, device, task, engine, checkpoint, shortcuts, options)


def _run(
    request: Request,
    device: str,
    task: Task,
    engine: str,
    checkpoint: str,
    shortcuts: Mapping[str, int | bool | None],
    options: Mapping[str, Any],
) -> Finished:
    """This process's part of a transfer."""
    backbone = loaded(request, checkpoint)
    engines.require_usable(backbone, engine, task, checkpoint)
    with distributed.first_alone():
        root, generated = places.data_root(request.data, task.layout, Journal(progress=request.progress))
    settings, arithmetic = _settings(request, task, generated, shortcuts, options)
    if request.processes > 1:
        distributed.divided(settings.numbers()["batch"], request.processes)
    content = datasets.read(task.layout, root, settings, **request.selection.arguments())
    data = data_ref(content.ref, generated)
    changed = settings.differences(task.settings)
    spent: list[Path] = []

    def fit(journal: Journal, folder: Path) -> Outcome:
        job = engines.Job(task, settings, backbone, content, folder, request.seed, device, journal, announce_time=not generated)
        return engines.get(engine).fit(job)

    def work(journal: Journal, folder: Path) -> dict[str, Any]:
        request.selection.save(folder, content)
        introduce(backbone, journal)
        for line in arithmetic:
            journal.say(line)
        if changed:
            journal.say(f"not the published protocol {task.protocol}; changed: {_few(sorted(changed))}")
        elif task.benchmark(data):
            for line in task.expectations():
                journal.say(f"published: {line}")
        outcome = fit(journal, folder)
        spent.extend(outcome.spent)
        return {
            "kind": "transfer",
            "task": task.name,
            "protocol": task.protocol,
            "version": task.version,
            "changed": changed,
            "engine": engine,
            "schedule": settings.schedule(),
            "checkpoint": checkpoint_ref(backbone),
            "data": data,
            "seed": request.seed,
            "metrics": dict(outcome.metrics),
            "images_per_second": _speed(journal, settings.numbers().get("batch"), data.train),
            "proof": {**account(backbone), **outcome.proof},
            "notes": notes(generated, *request.selection.remarks(), *remarks(backbone), *outcome.notes),
        }

    what = {
        "task": task.protocol,
        "version": task.version,
        "engine": engine,
        "checkpoint": backbone.sha256,
        "seed": request.seed,
    }
    plain = {
        "kind": "transfer",
        **what,
        "data": str(root.resolve()),
        "data_fingerprint": data.fingerprint,
        **request.selection.plain(),
        **settings.model_dump(mode="json"),
    }
    name = f"{task.protocol}-{slug(backbone)}-{data.name}-s{request.seed}"
    finished = execute(request, name, plain, [what, changed, data.fingerprint], work, follow=fit)
    for path in spent:
        path.unlink(missing_ok=True)
    return finished


def _speed(journal: Journal, batch: int | None, images: int) -> float | None:
    """Training images per second; None where the task trains nothing."""
    rates = [rate for stage in TRAINING if (rate := journal.rate(stage)) is not None]
    return round(rates[0] * min(batch, images), 3) if rates and batch else None


def _few(names: list[str]) -> str:
    """At most six names; the record has them all."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _settings(
    request: Request, task: Task, generated: bool, shortcuts: Mapping[str, int | bool | None], options: Mapping[str, Any]
) -> tuple[TaskSettings, list[str]]:
    """The task's settings with everything the user changed, and the arithmetic that goes with it, in words."""
    small = task.generated or task.small if generated else task.small
    settings = task.settings.replace(small if generated or request.budget == SMALL else {})
    if request.config is not None:
        where = f"the configuration {request.config}"
        settings = settings.replace(places.read_config("transfer", request.config), where=where)
    arithmetic = []
    for name, value in shortcuts.items():
        if value is None:
            continue
        change = getattr(settings, f"with_{name}", None)
        if change is None:
            fields = ", ".join(type(settings).model_fields)
            option = name.replace("_", "-")
            raise ConfigError(f"{task.name} has no --{option}", allowed=f"--set of {fields}", fix=f"leave --{option} away")
        before, settings = settings, change(value)
        both = {"before": before.numbers(), "now": settings.numbers()}
        if name == "batch" and both["before"].get("lr") != both["now"].get("lr"):
            was, now = both["before"], both["now"]
            arithmetic.append(f"learning rate {was['lr']:g} × {now['batch']} / {was['batch']} = {now['lr']:g}")
    return settings.replace(options, where=f"the settings of {task.name}"), arithmetic
