"""A finished run in a few lines: what was measured, where it lies, what to do next."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from bench.verbs import Finished
from pretrain import backbones
from transfer import engines, tasks
from transfer.metrics import metric

DETECTION, PROBE = "coco-c4", "linear"


def first_task(done: Finished) -> str:
    """Name the task that a backbone just made is for: detection, or a probe where no detector takes its family."""
    family = backbones.get(str(done.record.checkpoint.provenance.arch)).family
    taken = any(engines.ENGINES[name].takes_family(family) for name in tasks.get(DETECTION).engines)
    return DETECTION if taken else PROBE


def first_transfer(done: Finished, data: str | None, budget: str | None) -> str:
    """Write the first command for a backbone just made: neighbours on its own images, where they have `val/`."""
    own = data is not None and (Path(data) / "val").is_dir()
    words = ["--task", "knn", "--data", str(data)] if own else ["--task", first_task(done)]
    words += ["--ckpt", str(done.backbone), *(("--budget", budget) if budget else ())]
    return shlex.join(["bench", "transfer", *words])


def lines(done: Finished, after: str) -> Iterator[str]:
    """One line per metric with its interval and its direction, between the record's place and what comes `after`."""
    record = done.record
    yield f"{'already done' if done.reused else 'done'}: {done.folder / 'result.json'}"
    if record.kind == "measure":
        yield f"{record.protocol}, {record.checkpoint.provenance.arch} of {record.checkpoint.sha256[:12]}"
    for name, value in record.metrics.items():
        between = "  [{:.4g}, {:.4g}]".format(*record.intervals[name]) if name in record.intervals else ""
        meaning, digits = metric(name).meaning, 2 if metric(name).digits else 0
        text = "absent" if value is None else f"{value:.4g}" if between else f"{value:.{digits}f}"
        yield f"  {name:<20} {text}{between}" + (f"  ({meaning})" if meaning else "")
    yield from (f"  note: {note}" for note in record.notes)
    yield f"next: {after}"
