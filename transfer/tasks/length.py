"""What changing the length of a training means for its learning rate: shared by all tasks that count iterations."""

from collections.abc import Sequence

WARMUP_PART = 10
"""A shortened schedule warms up for at most one iteration in this many."""


def shorter_warmup(warmup: int, iters: int) -> int:
    """Return how many iterations of a schedule of that length warm up, which has the given number when it is not shortened."""
    return min(warmup, iters // WARMUP_PART)


def require_reached(iters: int, *, warmup: int, drops: Sequence[int] = ()) -> None:
    """Refuse a schedule that ends before its warm-up or before a drop of its learning rate.

    A length that is changed alone (`--set iters=80`) leaves both where they were, and the learning rate then never falls:
    points are lost, and nothing says so.

    Args:
        iters: Optimiser steps; 0 trains nothing, and any schedule fits.
        warmup: Of them, those over which the learning rate rises.
        drops: Iterations after which it falls, in rising order.

    Raises:
        ValueError: With both ways out.
    """
    late = [f"it drops at {list(drops)}"] if drops and drops[-1] > iters else []
    late += [f"its warm-up takes {warmup}"] if warmup > iters else []
    if iters and late:
        raise ValueError(
            f"the learning rate doesn't get through its schedule in {iters} iterations: {' and '.join(late)}; "
            "--iters changes the length of all of it, or set these, too"
        )
