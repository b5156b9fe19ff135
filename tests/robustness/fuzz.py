"""Coverage-guided fuzzing of what reads files: `python tests/robustness/fuzz.py TARGET SECONDS`, with the extra `fuzz`.

Prints one line of JSON: target, seconds, executions, crashes, hangs, out_of_memory. Targets are those of the `targets_*.py`
beside this file: functions of bytes that accept a `BenchError` and let everything else escape. libFuzzer runs in a process of
its own, which ends at the first failure; the input that caused it is kept and named on standard error.
"""

import json
import re
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from rows import Row  # noqa: E402

HANG_SECONDS = 10
MEMORY_MIB = 2048
"""Bound of the whole process; torch alone takes a quarter of it."""
LONGEST = 1 << 17
"""Bytes of an input."""
LONG, SHORT = 600, 20
"""Seconds for a target."""
INSTRUMENTED = [
    "pretrain",
    "transfer",
    "pickle",
    "pickletools",
    "zipfile",
    "torch._weights_only_unpickler",
    "defusedxml",
    "xml",
]
CRASH, HANG, MEMORY = "crash-", "timeout-", "oom-"
"""How libFuzzer names the inputs it keeps."""


def modules() -> list[Path]:
    """List the modules of targets."""
    return sorted(HERE.glob("targets_*.py"))


def load(path: Path) -> tuple[dict[str, Callable[[bytes], None]], dict[str, list[bytes]]]:
    """Return a module's targets and their seeds."""
    found = runpy.run_path(str(path))
    return found["TARGETS"], found["SEEDS"]


def fuzz(target: str, seconds: int) -> dict[str, Any]:
    """Run libFuzzer on one target for that many seconds."""
    with tempfile.TemporaryDirectory(prefix="bench-fuzz-") as scratch:
        kept = Path(tempfile.gettempdir()) / "bench-fuzz-failures"
        kept.mkdir(exist_ok=True)
        before, began = set(kept.iterdir()), time.monotonic()
        flags = [f"-max_total_time={seconds}", f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={LONGEST}"]
        flags += ["-print_final_stats=1", f"-artifact_prefix={kept}/", scratch]
        child = [sys.executable, __file__, "--child", target, scratch, *flags]
        ended = subprocess.run(child, capture_output=True, text=True, errors="replace")
        new = sorted(path.name for path in set(kept.iterdir()) - before)
    if new or ended.returncode:
        print(ended.stderr[-6000:], *new, file=sys.stderr, sep="\n")
    counts = {kind: sum(name.startswith(kind) for name in new) for kind in (CRASH, HANG, MEMORY)}
    executed = re.search(r"number_of_executed_units: (\d+)", ended.stderr) or re.search(r".*\n#(\d+)\t", ended.stderr, re.S)
    return {
        "target": target,
        "seconds": round(time.monotonic() - began),
        "executions": int(executed[1]) if executed else 0,
        "crashes": counts[CRASH] or int(ended.returncode != 0 and not new),
        "hangs": counts[HANG],
        "out_of_memory": counts[MEMORY],
    }


def rows(short: bool) -> list[Row]:
    """Run every target for ten minutes, or (`short`) for seconds."""
    lines = []
    for name in (name for path in modules() for name in load(path)[0]):
        done = fuzz(name, SHORT if short else LONG)
        failures = done["crashes"] + done["hangs"] + done["out_of_memory"]
        test = f"coverage-guided fuzzing of `{name}`, {done['seconds']} s, hang: {HANG_SECONDS} s, bound: {MEMORY_MIB} MiB"
        lines.append(Row("whatever is in a file: read, or one message", test, done["executions"], failures))
    return lines


def _child(target: str, corpus: Path, flags: list[str]) -> None:
    import atheris
    import torchvision  # noqa: F401  # before: to instrument all of torch takes minutes

    with atheris.instrument_imports(include=INSTRUMENTED):
        found = [load(path) for path in modules() if f'"{target}"' in path.read_text(encoding="utf-8")]
    targets, seeds = next(each for each in found if target in each[0])
    for number, seed in enumerate(seeds[target]):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *flags], targets[target])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        _child(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    else:
        print(json.dumps(fuzz(sys.argv[1], int(sys.argv[2]))))
