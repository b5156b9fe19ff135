"""The short form of `kill.py` and of the table: in processes of their own, since what forks must not have trained."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}


def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    words = (str(HERE / script), *words)
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=250, env=ENVIRONMENT, check=False)


@pytest.mark.parametrize("kind", ["pretrain", "swav"])
def test_killed_pre_trainings_end_as_the_one_that_was_not(kind: str) -> None:
    done = run("kill.py", "--kind", kind, "--kills", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    tally = json.loads(done.stdout)[kind]
    assert tally["kills"] >= 2
    assert tally["lost"] == tally["wrong"] == []


def test_the_table_knows_every_script_and_every_kind_of_run() -> None:
    table = runpy.run_path(str(HERE / "table.py"))
    scripts = {path.stem for path in HERE.glob("[!t]*.py") if "\ndef rows(" in path.read_text()}
    assert {part.split(":")[0] for part in table["parts"]()} == scripts
    assert {"kill:pretrain", "kill:linear", "kill:demo"} <= set(table["parts"]())


def test_rows_are_kept_as_they_are_and_become_lines_of_the_table(tmp_path: Path) -> None:
    rows, table = (runpy.run_path(str(HERE / name)) for name in ("rows.py", "table.py"))
    made = [rows["Row"]("a promise", "a test", 1200, 0), rows["Row"]("another", "ä", 3, 1)]
    rows["write"](made, tmp_path / "rows.json")
    assert rows["read"](tmp_path / "rows.json") == made
    assert list(table["lines"](made))[2:] == ["| a promise | a test | 1,200 | 0 |", "| another | ä | 3 | 1 |"]
