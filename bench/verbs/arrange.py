"""`bench data arrange`: write another tool's export as one of the project's layouts, and say what to do next."""

import shlex
from pathlib import Path

from pretrain.core.journal import Progress
from pretrain.core.machine_errors import translating_os_errors
from transfer.arrange import FORMATS
from transfer.arrange.work import Arranged, Wanted, arrange
from transfer.tasks import TASKS

TASK = {"coco": "coco-c4", "voc": "voc07", "cityscapes": "cityscapes", "imagefolder": "linear", "crops": "linear"}
"""Layout → the task whose check is advised."""
BOXES = "coco-c4-box"
"""The task for objects without masks."""


def run(source: Path, target: Path, wanted: Wanted, progress: Progress) -> None:
    """Arrange an export and print what was done.

    Raises:
        BenchError: If the export can't be read, or the folder can't be written.
    """
    with translating_os_errors("write the arranged data", target):
        done = arrange(source, target, wanted, progress)
    print("\n".join(lines(done, target)))


def lines(done: Arranged, target: Path) -> list[str]:
    """Describe what was done: format, layout, counts, what was left out, the next command."""
    found = [f"done: {FORMATS[done.format].title} → {target} in the layout {done.layout}"]
    found += [f"  {what}: {train} in train, {val} in val" for what, (train, val) in done.counts.items() if what != "classes"]
    found += [f"  classes: {done.counts['classes'][0]}"] if "classes" in done.counts else []
    found += [f"  to know: {note}" for note in done.notes]
    return [*found, f"  next: bench data check --task {_task(done)} --data {shlex.quote(str(target))}"]


def _task(done: Arranged) -> str:
    return BOXES if done.layout == "coco" and not done.masks and BOXES in TASKS else TASK[done.layout]
