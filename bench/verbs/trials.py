"""Trials: one run under several seeds, each with a folder and a record of its own."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bench.options import Place, Setup
from bench.verbs import Finished
from pretrain.core.counts import counted
from pretrain.core.errors import ConfigError
from pretrain.core.group import group
from pretrain.core.journal import Journal, Progress


def run(trials: int | None, setup: Setup, place: Place, one: Callable[[Setup, Place], Finished]) -> list[Finished]:
    """Do `one` with as many seeds, counted up from the setup's own; trials that are done already are reused.

    With `--out`, each trial has the folder of its seed in there: `OUT/s0`, `OUT/s1`. Without a number of trials, `one` runs
    once, as asked.

    Raises:
        ConfigError: If there is not at least one.
    """
    if trials is None:
        return [one(setup, place)]
    _require(trials)
    seeds = range(setup.seed, setup.seed + trials)
    with group(place.device_name()):  # one for all: torch can't make it twice for the same launcher
        return [one(replace(setup, seed=seed), replace(place, out=place.out and place.out / f"s{seed}")) for seed in seeds]


def explain(
    trials: int | None, setup: Setup, place: Place, progress: Progress, one: Callable[[Setup, Place, Progress], None]
) -> None:
    """Say by `one` what the first seed would do, and that the others would take as much.

    Raises:
        ConfigError: If there is not at least one.
    """
    if trials is not None:
        _require(trials)
        place = replace(place, out=place.out and place.out / f"s{setup.seed}")
    one(setup, place, progress)
    if trials is not None and trials > 1:
        Journal(progress=progress).say(f"{counted(trials, 'seed')}, from {setup.seed} on: each takes that")


def _require(trials: int) -> None:
    if trials < 1:
        raise ConfigError("at least one trial is needed", seen=f"--trials {trials}")


def summary(done: Sequence[Finished]) -> Iterator[str]:
    """Mean and standard deviation (n − 1) of each metric over the trials that have it; nothing where there is one trial."""
    if len(done) > 1:
        yield f"{counted(len(done), 'seed')}, mean ± standard deviation:"
        yield from _lines(done)


def _lines(done: Sequence[Finished]) -> Iterator[str]:
    for name in done[0].record.metrics:
        values = [value for one in done if (value := one.record.metrics[name]) is not None]
        if values:
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            yield f"  {name:<20} {statistics.mean(values):.2f}{spread}"
        else:
            yield f"  {name:<20} absent"
