"""Trials: one run under several seeds, each with a folder and a record of its own."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bench.verbs import Finished, Request
from pretrain.core import distributed
from pretrain.core.errors import ConfigError


def run(request: Request, trials: int | None, one: Callable[[Request], Finished]) -> list[Finished]:
    """Do `one` with as many seeds, from the request's own on; those that are done already are reused. None: once, as asked.

    With `--out`, each has the folder of its seed in there: `OUT/s0`, `OUT/s1`.

    Raises:
        ConfigError: If there is not at least one.
    """
    if trials is None:
        return [one(request)]
    if trials < 1:
        raise ConfigError("at least one trial is needed", seen=f"--trials {trials}")
    seeds = range(request.seed, request.seed + trials)
    with distributed.group(request.device_name()):  # one for all: torch can't make it twice for the same launcher
        return [one(replace(request, seed=seed, out=request.out and request.out / f"s{seed}")) for seed in seeds]


def summary(done: Sequence[Finished]) -> Iterator[str]:
    """Mean and standard deviation (n − 1) of each metric over the trials that have it; nothing where there is one trial."""
    if len(done) > 1:
        yield f"{len(done)} seeds, mean ± standard deviation:"
        yield from _lines(done)


def _lines(done: Sequence[Finished]) -> Iterator[str]:
    for name in done[0].record.metrics:
        values = [value for one in done if (value := one.record.metrics[name]) is not None]
        if values:
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            yield f"  {name:<20} {statistics.mean(values):.2f}{spread}"
        else:
            yield f"  {name:<20} absent"
