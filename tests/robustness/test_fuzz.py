"""A few hundred fixed mutations of whole files for each target of the fuzzer, which runs for minutes by itself."""

import random
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULES = sorted(Path(__file__).parent.glob("targets_*.py"))
MUTATIONS = 120
"""Of each target."""
EXTREMES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x00" * 8)


def mutations(seeds: list[bytes], rng: random.Random) -> Iterator[bytes]:
    """Each seed itself, then bytes changed, cut out, doubled or put at an extreme, one to four times each."""
    yield from seeds
    for _ in range(MUTATIONS):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
            kind = rng.randrange(5)
            if kind == 0 and data:
                data[rng.randrange(len(data))] = rng.randrange(256)
            elif kind == 1:
                del data[at : min(end, at + 64)]
            elif kind == 2:
                data[at:at] = data[at : at + 64]
            elif kind == 3:
                extreme = rng.choice(EXTREMES)
                data[at : at + len(extreme)] = extreme
            elif rng.random() < 0.3:
                del data[end:]
        yield bytes(data)


@pytest.mark.parametrize("module", MODULES, ids=[path.stem for path in MODULES])
def test_a_mutated_file_is_read_or_refused_with_a_message(module: Path) -> None:
    found = runpy.run_path(str(module))
    tried = 0
    for name, target in found["TARGETS"].items():
        for data in mutations(found["SEEDS"][name], random.Random(name)):
            target(data)
            tried += 1
    assert tried >= MUTATIONS * len(found["TARGETS"])
