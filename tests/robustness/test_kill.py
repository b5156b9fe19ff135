"""The short form of `kill.py` and of the table: in processes of their own, since what forks must not have trained."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}


def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    words = (str(HERE / script), *words)
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=250, env=ENVIRONMENT, check=False)


def test_killed_pre_trainings_end_as_the_one_that_was_not() -> None:
    done = run("kill.py", "--kind", "pretrain", "--kills", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    tally = json.loads(done.stdout)["pretrain"]
    assert tally["kills"] >= 3
    assert tally["lost"] == tally["wrong"] == []
