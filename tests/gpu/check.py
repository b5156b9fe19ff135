"""Check this project on a GPU, part by part; on a CPU, rehearse that check.

    python tests/gpu/check.py [PART ...] [--device cpu] [--out gpu.json] [--log FOLDER]

Each part runs in a process of its own, for at most its own time, and leaves one line of JSON in the file: `part`, `device`,
`ok`, `seconds`, `cpu_seconds`, `values`, `error`. `ok` is null from before the part starts until it is done, so that a check
which was cut off shows where it was. A part that fails doesn't stop the next one. No part needs a network.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PARTS = {
    "env": 60,
    "train": 150,
    "syncs": 60,
    "speed": 240,
    "ranks": 120,
    "engines": 240,
    "probes": 180,
    "resume": 150,
    "ops": 90,
    "decode": 60,
    "faults": 150,
    "memory": 60,
}
"""Part → the most seconds it may take, in the order of what is worth most where time runs out."""
SLOWER = 5
"""A rehearsal on a CPU may take so many times as long."""
DETERMINISTIC = frozenset(PARTS) - {"speed", "memory", "syncs", "decode"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all of them without one")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--log", type=Path, help="folder for what the parts print; beside the file without it")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.here:
        print(json.dumps(in_this_process(options.parts[0], options.device)))
        return
    lines = [run(part, options) for part in options.parts or PARTS]
    raise SystemExit(0 if all(line["ok"] for line in lines) else 1)


def run(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run a part in a process of its own; returns its line."""
    out, log = options.out.resolve(), (options.log or options.out.resolve().parent) / f"{part}.txt"
    line: dict[str, Any] = {"part": part, "device": options.device, "ok": None, "seconds": None, "values": {}, "error": ""}
    write(out, line)
    began, spent = time.monotonic(), _processor_time()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment.setdefault("OMP_NUM_THREADS", "1")
    if part in DETERMINISTIC:
        environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    command = [sys.executable, __file__, part, "--device", options.device, "--here"]
    limit = PARTS[part] * (SLOWER if options.device == "cpu" else 1)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as told:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=told, text=True, env=environment, cwd=ROOT, start_new_session=True
        )
        try:
            said = child.communicate(timeout=limit)[0]
            nothing = {"ok": False, "error": f"it printed nothing, exit code {child.returncode}"}
            line |= json.loads(said.splitlines()[-1]) if said.strip() else nothing
        except (subprocess.TimeoutExpired, ValueError) as error:
            line |= {"ok": False, "error": str(error)[:500]}
        finally:
            end(child)
    line |= {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(_processor_time() - spent, 1)}
    write(out, line)
    print(json.dumps(line), flush=True)
    return line


def _processor_time() -> float:
    """Seconds that all processes started so far have computed: on a quiet machine a part takes about as long."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def end(child: "subprocess.Popen[str]") -> None:
    """End a part's process, and those it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def write(out: Path, line: dict[str, Any]) -> None:
    """Put a part's line into the file, in the place of its former one."""
    before = [json.loads(text) for text in out.read_text().splitlines()] if out.is_file() else []
    lines = [each for each in before if (each["part"], each["device"]) != (line["part"], line["device"])] + [line]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".tmp").write_text("".join(json.dumps(each) + "\n" for each in lines))
    out.with_suffix(".tmp").replace(out)


def in_this_process(part: str, device: str) -> dict[str, Any]:
    """Do a part's work; returns what its line says of it."""
    import importlib

    sys.path[:0] = [str(HERE), str(ROOT)]
    from parts import Check

    with Check.begun(device, deterministic=part in DETERMINISTIC) as check:
        importlib.import_module(f"parts.{part}").check(check)
    return {"ok": not check.failures, "values": check.values, "error": "; ".join(check.failures)}


if __name__ == "__main__":
    main()
