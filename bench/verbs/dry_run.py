"""What a command with `--dry-run` says: every setting, what the run would take, and where it would be; nothing is written."""

from collections.abc import Iterable

from bench import command_line
from bench.options import Place
from bench.runs.folder import finished, locate
from bench.runs.lifecycle import has_checkpoint
from bench.verbs import Plan
from pretrain import fields
from pretrain.core.counts import counted
from pretrain.core.journal import Journal, Progress, duration
from pretrain.core.kept import MIB


def explain(plan: Plan, place: Place, estimate: Iterable[str], progress: Progress) -> None:
    """Say what a plan would do.

    Args:
        plan: The run.
        place: Where it would be done.
        estimate: What it would take, in lines.
        progress: Called with every line.

    Raises:
        ConfigError: If the folder holds another run.
    """
    say = Journal(progress=progress).say
    for key, value in fields.leaves(plan.settings).items():
        say(f"{key}: {value}" + ("  # not as published" if key in plan.changed else ""))
    for line in estimate:
        say(line)
    say(f"folder: {_folder(plan, place)}")


def _folder(plan: Plan, place: Place) -> str:
    run = locate(plan.name(), plan.config(), plan.identity(), place.out, command_line(), plan.continues())
    if finished(run) is not None:
        return f"{run.path}; it is done already, and would not run again"
    if has_checkpoint(run):
        return f"{run.path}; it would go on from its last checkpoint"
    return f"{run.path}, new"


def memory(state: float, activations: float) -> str:
    """Say what each process holds, both in bytes: its state, and what it keeps for the backward pass of its batch."""
    kept = f", {activations / MIB:.0f} MiB of activations" if activations else ""
    return f"memory: {state / MIB:.0f} MiB of state{kept}"


def time(seconds: float, device: str, place: Place, how: str) -> str:
    """Say how long it takes, on how many of which device, and how that is known."""
    where = f"on one {device}" if place.processes == 1 else f"on {counted(place.processes, 'process', 'processes')} of {device}"
    return f"time: {duration(seconds)} {where}, {how}"
