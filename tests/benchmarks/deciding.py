"""Print how often as many pre-trainings decide a claim as a first study of three said would.

    python tests/benchmarks/deciding.py [--studies 2000]

A claim of one line: two rows whose means differ by so many standard deviations. Three pre-trainings of each are drawn; where
they leave the claim undecided and a number is named, as many are drawn anew, and judged. JSON, a line for each difference:
`undecided`: the share of first studies that are; of those, `named` got a number, with the quartiles `number`; `decided` is the
share that was decided with it, `wrong` the share that was decided wrongly.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from transfer.board.claims import deciding
from transfer.board.claims.judge import ABOVE, Basis, Claim, Evidence, judged
from transfer.board.errors import Estimate

FIRST = 3
DIFFERENCES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def drawn(rng: np.random.Generator, difference: float, number: int) -> Claim:
    """Draw two rows of so many pre-trainings each, and judge whether the first is above the second."""
    rows = rng.normal([difference, 0.0], 1.0, (number, 2))
    error = float((rows.var(0, ddof=1).sum() / number) ** 0.5)
    found = Estimate(float(rows[:, 0].mean() - rows[:, 1].mean()), error, 2 * (number - 1), 0.5, 0)
    line = Evidence("a − b", "", 0, "", found.mean, None, "", ABOVE.holds(found), ABOVE.fails(found))
    return Claim("", "", judged([dataclasses.replace(line, basis=Basis(found, ABOVE, number))]))


def main() -> None:
    """Simulate the studies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    studies, rng = parser.parse_args().studies, np.random.default_rng(0)
    for difference in DIFFERENCES:
        firsts = [claim for _ in range(studies) if (claim := drawn(rng, difference, FIRST)).verdict == "undecided"]
        numbers = [number for claim in firsts if (number := deciding.pretrainings(claim))]
        verdicts = [drawn(rng, difference, number).verdict for number in numbers]
        line = {
            "difference": difference,
            "undecided": round(len(firsts) / studies, 3),
            "named": round(len(numbers) / max(len(firsts), 1), 3),
            "number": [int(np.quantile(numbers, share)) for share in (0.25, 0.5, 0.75)] if numbers else None,
            "decided": round(sum(verdict != "undecided" for verdict in verdicts) / max(len(verdicts), 1), 3),
            "wrong": round(sum(verdict == "contradicted" for verdict in verdicts) / max(len(verdicts), 1), 3),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
