"""Random damage to healthy annotation files: every reader either reads them or says what is wrong."""

import random
import re
import runpy
from pathlib import Path

import pytest

FUZZ = runpy.run_path(str(Path(__file__).with_name("targets_annotations.py")))
TARGETS, SEEDS = FUZZ["TARGETS"], FUZZ["SEEDS"]
TRIES = 300
NUMBERS = (b"-1", b"0", b"1", b"4294967296", b"1e999", b"-1e30", b"NaN", b"9" * 400, b"null", b"true", b'"7"', b"[]", b"{}")
PIECES = (b"\xff", b"\x00", b"[", b"]", b"{", b"}", b'"', b"<", b">", b"&amp;", b"&#0;", b",", b"[" * 3000, b"<a>" * 500)


def damaged(seed: bytes, rng: random.Random) -> bytes:
    """A few random changes: other numbers, foreign pieces, bytes changed, stretches lost or repeated."""
    data = seed
    for _ in range(rng.randint(1, 3)):
        numbers = list(re.finditer(rb"-?\d+(\.\d+)?", data))
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        way = rng.randrange(6)
        if way < 2 and numbers:
            number = rng.choice(numbers)
            data = data[: number.start()] + rng.choice(NUMBERS) + data[number.end() :]
        elif way == 2:
            data = data[:at] + rng.choice(PIECES) + data[at:]
        elif way == 3:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif way == 4:
            data = data[:at] + data[end:]
        else:
            data = data[:end] + data[at:end] + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_healthy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class NothingError(Exception):
        """What nothing raises."""

    monkeypatch.setitem(TARGETS[name].__globals__, "BenchError", NothingError)
    for seed in SEEDS[name]:
        assert TARGETS[name](seed) is None


@pytest.mark.parametrize("name", TARGETS)
def test_no_damage_escapes_as_anything_but_a_bench_error(name: str) -> None:
    rng = random.Random(20)
    for _ in range(TRIES):
        data = damaged(rng.choice(SEEDS[name]), rng)
        try:
            TARGETS[name](data)
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error} for {data[:3000]!r}")
    assert TARGETS[name](SEEDS[name][0]) is None
