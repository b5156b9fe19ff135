"""Where one of several processes fails there is one message, and all end: on CPUs, and as on GPUs with a library that hangs."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pretrain.core import watchdog
from pretrain.core.launcher import _reason

HERE = Path(__file__).resolve()
ROOT = HERE.parents[3]
LONGEST = 60
"""Seconds in which all processes have to end; on a busy machine they take half of them to start."""
BAD = "bench: process 1: an image can't be read\n  seen:    ant_0.png\n"


@contextmanager
def running(tmp_path: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    (tmp_path / "sitecustomize.py").write_text("import failing\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, HERE.parent, ROOT)))}
    command = [sys.executable, "-m", "bench", *words]
    child = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield child
    finally:
        with_all = os.killpg if child.poll() is None else lambda *_: None
        with_all(child.pid, signal.SIGKILL)
        child.communicate()


def ended(tmp_path: Path, *words: str) -> tuple[int, str]:
    """Exit code of the command, and what it wrote to stderr."""
    with running(tmp_path, *words) as child:
        _, said = child.communicate(timeout=3 * LONGEST)
    return child.returncode, said


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("cpu", "one_fails_where_the_other_computes_with_it"),
        ("cuda", "one_fails_and_the_other_is_stuck"),
    ],
)
def test_the_process_that_fails_says_why_and_no_other_speaks(device: str, name: str, tmp_path: Path) -> None:
    assert ended(tmp_path, device, name) == (2, BAD)


@pytest.mark.parametrize("name", ["both_fail_alike", "the_first_fails_alone"])
def test_what_all_or_the_first_one_met_is_said_once(name: str, tmp_path: Path) -> None:
    code, said = ended(tmp_path, "cpu", name)
    assert (code, re.sub("process 1: ", "", said)) == (2, re.sub("process 1: ", "", BAD))


def test_a_process_that_was_killed_is_named(tmp_path: Path) -> None:
    code, said = ended(tmp_path, "cpu", "one_is_killed")
    assert (code, said.count("bench: ")) == (2, 1)
    assert said.startswith("bench: process 1 of 2 ended with exit code -9")


def test_a_bug_in_one_process_ends_those_that_hang(tmp_path: Path) -> None:
    code, said = ended(tmp_path, "cuda", "one_has_a_bug_and_the_other_is_stuck")
    assert said.count("Traceback") == 1
    assert "ValueError: a bug" in said
    assert (code, said.count("bench: ")) == (2, 1)
    assert "bench: process 1 of 2 ended with exit code 1" in said


def test_a_signal_ends_processes_that_hang(tmp_path: Path) -> None:
    with running(tmp_path, "cuda", "both_are_stuck_and_the_command_is_stopped") as child:
        assert child.stdout is not None
        assert [child.stdout.readline() for _ in range(2)] == ["stuck\n"] * 2
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(LONGEST) == 143
    assert time.monotonic() - began < LONGEST


def test_the_first_process_to_fail_by_itself_is_the_reason() -> None:
    assert "process 1 of 2 ended with exit code -9" in str(_reason([(0, 3), (1, -9)], 2))
    assert not getattr(_reason([(0, 3), (1, 2), (2, 143)], 3), "prints", True)  # it has said why
    assert getattr(_reason([(1, 143), (0, 2)], 2), "code", None) == 143
    for late in (3, -15, 143):  # the launcher stops what is still there
        assert not getattr(_reason([(0, 3), (1, late)], 2), "prints", True)


def test_a_signal_that_is_answered_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    monkeypatch.setattr(watchdog, "PATIENCE", 0.1)
    monkeypatch.setattr(os, "_exit", ends.append)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        for answered in (True, False):
            with watchdog.watching():
                if answered:
                    watchdog.answered()
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.5)
            assert ends == ([] if answered else [143])
    finally:
        signal.signal(signal.SIGTERM, before)
