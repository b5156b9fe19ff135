"""`bench demo`: a study on generated data, from pre-training to a leaderboard and what it says, and its file to start from."""

import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from bench import places, report
from bench.progress import Display
from bench.report import differences, words
from bench.report.content import Content
from bench.study import live, local
from bench.study import plan as planning
from bench.study.plan import StudyPlan
from pretrain.core import atomic
from pretrain.core.devices import precision_of
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal
from transfer.shapes.kinds import FABRICS

FILE = Path("demo.yaml")
WORKERS = 2
"""Runs at a time."""
SAID = {"linear-cached": "top1"}
"""Task → metric of the comparisons that are written out."""
HOW_TO_READ = (
    "How to read it: a row is a pre-training, a column a task that its backbone was tried on. ± is the standard deviation",
    "over seeds; a number without it is of one seed, and says nothing of the next one (◇). ▲ ▼ hold for other seeds, too.",
    "What it doesn't say: anything of photographs. The images are made so that two cores can learn from them in minutes.",
)


def run(out: Path) -> None:
    """Run what is not done yet, print the leaderboard and what it says, write it into `out`, and say what it cost.

    Raises:
        ConfigError: If the working folder has a `demo.yaml` that can't be used, or a run failed.
    """
    began = time.monotonic()
    write_file()
    plan = planning.read(FILE)
    console, screen = Console(), Console(stderr=True)
    before = _reused(plan)
    screen.print(
        f"demo: {len(plan.cells)} runs, {WORKERS} at a time, {before} of them done; 8 to 20 minutes on 2 cores for all"
    )
    with Display() as display:
        places.generated(Journal(progress=display.hook), FABRICS.name)
    with live.Screen(screen) as shown:
        code = local.run(FILE, (), {"workers": WORKERS}, _quiet if screen.is_terminal else shown.say, shown.show)
    if code:
        raise ConfigError(
            "the demo is not whole", seen=f"`bench study status {FILE} --failed`", fix="mend that, and run it again"
        )
    content = report.read([cell.folder for cell in plan.cells.values()])
    written = report.publish(content, out, console, claims=False).written
    for line in ("", *HOW_TO_READ, "", *said(content)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    _account(content, console, written, before, time.monotonic() - began)


def write_file() -> None:
    """Write the study into the working folder, in the precision of this processor; one that is there stays as it is."""
    if not FILE.exists():
        text = places.configs("study")[FILE.stem].read_text(encoding="utf-8")
        fitting = text.replace("precision: bf16", f"precision: {precision_of('cpu')}")
        with atomic.replacing(FILE) as file:
            file.write(fitting.encode())


def said(content: Content) -> Iterator[str]:
    """Write out the comparison of each row with its control, in the metrics of `SAID`."""
    labels = words.labels(content.board.rows)
    for column in content.board.columns:
        task = column.protocol.key.task
        if SAID.get(task) == column.name:
            yield f"What it says, in {task} {column.name}:"
            for row, label in enumerate(labels):
                found = content.differences.get((row, column.index))
                if found is not None:
                    yield f"  {differences.mark(found)} {label}: {differences.difference(found, 1, labels)}"


def _account(content: Content, console: Console, written: tuple[Path, ...], reused: int, seconds: float) -> None:
    records = [entry.record for entry in content.board.entries]
    files = ", ".join(map(str, written))
    console.print(f"\n{len(records)} runs in runs/, {reused} of them reused; {FILE} asks for them, and the table is in {files}")
    most = max((record.peak_memory_mib or 0 for record in records), default=0) / 1024
    console.print(f"demo: {seconds:.0f} wall seconds, at most {most:.2f} GiB for each of {WORKERS} runs at a time")


def _reused(plan: StudyPlan) -> int:
    return sum(cell.output.is_file() for cell in plan.cells.values())


def _quiet(line: str) -> None:
    """Say nothing: the screen shows what runs."""
