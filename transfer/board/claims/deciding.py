"""Say how many pre-trainings would decide a claim that is undecided, if what was measured stays as it is.

The differences, and their spread over pre-trainings, are taken as measured; with n pre-trainings in every row a standard error
is √(now / n) times as large. Each difference may then lie on the wrong side by what it exceeds once in five times, so that a
line is decided four times in five. `docs/decisions_claims.md` says how often that comes true.
"""

import dataclasses
import math

from transfer.board.claims.judge import Basis, Claim, Evidence, judged

ONE_SIDE, TWO_SIDES = 0.8416, 1.2816
"""Standard errors that a difference exceeds once in five times: in one direction, in either."""
MOST = 100
"""Numbers of pre-trainings above this are not looked for."""


def pretrainings(claim: Claim) -> int | None:
    """Return how many pre-trainings every row needs for a verdict.

    Returns:
        The smallest number that decides it; 0 where more than `MOST` would be needed; None where the claim is decided, or where
        repeating alone can't decide it: a part has no evidence, a row has one pre-training, or it is no difference of rows.
    """
    bases = [line.basis for line in claim.evidence if line.value is not None]
    known = [basis for basis in bases if basis is not None]
    if claim.verdict != "undecided" or claim.missing or not known or len(known) < len(bases):
        return None
    numbers = range(min(basis.pretrainings for basis in known) + 1, MOST + 1)
    return next((number for number in numbers if _with(claim, number).verdict != "undecided"), 0)


def _with(claim: Claim, number: int) -> Claim:
    """Judge a claim as if every row had that number of pre-trainings, or those that it has where they are more."""
    lines = [_repeated(line, line.basis, number) for line in claim.evidence if line.basis is not None]
    return dataclasses.replace(claim, evidence=judged(lines))


def _repeated(line: Evidence, basis: Basis, number: int) -> Evidence:
    times = max(number / basis.pretrainings, 1.0)
    found = basis.found
    error = found.error / times**0.5
    bounds = sum(math.isfinite(bound) for bound in (basis.expected.low, basis.expected.high))
    off = error * (ONE_SIDE if bounds == 1 else TWO_SIDES)
    sides = [found._replace(mean=found.mean + by, error=error, freedom=found.freedom * times) for by in (-off, off)]
    holds, fails = (max(test(one) for one in sides) for test in (basis.expected.holds, basis.expected.fails))
    return dataclasses.replace(line, holds=holds, fails=fails)
